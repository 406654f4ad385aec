"""Labelled videos of a folder of classes or of a list: those that are there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from videoswin_cli.class_names import sort_names
from videoswin_cli.data.check import describe_broken
from videoswin_cli.data.class_folders import PARTS, Parts, find_parts, name_of, read_class_folder
from videoswin_cli.data.groups import video_path
from videoswin_cli.data.inputs import cut
from videoswin_cli.data.lists import VideoList, number_labels, question_labels, read_list
from videoswin_cli.data.lists.labels import spell_classes
from videoswin_cli.data.lists.splits import describe_splits
from videoswin_cli.data.lists.writing import Labels, NewRow
from videoswin_cli.data.locating import locate
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.errors import LabelError, MissingInputError, UsageError
from videoswin_cli.io.visible import name_some
from videoswin_cli.model.label_files import list_labels
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import ListedVideo
from videoswin_cli.tasks.prepare.sources import Sources

Notice = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Videos whose `file` and `label` are never None; labels are places in `labels`."""

    videos: tuple[ListedVideo, ...]
    labels: Labels
    root: Path | str  # that their paths are relative to
    missing: tuple[ListedVideo, ...]  # of the list: not found
    splits: Mapping[str, str] = field(default_factory=dict)  # of a folder in parts, by path

    def titles(self) -> tuple[str, ...]:
        """Name, or number, of each class."""
        return tuple(self.labels.title(n) for n in range(len(self.labels.numbers)))


def read_labelled(
    folder: Path | None,
    source: SourceOptions,
    *,
    given: Path | None,
    multi_label: bool,
    notice: Notice,
    in_parts: bool = False,
) -> Labelled:
    """The videos of a folder with a folder per class, or of the list that `source` names.

    Args:
        folder: None where a list is named.
        source: names the list.
        given: class names in index order; None: those of the data, sorted.
        multi_label: rows of the list may give a video several classes.
        notice: prints what was found and what was left out.
        in_parts: the folder may have train, val and test parts of class folders.

    Raises:
        UsageError: no labels, or no video that is there.
    """
    if (folder is None) == (source.list_file is None):
        raise UsageError("expected one source of videos", hint="give FOLDER or --list FILE")
    names = None if given is None else list_labels(given)
    if folder is not None:
        if multi_label:
            raise UsageError("a class folder gives a video one class: --multi-label is for lists")
        rows = _read_folder(folder, source, in_parts=in_parts, notice=notice)
    else:
        assert source.list_file is not None
        rows = _read_list(source.list_file, source, multi_label=multi_label, notice=notice)
    for text in rows.notices:
        notice(text)
    rows = _leave_out_unlabelled(rows, notice)
    numbers, labels = _number(rows, names, multi_label=multi_label, notice=notice)
    listed, notices = locate(rows, numbers, root=source.root, multi_label=multi_label)
    for text in notices:
        notice(text)
    found = [video for video in listed if video.file is not None]
    missing = [video for video in listed if video.file is None]
    root = source.root or (folder if folder is not None else Path(rows.source).parent)
    if not found:
        raise MissingInputError(
            f"none of {len(listed)} videos is there under {root}, such as {listed[0].path}",
            hint="is --root the folder that the names in the list are relative to?",
        )
    for text in describe_broken([(video.path, video.missing) for video in missing]):
        notice(text)
    return Labelled(
        videos=tuple(cut(found, source)),
        labels=labels,
        root=root,
        missing=tuple(missing),
        splits={row.name: row.split for row in rows.rows if row.split and folder is not None},
    )


def find_labels(sources: Sources, source: SourceOptions, reporter: Reporter) -> Labelled | None:
    """Classes of the videos, where folders or a list tell them."""
    if sources.folder is None and source.list_file is None:
        return None
    try:
        return read_labelled(
            sources.folder, source, given=None, multi_label=False, notice=lambda text: None
        )
    except UsageError as error:
        reporter.notice(f"no classes are written, as they are not known: {error.message}")
        return None


