"""What there is to learn from: classes, clips to train on and clips to validate on."""

import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch

from videoswin_cli.class_names import fold_name
from videoswin_cli.data.broken import describe_broken, find_broken_videos
from videoswin_cli.data.class_folders import find_parts, match_classes, read_class_folder
from videoswin_cli.data.decoding.open import OpenOptions
from videoswin_cli.data.lists import (
    VideoList,
    number_labels,
    question_labels,
    read_list,
)
from videoswin_cli.data.lists.splits import choose_split, describe_splits
from videoswin_cli.data.locating import locate, name_missing
from videoswin_cli.data.training_clips import seeded
from videoswin_cli.errors import UsageError
from videoswin_cli.model.label_files import list_labels
from videoswin_cli.records import ListedVideo

Notice = Callable[[str], None]

_FEW = 5  # examples named in a message
_LOPSIDED = 10  # clips of the largest class over those of the smallest that are worth a word


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Labelled clips; neither `file` nor `label` is ever None in them."""

    classes: tuple[str, ...]
    train: tuple[ListedVideo, ...]
    val: tuple[ListedVideo, ...]
    broken: tuple[tuple[str, str], ...] = ()  # path and reason of clips that were left out

    def counts(self, clips: Sequence[ListedVideo]) -> list[int]:
        """Clips of each class."""
        return _count(clips, len(self.classes))


def _count(clips: Sequence[ListedVideo], classes: int) -> list[int]:
    found = Counter(label for clip in clips for label in clip.labels)
    return [found[label] for label in range(classes)]


def rarest_labels(clips: Sequence[ListedVideo]) -> list[int]:
    """Of each clip the class that the fewest clips have."""
    counts = Counter(label for clip in clips for label in clip.labels)
    return [min(clip.labels, key=lambda label: (counts[label], label)) for clip in clips]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the examples come from: a folder, or two lists."""

    folder: Path | None = None
    train_list: Path | None = None
    val_list: Path | None = None
    root: Path | None = None
    labels: Path | None = None
    val_share: float = 0.2  # of the clips of each class, where there is no `val`
    multi_label: bool = False  # rows of a list may give a clip several classes
    all_files: bool = False  # look into files of the folder whatever their names


@dataclass(frozen=True, kw_only=True)
class Found:
    """Labelled clips before they are dealt out."""

    classes: tuple[str, ...]
    train: tuple[ListedVideo, ...]
    val: tuple[ListedVideo, ...] | None  # None: a share of `train`, to be set aside
    broken: tuple[tuple[str, str], ...] = ()  # path and reason of clips that were left out


def find_clips(source: Source, *, notice: Notice) -> Found:
    """Find the clips and their classes; none is opened.

    Raises:
        UsageError: what is wrong, with the file and the fix.
    """
    if source.folder is not None and source.multi_label:
        raise UsageError(
            "a class folder gives a clip one class", hint="--multi-label goes with --train-list"
        )
    if source.folder is not None:
        found = _from_folder(source.folder, notice, all_files=source.all_files)
    else:
        found = _from_lists(source, notice)
    _check_apart(found, notice)
    return found


def _check_apart(found: Found, notice: Notice) -> None:
    """Refuse what is in both parts; two segments of one video may be, and are named."""
    trained: dict[str | None, list[ListedVideo]] = defaultdict(list)
    for clip in found.train:
        trained[clip.file].append(clip)
    validated = [clip for clip in found.val or () if clip.file in trained]
    both = [clip for clip in validated if any(_overlap(clip, t) for t in trained[clip.file])]
    if both:
        raise UsageError(
            f"{len(both)} clips are both trained and validated on, such as {both[0].path}",
            hint="take them out of one of the two",
        )
    if validated:
        notice(
            f"{len(validated)} validation clips are segments of videos that are trained on too, "
            f"such as {validated[0].path}: accuracy on new videos may be lower"
        )


