"""Samples of tar shards as rows: a video with its class in `KEY.cls`, `KEY.json` or `KEY.txt`."""

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from videoswin_cli.data.lists.columns import read_label
from videoswin_cli.data.lists.label_columns import LabelColumns, find_label_columns
from videoswin_cli.data.lists.rows import ListRow, VideoList, split_labels
from videoswin_cli.data.shards import (
    LABEL_SUFFIXES,
    TarShard,
    describe_shards,
    key_of,
    no_video_in,
    read_shard,
)
from videoswin_cli.errors import DatasetError, raised_as
from videoswin_cli.io.addresses import is_url
from videoswin_cli.io.delimited import fold_column
from videoswin_cli.io.tar_files import has_member, open_member
from videoswin_cli.io.text_files import parse_json
from videoswin_cli.io.visible import name_some

_MOST_BYTES = 1 << 20  # of a label
_CLASS, _TEXT = "cls", "txt"  # columns beside the keys of the JSON

_Labels = Mapping[str, Any]  # what a sample says of its class, by column


@raised_as(DatasetError)
def read_shards(
    files: Sequence[str],
    *,
    source: str,
    labelled: bool,
    multi_label: bool = False,
    label_column: str | None = None,
) -> VideoList:
    """Rows of all videos in tar files, in their order; `name` is `000000.tar/KEY.mp4`.

    The class is the number in `KEY.cls`, else the value of `KEY.json` that is usually called so,
    else the name in `KEY.txt`. Names win where they and the numbers of all samples go together
    one to one: they stay right where a model counts its classes in another order.

    Args:
        files: the tar files.
        source: of them, as the user wrote it.
        labelled: whether classes are read.
        multi_label: a video may have several classes.
        label_column: `cls`, `txt` or a key of the JSON that holds the class.

    Raises:
        DatasetError: there is no video, or what should be a label is none.
    """
    shards = [read_shard(file) for file in files]
    is_damaged = any(shard.index.damage is not None for shard in shards)
    if not any(shard.videos for shard in shards) and (labelled or not is_damaged):
        raise no_video_in(shards)
    notices = describe_shards(shards)
    root = _common_folder(files)
    refs = [ref for shard in shards for ref in _refs(shard, labelled)]
    labels = [_read_labels(ref) if labelled else {} for ref in refs]
    columns = _choose_columns(labels, label_column, source, notices) if labelled else ()
    rows: list[ListRow] = []
    for number, (ref, found) in enumerate(zip(refs, labels, strict=True), start=1):
        column = next((key for key in columns if found.get(key) not in (None, "")), None)
        label = None if column is None else read_label(found[column], ref, multi_label)
        name = ref.replace(os.sep, "/").removeprefix(f"{root}/".replace(os.sep, "/"))
        row = ListRow(line=number, name=name, label=label)
        rows += split_labels(row, ref) if multi_label else [row]
    return VideoList(
        source=source,
        format="webdataset",
        rows=tuple(rows),
        root=root,
        columns=tuple(dict.fromkeys(key for found in labels for key in found)),
        notices=tuple(notices),
        lost=tuple(
            (shard.file, f"damaged, its further videos are lost: {shard.index.damage}")
            for shard in shards
            if labelled and shard.index.damage is not None
        ),
    )


def _common_folder(files: Sequence[str]) -> Path | str:
    """The folder that all files are below, or its address."""
    if not is_url(files[0]):
        return Path(os.path.commonpath([Path(file).parent for file in files]))
    scheme = files[0].partition("://")[0]
    paths = [posixpath.dirname(file.partition("://")[2]) for file in files]
    return f"{scheme}://{posixpath.commonpath(paths)}"


def _refs(shard: TarShard, labelled: bool) -> list[str]:
    """References of the videos; a damaged file is a row only where rows need no class."""
    return [f"{shard.file}/{name}" for name in shard.videos] if labelled else shard.paths


def _read_labels(path: str) -> _Labels:
    """What the members beside a video say of its class."""
    found: dict[str, Any] = {}
    for suffix in LABEL_SUFFIXES:
        # `a.b.mp4` may have a label of its own, `a.b.cls`; its key is `a` all the same.
        beside = (posixpath.splitext(path)[0] + suffix, key_of(path) + suffix)
        if (member := next(filter(has_member, beside), None)) is None:
            continue
        text = _read_text(member)
        if suffix == ".json":
            found |= _read_json(text, member)
        else:
            found[suffix[1:]] = text
    return found


def _read_text(path: str) -> str:
    with open_member(path) as member:
        content = member.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise DatasetError(f"{path}: larger than {_MOST_BYTES // 2**20} MiB, so no label")
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: expected a label, in UTF-8: {error}") from error


def _read_json(text: str, path: str) -> dict[str, Any]:
    """Values that could be a class; metadata of other kinds is not looked at."""
    value = parse_json(text, source=path)
    return value if isinstance(value, dict) else {"label": value}


def _choose_columns(
    labels: Sequence[_Labels], chosen: str | None, source: str, notices: list[str]
) -> tuple[str, ...]:
    """Columns that name the class, in order of preference."""
    keys = tuple(dict.fromkeys(key for found in labels for key in found))
    if chosen is not None:
        if not any(fold_column(key) == fold_column(chosen) for key in keys):
            raise DatasetError(
                f"{source} has nothing called {chosen!r} (--label-column)",
                hint=f"its samples have: {name_some(list(map(repr, keys)), 12) or 'no labels'}",
            )
        return tuple(key for key in keys if fold_column(key) == fold_column(chosen))
    in_json = [key for key in keys if key not in (_CLASS, _TEXT)]
    named = find_label_columns(in_json, None)
    named = named or tuple(key for key in in_json if fold_column(key) == "text")
    compared = LabelColumns(source)
    for line, found in enumerate(labels, start=1):
        compared.compare(line, {key: found.get(key) for key in named}, named)
    compared.check()
    if _go_together(labels):
        notices.append(
            "the class is the name in KEY.txt, which goes with the number in KEY.cls one to one; "
            "--label-column cls takes the numbers"
        )
        return (_TEXT, _CLASS, *named)
    return (_CLASS, *named, _TEXT)


def _go_together(labels: Iterable[_Labels]) -> bool:
    """Whether every sample has a number and a name, and one names the other."""
    pairs = {(found.get(_CLASS), found.get(_TEXT)) for found in labels}
    numbers, names = ({pair[side] for pair in pairs} for side in (0, 1))
    complete = not ({None, ""} & (numbers | names))
    return complete and len(numbers) == len(names) == len(pairs) and bool(pairs)
