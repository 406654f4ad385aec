"""Labelled clips of one or two lists."""

from collections.abc import Sequence
from dataclasses import replace

from videoswin_cli.class_names import sort_names
from videoswin_cli.data.found_clips import Found, Notice
from videoswin_cli.data.lists import VideoList, number_labels, question_labels, read_list
from videoswin_cli.data.lists.labels import spell_classes
from videoswin_cli.data.lists.splits import choose_split, describe_splits
from videoswin_cli.data.locating import locate, name_missing
from videoswin_cli.errors import UsageError
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.model.label_files import list_labels
from videoswin_cli.records import ListedVideo
from videoswin_cli.training.clip_source import Source, check_several


def read_listed_clips(source: Source, notice: Notice) -> Found:
    """Clips of the training list, and of the validation list or the rows of that split.

    Raises:
        UsageError: no list, a wrong one, or clips that are not there.
    """
    if source.train_list is None:
        raise UsageError(
            "no data", hint="give a folder of class folders, or --train-list and --val-list"
        )
    lists = _read_parts(source, notice)
    classes = list_labels(source.labels) if source.labels else _name_classes(lists, notice)
    joined = [name for name in classes if ";" in name]
    if joined and not source.labels:
        notice(f"{joined[0]!r} is taken for one class; --multi-label takes it for several")
    for first, *others in spell_classes(row for part in lists for row in part.rows):
        if others:
            spelled = name_some([repr(name) for name in others])
            notice(f"{spelled} and {first!r} are taken for one class")
    clips = [_locate(part, classes, source, notice) for part in lists]
    train, *val = (tuple(part) for part in clips)
    lost = dict.fromkeys(file for part in lists for file in part.lost)
    return Found(classes=classes, train=train, val=val[0] if val else None, broken=tuple(lost))


def _read_parts(source: Source, notice: Notice) -> list[VideoList]:
    """The training list and, where there is one, the validation list.

    Of a list whose rows name several splits those of the part are taken; one list may hold both.
    """
    given = {"train": source.train_list, "val": source.val_list}
    files = {part: file for part, file in given.items() if file is not None}
    lists = {
        part: read_list(file, multi_label=source.multi_label, label_column=source.label_column)
        for part, file in files.items()
    }
    for videos in lists.values():
        for text in (
            f"{videos.source}: {counted(len(videos.rows), 'row')} ({videos.format})",
            *videos.notices,
        ):
            notice(text)
    whole = lists["train"]
    if "val" not in lists and {"train", "val"} <= set(whole.splits):
        lists["val"] = whole
    for part, videos in lists.items():
        if len(videos.splits) > 1:
            rows = choose_split(videos.rows, videos.splits, part, source=videos.source)
            lists[part] = replace(videos, rows=rows)
            notice(
                f"{videos.source} holds several splits, {describe_splits(videos.splits)}: the "
                f"{len(rows)} rows of {part} are taken for {part}"
            )
    return list(lists.values())


def _name_classes(lists: Sequence[VideoList], notice: Notice) -> tuple[str, ...]:
    """The names of the lists, sorted; `class 0` and so on where they number classes from 0.

    Other numbers are names themselves: classes 1 to 10, say, or some of a larger data set.

    Raises:
        UsageError: one class only, or numbers that may be something else than labels.
    """
    labels = {row.label for part in lists for row in part.rows if row.label is not None}
    if not labels:
        return ()  # `number_labels` says what is wrong
    if not all(isinstance(label, int) for label in labels):
        return sort_names(
            spellings[0] for spellings in spell_classes(row for part in lists for row in part.rows)
        )
    check_several([f"class {number}" for number in labels])
    numbers = sorted(map(int, labels))
    if numbers == list(range(len(numbers))):
        return tuple(f"class {n}" for n in numbers)
    if any(part.format == "id-frames-label" for part in lists):
        absent = sorted(set(range(numbers[-1])) - set(numbers))
        raise UsageError(
            f"no clip has label {absent[0]}: labels go from {numbers[0]} to {numbers[-1]}, "
            f"{len(absent)} in between or below are nowhere",
            hint="the number before the label is taken for a number of frames; where clips have "
            "several labels say --multi-label; else leave out the number of frames",
        )
    notice(
        f"the {len(numbers)} labels, from {numbers[0]} to {numbers[-1]}, do not count classes from "
        f"0 and are taken for class names: {name_some(list(map(str, numbers)))}; --labels gives "
        "names to classes counted from 0"
    )
    return tuple(map(str, numbers))


def _locate(
    videos: VideoList, classes: Sequence[str], source: Source, notice: Notice
) -> list[ListedVideo]:
    own = {name: number for number, name in enumerate(classes)}
    doubts: list[str] = []
    if not source.labels and all(str(row.label) in own for row in videos.rows):
        labels = [own[str(row.label)] for row in videos.rows]  # the classes are named by the lists
    else:
        labels = number_labels(videos, classes)
        doubts = [] if source.multi_label else question_labels(videos, labels, classes)
    listed, notices = locate(videos, labels, root=source.root, multi_label=source.multi_label)
    for text in (*doubts, *notices):
        notice(text)
    missing = sum(clip.file is None for clip in listed)
    if missing:
        raise UsageError(
            f"{missing} of {len(listed)} clips of {videos.source} are not there: "
            f"{name_missing(listed)}",
            hint="is --root the folder that the names in the list are relative to?",
        )
    return listed