def _overlap(a: ListedVideo, b: ListedVideo) -> bool:
    """Whether two rows of one file share frames, as far as their units tell."""
    if a.segment is None or b.segment is None or a.segment.unit != b.segment.unit:
        return True
    starts_before = [
        one.start < (math.inf if other.end is None else other.end)
        for one, other in ((a.segment, b.segment), (b.segment, a.segment))
    ]
    return all(starts_before)


def leave_out_broken(
    found: Found, *, opening: OpenOptions, workers: int | None, notice: Notice
) -> Found:
    """Open every clip once, and leave those out that cannot be read.

    Raises:
        UsageError: nothing is left of a class.
    """
    clips = (*found.train, *(found.val or ()))
    reasons = find_broken_videos([clip.part for clip in clips], opening=opening, workers=workers)
    broken = [
        (clip.path, reason)
        for clip, reason in zip(clips, reasons, strict=True)
        if reason is not None
    ]
    left_out = {path for path, _ in broken}
    for text in describe_broken(broken):
        notice(text)

    def readable(clips: Sequence[ListedVideo]) -> tuple[ListedVideo, ...]:
        return tuple(clip for clip in clips if clip.path not in left_out)

    kept = replace(
        found,
        train=readable(found.train),
        val=None if found.val is None else readable(found.val),
        broken=tuple(broken),
    )
    counts = _count(kept.train, len(kept.classes))
    for name, before, count in zip(
        kept.classes, _count(found.train, len(kept.classes)), counts, strict=True
    ):
        if before and not count:
            raise UsageError(
                f"no training clip of class {name!r} can be read", hint="mend them, or take it out"
            )
    if found.val and not kept.val:
        raise UsageError("no validation clip can be read", hint="mend them, or give others")
    return kept


def deal_clips(found: Found, *, val_share: float, seed: int) -> Examples:
    """Set clips aside for validation where there are none yet.

    Raises:
        UsageError: a class that could never be learned, or nothing to validate on.
    """
    train, val = found.train, found.val
    if val is None:
        train, val = _split(found.classes, found.train, val_share, seed)
    examples = Examples(classes=found.classes, train=train, val=val, broken=found.broken)
    _check_several(examples.classes)
    validated = examples.counts(val)
    for name, count, other in zip(examples.classes, examples.counts(train), validated, strict=True):
        if not count:
            where = f"only in the validation clips ({other})" if other else "nowhere"
            raise UsageError(
                f"class {name!r} is {where}: it could never be learned",
                hint="add clips of it to the training part, or take it out of the validation part",
            )
    if not val:
        raise UsageError(
            "there is no clip to validate on: no class has clips of more than one video",
            hint="add clips, or give them with DATA/val/CLASS or --val-list",
        )
    return examples


def _check_several(classes: Sequence[str]) -> None:
    if len(classes) == 1:
        raise UsageError(
            f"there is one class, {classes[0]!r}: nothing to tell apart",
            hint="expected DATA/CLASS/CLIP, or labels in a list, of two classes or more",
        )


def describe_examples(examples: Examples) -> list[str]:
    """Sentences for the user: sizes, imbalance, classes that are hardly there."""
    counts = examples.counts(examples.train)
    order = sorted(range(len(counts)), key=lambda label: counts[label])
    few, many = order[0], order[-1]
    names = examples.classes
    lines = [
        f"{len(names)} classes, {len(examples.train)} training and {len(examples.val)} validation "
        f"clips; {counts[few]} ({names[few]}) to {counts[many]} ({names[many]}) a class"
    ]
    if counts[many] >= _LOPSIDED * counts[few]:
        lines.append("the classes are far from balanced: see --balance sampler|loss")
    single = [names[label] for label in order if counts[label] == 1]
    if single:
        lines.append(f"{len(single)} classes with a single training clip: {_some(single)}")
    unseen = [n for n, count in zip(names, examples.counts(examples.val), strict=True) if not count]
    if unseen:
        lines.append(f"{len(unseen)} classes without a validation clip: {_some(unseen)}")
    return lines


# --- folders --------------------------------------------------------------------------------------