def new_rows(
    videos: Sequence[ListedVideo], splits: Mapping[str, str] = MappingProxyType({})
) -> list[NewRow]:
    """Rows of a new list of the same root."""
    return [
        NewRow(name=name, labels=video.labels, segment=video.segment, split=splits.get(name))
        for video in videos
        for name in [video_path(video)]
    ]


def _read_folder(
    folder: Path, source: SourceOptions, *, in_parts: bool, notice: Notice
) -> VideoList:
    """Class folders, or those of all parts, whose rows say which part they are of."""
    parts = find_parts(folder) if in_parts and folder.is_dir() else Parts(folders={})
    if len(parts.folders) < 2:
        return read_class_folder(folder, all_files=source.all_files)
    if parts.others:
        notice(f"not listed: {name_some(parts.others)}")
    lists = {
        part: read_class_folder(place, all_files=source.all_files)
        for part, place in sorted(parts.folders.items(), key=lambda each: PARTS.index(each[0]))
    }
    rows = [
        replace(row, name=f"{name_of(parts.folders[part])}/{row.name}", split=part)
        for part, videos in lists.items()
        for row in videos.rows
    ]
    return VideoList(
        source=str(folder),
        format="folder",
        rows=tuple(replace(row, line=number) for number, row in enumerate(rows, start=1)),
        root=folder,
        notices=tuple(text for videos in lists.values() for text in videos.notices),
    )


def _read_list(
    path: Path, source: SourceOptions, *, multi_label: bool, notice: Notice
) -> VideoList:
    videos = read_list(
        path,
        format=source.list_format,
        multi_label=multi_label,
        split=source.split,
        label_column=source.label_column,
    )
    notice(f"{videos.source}: {len(videos.rows)} rows ({videos.format})")
    if source.split is None and len(videos.splits) > 1:
        splits = describe_splits(videos.splits)
        notice(f"all splits are taken: {splits}; --split NAME chooses one")
    return videos


def _leave_out_unlabelled(videos: VideoList, notice: Notice) -> VideoList:
    rows = [row for row in videos.rows if row.label is not None]
    if not rows:
        raise LabelError(
            f"no row of {videos.source} ({videos.format}) has a label",
            hint="a column of classes is chosen with --label-column",
        )
    if without := [row.name for row in videos.rows if row.label is None]:
        notice(f"left out: {len(without)} rows without a label: {name_some(without)}")
    return replace(videos, rows=tuple(rows))


def _number(
    videos: VideoList, given: tuple[str, ...] | None, *, multi_label: bool, notice: Notice
) -> tuple[list[int], Labels]:
    """Class of each row, and the classes."""
    if given is not None:
        numbers = number_labels(videos, given)
        doubts = [] if multi_label else question_labels(videos, numbers, given)
        for text in doubts:
            notice(text)
        return numbers, Labels(numbers=tuple(range(len(given))), names=given)
    found = {row.label for row in videos.rows}
    if all(isinstance(label, int) for label in found):  # of a list: its numbers stay
        ordered = sorted(int(label) for label in found if label is not None)
        places = {number: place for place, number in enumerate(ordered)}
        notice("the classes have no names: the numbers of the list are kept (--labels names them)")
        labels = Labels(numbers=tuple(ordered), names=None)
        return [places[int(row.label or 0)] for row in videos.rows], labels
    if videos.format == "folder":
        names = sort_names(str(label) for label in found)
    else:
        spelled = spell_classes(videos.rows)
        for first, *others in spelled:
            if others:
                notice(f"{name_some([repr(n) for n in others])} and {first!r} are taken for one "
                       "class")  # fmt: skip
        names = sort_names(spellings[0] for spellings in spelled)
    own = {name: number for number, name in enumerate(names)}
    labels = Labels(numbers=tuple(range(len(names))), names=names)
    if all(str(row.label) in own for row in videos.rows):
        return [own[str(row.label)] for row in videos.rows], labels
    return number_labels(videos, names), labels
