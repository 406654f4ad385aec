"""Videos to check, with their splits and classes, from folders, lists and other inputs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path

from videoswin_cli.class_names import fold_name, sort_names
from videoswin_cli.data.class_folders import find_parts, match_classes, read_class_folder
from videoswin_cli.data.inputs import cut, describe_found, find_inputs
from videoswin_cli.data.lists import ListRow, VideoList, question_labels, read_list
from videoswin_cli.data.lists.labels import match_labels
from videoswin_cli.data.lists.splits import choose_split, name_split
from videoswin_cli.data.locating import locate
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.errors import DatasetError, LabelError, UsageError
from videoswin_cli.io.visible import name_some
from videoswin_cli.options.check import CheckOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import ListedVideo
from videoswin_cli.report.findings import Finding

NO_CLASS = -1  # index of a label that is none of the classes

Label = int | str | None


@dataclass(frozen=True, kw_only=True)
class Member:
    """A video of a data set. Labels that are no class have the index `NO_CLASS`."""

    video: ListedVideo
    split: str | None = None

    @property
    def classes(self) -> tuple[int, ...]:
        """Indices of its classes, each once."""
        return tuple(label for label in self.video.labels if label != NO_CLASS)


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Videos to check, and their classes."""

    members: tuple[Member, ...]
    classes: tuple[str, ...] = ()  # by index; empty: no labels
    spellings: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # by class, as found
    given: bool = False  # the classes are those of a model or a file
    multi_label: bool = False
    parts: Mapping[str | None, VideoList] = field(default_factory=dict)  # rows, by split
    whole: VideoList | None = None  # the first list, all its splits
    findings: tuple[Finding, ...] = ()  # of the labels as a whole


def read_data_set(
    inputs: Sequence[str],
    source: SourceOptions,
    options: CheckOptions,
    given: tuple[str, ...] | None,
    reporter: Reporter,
    stdin: Iterable[str],
) -> DataSet:
    """Find the videos; none is opened.

    Args:
        inputs: as for other commands; a single folder may have class folders, in parts or not.
        source: names the list, and what to read of the videos.
        options: name further lists and the classes.
        given: class names of a model or a file.
        reporter: takes what is said of lists and folders.
        stdin: lines that `-` stands for.

    Raises:
        UsageError: no video, no list, or a damaged one.
    """
    options.check_lists(source)
    if source.list_file is not None and not inputs:
        lists = _read_lists(source, options)
        whole, parts = lists[0], dict(_take_splits(lists, source, options))
    else:
        whole, parts = None, _read_folder(inputs, source, reporter)
    if not parts:
        found = find_inputs(inputs, source, stdin=stdin)
        for text in found.notices:
            reporter.notice(text)
        members = tuple(Member(video=video) for video in found.listed)
        return DataSet(members=members)
    for text in dict.fromkeys(text for part in parts.values() for text in part.notices):
        reporter.notice(text)
    numbered = _number_classes(list(parts.values()), options, given, reporter)
    found_members = [
        Member(video=video, split=split)
        for split, part in parts.items()
        for video in _find_videos(part, split, numbered.numbers, source, reporter)
    ]
    _check_found(found_members, source)
    videos = cut([member.video for member in found_members], source)
    return DataSet(
        members=tuple(
            replace(member, video=video)
            for member, video in zip(found_members, videos, strict=False)  # the first --limit
        ),
        classes=numbered.classes,
        spellings=numbered.spellings(),
        given=numbered.given,
        multi_label=options.multi_label,
        parts=parts,
        whole=whole,
        findings=numbered.findings,
    )


# --- rows -----------------------------------------------------------------------------------------


def _read_lists(source: SourceOptions, options: CheckOptions) -> list[VideoList]:
    """The lists of training, validation and test videos that were given."""
    files = (source.list_file, options.val_list, options.test_list)
    lists = [
        read_list(
            file,
            format=source.list_format,
            multi_label=options.multi_label,
            label_column=source.label_column,
        )
        for file in files
        if file is not None
    ]
    return [
        replace(
            rows, notices=(f"{rows.source}: {len(rows.rows)} rows ({rows.format})", *rows.notices)
        )
        for rows in lists
    ]


def _take_splits(
    lists: Sequence[VideoList], source: SourceOptions, options: CheckOptions
) -> Iterator[tuple[str | None, VideoList]]:
    """Rows of each split: of lists of their own, or by the column of one list."""
    if len(lists) > 1:
        given = (True, options.val_list is not None, options.test_list is not None)
        names = compress(("train", "val", "test"), given)
        for name, rows in zip(names, lists, strict=True):
            yield name, _take(rows, name) if len(rows.splits) > 1 else rows
    elif source.split is not None:
        yield name_split(source.split), _take(lists[0], source.split)
    elif lists[0].splits:
        for name in lists[0].splits:
            yield name, _take(lists[0], name)
    else:
        yield None, lists[0]


def _take(rows: VideoList, split: str) -> VideoList:
    return replace(rows, rows=choose_split(rows.rows, rows.splits, split, source=rows.source))