def _from_folder(folder: Path, notice: Notice, *, all_files: bool) -> Found:
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}",
            hint="expected DATA/CLASS/CLIP or DATA/train/CLASS/CLIP and DATA/val/CLASS/CLIP",
        )
    parts = find_parts(folder)
    if "train" not in parts.folders:
        videos = _read_classes(folder, notice, all_files=all_files)
        classes = _sort_classes(videos)
        return Found(classes=classes, train=_clips(videos, classes), val=None)
    train_folder, val_folder = parts.folders["train"], parts.folders.get("val")
    if val_folder is None:
        there = " and ".join(path.name for _, path in sorted(parts.folders.items(), reverse=True))
        raise UsageError(
            f"{folder} has {there} but no val",
            hint="add val/CLASS/CLIP (a test part is not validated on unless you call it val), or "
            f"give {train_folder} to have it split",
        )
    idle = [*parts.others, *(p.name for part, p in parts.folders.items() if part == "test")]
    if idle:
        notice(f"not used, since {train_folder.name} and {val_folder.name} are: {_some(idle)}")
    train = _read_classes(train_folder, notice, all_files=all_files)
    val = _read_classes(val_folder, notice, all_files=all_files)
    _check_folders_apart(train, val)
    names, notices = match_classes(_sort_classes(train), _sort_classes(val))
    for text in notices:
        notice(text)
    classes = tuple(sorted({*_sort_classes(train), *names.values()}))
    return Found(
        classes=classes,
        train=_clips(train, classes, part=train_folder.name),
        val=_clips(val, classes, part=val_folder.name, names=names),
    )


def _read_classes(folder: Path, notice: Notice, *, all_files: bool) -> VideoList:
    videos = read_class_folder(folder, all_files=all_files)
    for text in videos.notices:
        notice(text)
    return videos


def _check_folders_apart(train: VideoList, val: VideoList) -> None:
    """Raises UsageError where a link gives both parts one folder of clips."""
    train_folders, val_folders = (
        {os.path.realpath(Path(part.source, name)): name for name in _sort_classes(part)}
        for part in (train, val)
    )
    if shared := sorted(train_folders.keys() & val_folders.keys()):
        raise UsageError(
            f"{shared[0]} would be both trained and validated on ({len(shared)} such folders)",
            hint=f"look for links in {train.source} and {val.source}",
        )


def _sort_classes(videos: VideoList) -> tuple[str, ...]:
    return tuple(sorted({str(row.label) for row in videos.rows}))


def _clips(
    videos: VideoList,
    classes: Sequence[str],
    *,
    part: str | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
) -> tuple[ListedVideo, ...]:
    """Clips of class folders, which are where they were found.

    Args:
        videos: as found.
        classes: all of them, in the order of their indices.
        part: name of the folder above, to begin the paths with.
        names: classes by the names of their folders, where they differ.
    """
    index = {name: number for number, name in enumerate(classes)}
    return tuple(
        ListedVideo(
            path=row.name if part is None else f"{part}/{row.name}",
            file=str(Path(videos.source) / row.name),
            label=index[names.get(str(row.label), str(row.label))],
            line=row.line,
        )
        for row in videos.rows
    )


def _split(
    classes: tuple[str, ...], clips: Sequence[ListedVideo], val_share: float, seed: int
) -> tuple[tuple[ListedVideo, ...], tuple[ListedVideo, ...]]:
    """Set a share of each class aside for validation; of two clips or more at least one.

    A clip of several classes counts with the rarest. All segments of a video stay together.
    """
    by_class: dict[int, list[ListedVideo]] = defaultdict(list)
    for clip, label in zip(clips, rarest_labels(clips), strict=True):
        by_class[label].append(clip)
    in_file: dict[str | None, Counter[int]] = defaultdict(Counter)  # segments of one video
    for label, own in by_class.items():
        for clip in own:
            in_file[clip.file][label] += 1
    left = Counter({label: len(own) for label, own in by_class.items()})
    aside: set[str | None] = set()
    for label, own in by_class.items():
        count = min(max(1, round(val_share * len(own))), len(own) - 1)
        order = torch.randperm(len(own), generator=seeded(seed, "split", classes[label]))
        for place in order.tolist():
            file = own[place].file
            if left[label] <= len(own) - count:
                break
            if file not in aside and all(left[n] > taken for n, taken in in_file[file].items()):
                aside.add(file)
                left -= in_file[file]
    return (
        tuple(clip for clip in clips if clip.file not in aside),
        tuple(clip for clip in clips if clip.file in aside),
    )


