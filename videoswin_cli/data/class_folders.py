"""Folders of class folders: FOLDER/CLASS/VIDEO, alone or in parts such as train and val.

They are folders of this machine, or addresses of folders of a storage service.
"""

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from videoswin_cli.class_names import fold_name, sort_names, whole_number
from videoswin_cli.data.decoding.frame_folder import is_frame_folder
from videoswin_cli.data.lists import ListRow, VideoList
from videoswin_cli.data.remote_folders import sort_out
from videoswin_cli.data.video_files import (
    describe_frame_folders,
    describe_left_out_videos,
    find_videos,
)
from videoswin_cli.data.walking import system_name_kind
from videoswin_cli.errors import DatasetError, MissingInputError
from videoswin_cli.io.addresses import is_bucket, join_address
from videoswin_cli.io.storage import list_below
from videoswin_cli.io.visible import name_some

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)

_SUITED_TO_EVAL: tuple[Part, ...] = ("train", "test", "val")  # the best one last
_PART_NAMES: Mapping[str, Part] = {  # folded
    **dict.fromkeys(("train", "training", "train set", "trainset", "training set"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "val set", "valset", "validation set"), "val"),
    **dict.fromkeys(("test", "testing", "test set", "testset", "testing set"), "test"),
}


Place = Path | str  # an address is text


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Folders of a data set in parts, by what they are for."""

    folders: Mapping[Part, Place]
    others: tuple[str, ...] = field(default=())  # names of further folders


def find_parts(folder: Place) -> Parts:
    """Parts of a data set: folders with such a name that have folders themselves.

    A class may be called `train`, too: its folder has clips only.

    Raises:
        DatasetError: two folders for one part, or `folder` cannot be read.
    """
    found: dict[Part, Place] = {}
    others = []
    for name in _subfolders(folder):
        part = _PART_NAMES.get(fold_name(name))
        if part is None or not _has_class_folders(below(folder, name)):
            others.append(name)
        elif part in found:
            raise DatasetError(
                f"{folder} has {name_of(found[part])} and {name}: which of them is the {part} "
                "part?",
                hint="rename one of them, or put it elsewhere",
            )
        else:
            found[part] = below(folder, name)
    return Parts(folders=found, others=tuple(others))


def to_place(text: str) -> Place:
    """A folder as it was named: the address of one of a storage service, else a path."""
    return text if is_bucket(text) else Path(text)


def below(folder: Place, name: str) -> Place:
    return join_address(folder, name) if isinstance(folder, str) else folder / name


def name_of(folder: Place) -> str:
    return folder.rpartition("/")[2] if isinstance(folder, str) else folder.name


def read_class_folder(folder: Place, *, all_files: bool = False) -> VideoList:
    """Videos of a folder that has one subfolder per class; the label is the subfolder's name.

    Raises:
        DatasetError: no such folder, no video in a subfolder, or the subfolders are no classes.
    """
    if isinstance(folder, Path) and not folder.is_dir():
        raise MissingInputError(
            f"no such folder: {folder}", hint="give a folder of class folders, or --list FILE"
        )
    if isinstance(folder, Path):
        walk = find_videos(folder, all_files=all_files)
    else:
        walk = sort_out(list_below(folder))
    if loose := [path for path in walk.files if len(path.parts) < 2]:
        raise DatasetError(
            f"{below(folder, loose[0].as_posix())} is in no class folder "
            f"({len(loose)} such videos)",
            hint="expected FOLDER/CLASS/VIDEO; a folder without labels is for predict and extract",
        )
    if not walk.files:
        hint = describe_left_out_videos(walk.left_out, all_files=all_files)
        if walk.left_out.files.get(".tar", 0):
            tars = below(below(folder, "train"), "*.tar")
            hint = f"its tar files are read as lists: '{tars}' as --train-list, say"
        raise MissingInputError(f"no video in the class folders of {folder}", hint=hint)
    _check_classes(folder, walk.files)
    rows = [
        ListRow(line=number, name=path.as_posix(), label=path.parts[0])
        for number, path in enumerate(walk.files, start=1)
    ]
    left_out = describe_left_out_videos(walk.left_out, all_files=all_files)
    classes = {path.parts[0] for path in walk.files}
    empty = _describe_empty(folder, classes) if isinstance(folder, Path) else ()
    notices = [*empty, *describe_frame_folders(walk), left_out]
    return VideoList(
        source=str(folder),
        format="folder",
        rows=tuple(rows),
        root=folder,
        notices=tuple(filter(None, notices)),
    )


def match_classes(train: Collection[str], val: Collection[str]) -> tuple[dict[str, str], list[str]]:
    """Names of the validation part's classes in the training part, and what was noticed.

    Names that differ by case, spaces, `_`, `-` or Unicode form between the parts are one class;
    within a part they are two. `01` and `1` are not one.

    Returns:
        For each class of `val` its name in `train`, or its own where there is none.

    Raises:
        DatasetError: a class of `val` could be any of several.
    """
    trained, validated = _by_folded(train), _by_folded(val)
    names: dict[str, str] = {}
    respelled = []
    for folded, own in validated.items():
        there = trained.get(folded, [])
        there = there or _equal_numbers(own, trained.values())
        exact = [name for name in own if name in there]
        if len(exact) == len(own) or not there:
            names |= {name: name for name in own}
        elif len(own) == len(there) == 1 and folded in trained:
            names[own[0]] = there[0]
            respelled.append(f"{own[0]!r} is {there[0]!r}")
        else:
            raise DatasetError(
                f"the validation part has {_quote(own)}, the training part {_quote(there)}: which "
                "of them are one class?",
                hint="give the folders of a class one name in both parts",
            )
    notices = [
        f"{_quote(own)} are read as {len(own)} classes, though they differ in spelling only"
        for own in _by_folded({*train, *names.values()}).values()
        if len(own) > 1
    ]
    if respelled:
        notices.append(
            f"{len(respelled)} class names are spelled differently in the validation part and are "
            f"merged: {name_some(respelled)}"
        )
    return names, notices


def _check_classes(folder: Place, files: Sequence[Path]) -> None:
    """Raises UsageError where the subfolders are parts of a data set instead of classes."""
    inside: dict[str, set[str]] = defaultdict(set)  # folders in a class's folder, folded
    spelled: dict[str, str] = {}  # the folded ones, as first found
    nested: dict[str, bool] = defaultdict(lambda: True)  # it has no video of its own
    for path in files:
        name, *inner = path.parts[:-1]
        nested[name] &= bool(inner)
        inside[name] |= {fold_name(inner[0])} if inner else set()
        if inner:
            spelled.setdefault(fold_name(inner[0]), inner[0])
    named = [name for name in inside if fold_name(name) in _PART_NAMES]
    parts = [name for name in named if inside[name]]
    if len(named) == len(inside) and (len(named) > 1 or all(nested.values())):
        parts = named
    elif len(parts) < 2:
        parts = []
    if parts:
        example = max(parts, key=lambda name: _SUITED_TO_EVAL.index(_PART_NAMES[fold_name(name)]))
        raise DatasetError(
            f"{folder} holds parts of a data set, {_quote(parts)}, where class folders were "
            "expected",
            hint=f"give one of them, such as {below(folder, example)}; to finetune, {folder} "
            "with a train and a val part of class folders",
        )
    counts = Counter(name for inner in inside.values() for name in inner)
    shared = {name for name, count in counts.items() if count > 1}
    alike = all(
        nested[name] and 2 * len(inside[name] & shared) >= len(inside[name]) for name in inside
    )
    if alike and len(shared) > 1:
        raise DatasetError(
            f"the folders of {folder}, {_quote(inside)}, hold the same folders, "
            f"{_quote(sorted(spelled[name] for name in shared))}: which of them are the classes?",
            hint=f"if the inner ones, give {below(folder, next(iter(inside)))}, or call the outer "
            "ones train and val; if the outer ones, take out the level between, or give a list",
        )


def _describe_empty(folder: Path, classes: Collection[str]) -> Iterable[str]:
    """Sentences on what looks like a class and is none."""
    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names, of which some are no UTF-8
        path = folder / name
        if name in classes or system_name_kind(name) is not None:
            continue
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except OSError:
            if path.is_symlink():
                yield f"{path} is a broken link, so no class"
            continue
        if is_folder and path.is_symlink():
            yield f"{path} is a link to a folder that is read already or has no video: no class"
        elif is_folder:
            yield f"{path} is a folder without a video: no class"


def _subfolders(folder: Place) -> list[str]:
    if isinstance(folder, str):
        paths = map(PurePosixPath, list_below(folder))
        names = {path.parts[0] for path in paths if len(path.parts) > 1}
        return sorted(name for name in names if system_name_kind(name) is None)
    try:
        entries = sorted(folder.iterdir())
        return [e.name for e in entries if system_name_kind(e.name) is None and e.is_dir()]
    except OSError as error:
        raise DatasetError(f"cannot read the folder {folder}: {error.strerror}") from error


def _has_class_folders(folder: Place) -> bool:
    """Whether a folder has folders that are no clips themselves."""
    return any(
        isinstance(folder, str) or not is_frame_folder(folder / name)
        for name in _subfolders(folder)
    )


def _by_folded(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in sort_names(names):
        found[fold_name(name)].append(name)
    return dict(found)


def _quote(names: Iterable[str]) -> str:
    return name_some([repr(name) for name in names])


def _equal_numbers(own: Sequence[str], classes: Iterable[Sequence[str]]) -> list[str]:
    """Those of the classes that write the number of one of `own` otherwise."""
    numbers = {whole_number(name) for name in own} - {None}
    return [name for names in classes for name in names if whole_number(name) in numbers]