def _read_folder(
    inputs: Sequence[str], source: SourceOptions, reporter: Reporter
) -> dict[str | None, VideoList]:
    """Class folders of a single folder, in parts or not; nothing where it has none."""
    if len(inputs) != 1 or source.list_file is not None or not Path(inputs[0]).is_dir():
        return {}
    folder = Path(inputs[0])
    parts = find_parts(folder)
    if "train" in parts.folders or len(parts.folders) > 1:
        if parts.others:
            reporter.notice(f"not looked at: {name_some(parts.others)}")
        return {
            part: read_class_folder(path, all_files=source.all_files)
            for part, path in parts.folders.items()
        }
    try:
        return {None: read_class_folder(folder, all_files=source.all_files)}
    except DatasetError as error:
        reporter.notice(f"videos without classes: {error.message}")
        return {}


def _find_videos(
    part: VideoList,
    split: str | None,
    numbers: Mapping[Label, int | None],
    source: SourceOptions,
    reporter: Reporter,
) -> list[ListedVideo]:
    labels: list[int | None] = [None] * len(part.rows)
    if any(row.label is not None for row in part.rows):  # else a list of test videos
        found = (numbers.get(row.label) for row in part.rows)
        labels = [NO_CLASS if number is None else number for number in found]
    if part.format == "folder":
        above = "" if split is None else f"{Path(part.source).name}/"
        return [
            ListedVideo(
                path=f"{above}{row.name}",
                file=str(Path(part.source) / row.name),
                label=label,
                line=row.line,
            )
            for row, label in zip(part.rows, labels, strict=True)
        ]
    listed, notices = locate(part, labels, root=source.root, multi_label=True)
    for text in (*notices, describe_found(listed)):
        reporter.notice(text)
    return listed


def _check_found(members: Sequence[Member], source: SourceOptions) -> None:
    if source.list_file is not None and all(member.video.file is None for member in members):
        raise UsageError(
            f"{describe_found([member.video for member in members])} under "
            f"{source.root or source.list_file.parent}",
            hint="is --root the folder that the names in the list are relative to?",
        )


# --- classes --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Numbered:
    """Classes of a data set by index, and the index of each label that it has."""

    classes: tuple[str, ...]
    numbers: Mapping[Label, int | None]
    given: bool = False
    findings: tuple[Finding, ...] = ()

    def spellings(self) -> dict[int, tuple[str, ...]]:
        found: dict[int, tuple[str, ...]] = {}
        for label, number in self.numbers.items():
            if number is not None:
                found[number] = (*found.get(number, ()), str(label))
        return found


def _number_classes(
    parts: Sequence[VideoList],
    options: CheckOptions,
    given: tuple[str, ...] | None,
    reporter: Reporter,
) -> _Numbered:
    rows = tuple(row for part in parts for row in part.rows if row.label is not None)
    is_tree = bool(parts) and parts[0].format == "folder"
    own = _name_folders(parts) if is_tree else _name_classes(rows)
    if given is None or not rows:
        return own
    try:
        numbers = match_labels(replace(parts[0], rows=rows), given)
        if set(numbers.values()) == {None} and options.labels is None:
            reporter.notice(
                f"no class of the data is one of the {len(given)} of {options.model}: right for "
                "finetune, not for eval"
            )
            return own
        for part in parts:
            known = tuple(row for row in part.rows if numbers.get(row.label) is not None)
            labels = [numbers[row.label] or 0 for row in known]
            for text in question_labels(replace(part, rows=known), labels, given):
                reporter.notice(text)
    except LabelError as error:
        text = f"{error.message}; {error.hint}"
        return replace(own, findings=(Finding(kind="label", text=text),))
    return _Numbered(classes=given, numbers=numbers, given=True)


def _name_folders(parts: Sequence[VideoList]) -> _Numbered:
    """Classes of class folders, as `finetune` has them: those of one part are as they are spelled.

    Of other parts names that differ in spelling alone are those of the first.
    """
    names: dict[str, str] = {}
    findings: tuple[Finding, ...] = ()
    for part in parts:
        own = list(dict.fromkeys(str(row.label) for row in part.rows))
        try:
            matched = match_classes(list(names.values()), own)[0] if names else {}
        except DatasetError as error:
            matched, findings = {}, (*findings, Finding(kind="label", text=error.message))
        names |= {name: matched.get(name, name) for name in own if name not in names}
    index = {name: number for number, name in enumerate(sort_names(set(names.values())))}
    return _Numbered(
        classes=tuple(index),
        numbers={label: index[name] for label, name in names.items()},
        findings=findings,
    )


def _name_classes(rows: Iterable[ListRow]) -> _Numbered:
    """Classes as the data name them; spellings of one name are one."""
    labels = list(dict.fromkeys(row.label for row in rows))
    spelled: dict[str, str] = {}
    for label in labels:
        spelled.setdefault(fold_name(str(label)), str(label))
    index = {name: number for number, name in enumerate(sort_names(spelled.values()))}
    counted = all(isinstance(label, int) for label in labels)
    return _Numbered(
        classes=tuple(f"class {name}" if counted else name for name in index),
        numbers={label: index[spelled[fold_name(str(label))]] for label in labels},
    )