# --- lists ----------------------------------------------------------------------------------------


def _from_lists(source: Source, notice: Notice) -> Found:
    if source.train_list is None:
        raise UsageError(
            "no data", hint="give a folder of class folders, or --train-list and --val-list"
        )
    lists = _read_parts(source, notice)
    classes = list_labels(source.labels) if source.labels else _name_classes(lists)
    joined = [name for name in classes if ";" in name]
    if joined and not source.labels:
        notice(f"{joined[0]!r} is taken for one class; --multi-label takes it for several")
    for first, *others in _spell_classes(lists):
        if others:
            notice(
                f"{_some([repr(name) for name in others])} and {first!r} are taken for one class"
            )
    clips = [
        _locate(part, classes, source.root, notice, multi_label=source.multi_label)
        for part in lists
    ]
    train, *val = (tuple(part) for part in clips)
    return Found(classes=classes, train=train, val=val[0] if val else None)


def _read_parts(source: Source, notice: Notice) -> list[VideoList]:
    """The training list and, where there is one, the validation list.

    Of a list whose rows name several splits those of the part are taken; one list may hold both.
    """
    given = {"train": source.train_list, "val": source.val_list}
    files = {part: file for part, file in given.items() if file is not None}
    lists = {part: read_list(file, multi_label=source.multi_label) for part, file in files.items()}
    for videos in lists.values():
        for text in (
            f"{videos.source}: {len(videos.rows)} rows ({videos.format})",
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


def _name_classes(lists: Sequence[VideoList]) -> tuple[str, ...]:
    """Sorted names, or numbers up to the largest where the lists have numbers."""
    labels = {row.label for part in lists for row in part.rows if row.label is not None}
    if not labels:
        return ()  # `number_labels` says what is wrong
    if not all(isinstance(label, int) for label in labels):
        return tuple(sorted(spellings[0] for spellings in _spell_classes(lists)))
    _check_several([f"class {number}" for number in labels])
    numbers = sorted(map(int, labels))
    if absent := sorted(set(range(numbers[-1])) - set(numbers)):
        hint = "labels are counted from 0; class names, all of them, can be given with --labels"
        if any(part.format == "id-frames-label" for part in lists):
            hint = (
                "the number before the label is taken for a number of frames; where clips have "
                "several labels say --multi-label"
            )
        raise UsageError(
            f"no clip has label {absent[0]}: labels go from {numbers[0]} to {numbers[-1]}, "
            f"{len(absent)} in between or below are nowhere",
            hint=hint,
        )
    return tuple(f"class {n}" for n in numbers)


def _locate(
    videos: VideoList,
    classes: Sequence[str],
    root: Path | None,
    notice: Notice,
    *,
    multi_label: bool = False,
) -> list[ListedVideo]:
    labels = number_labels(videos, classes)
    doubts = [] if multi_label else question_labels(videos, labels, classes)
    listed, notices = locate(videos, labels, root=root, multi_label=multi_label)
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


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_FEW]) + (", ..." if len(names) > _FEW else "")


def _spell_classes(lists: Sequence[VideoList]) -> list[list[str]]:
    """Spellings of each class that is named, the training list's first."""
    spellings: dict[str, dict[str, None]] = defaultdict(dict)
    for label in (row.label for part in lists for row in part.rows):
        if label is not None:
            spellings[fold_name(str(label))][str(label)] = None
    return [list(names) for names in spellings.values()]
