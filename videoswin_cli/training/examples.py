"""What there is to learn from: classes, clips to train on and clips to validate on."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from videoswin_cli.data.broken import describe_broken, find_broken_videos
from videoswin_cli.data.decoding.open import OpenOptions
from videoswin_cli.data.lists import VideoList, number_labels, read_class_folder, read_list
from videoswin_cli.data.locating import locate
from videoswin_cli.data.training_clips import seeded
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import list_labels
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
        found = _from_folder(source.folder, notice)
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


def _from_folder(folder: Path, notice: Notice) -> Found:
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}",
            hint="expected DATA/CLASS/CLIP or DATA/train/CLASS/CLIP and DATA/val/CLASS/CLIP",
        )
    if not (folder / "train").is_dir():
        videos = _read_classes(folder, notice)
        classes = tuple(sorted({str(row.label) for row in videos.rows}))
        clips = _locate(videos, classes, None, lambda text: None)
        return Found(classes=classes, train=tuple(clips), val=None)
    if not (folder / "val").is_dir():
        raise UsageError(
            f"{folder} has train but no val",
            hint="add val/CLASS/CLIP, or put the class folders into DATA itself to have it split",
        )
    parts = {name: _read_classes(folder / name, notice) for name in ("train", "val")}
    classes = tuple(sorted({str(row.label) for part in parts.values() for row in part.rows}))
    train, val = (
        tuple(
            replace(clip, path=f"{name}/{clip.path}")
            for clip in _locate(part, classes, None, lambda text: None)
        )
        for name, part in parts.items()
    )
    return Found(classes=classes, train=train, val=val)


def _read_classes(folder: Path, notice: Notice) -> VideoList:
    videos = read_class_folder(folder)
    classes = {row.label for row in videos.rows}
    for entry in sorted(folder.iterdir()):
        broken_link = entry.is_symlink() and not entry.exists()
        if entry.name not in classes and (entry.is_dir() or broken_link):
            what = "a link to nothing" if broken_link else "a folder without a video"
            notice(f"{entry} is {what}: no class")
    return videos


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
    files = [file for file in (source.train_list, source.val_list) if file is not None]
    lists = [read_list(file, multi_label=source.multi_label) for file in files]
    for part in lists:
        notice(f"{part.source}: {len(part.rows)} rows ({part.format})")
    classes = list_labels(source.labels) if source.labels else _name_classes(lists)
    joined = [name for name in classes if ";" in name]
    if joined and not source.labels:
        notice(f"{joined[0]!r} is taken for one class; --multi-label takes it for several")
    clips = [
        _locate(part, classes, source.root, notice, multi_label=source.multi_label)
        for part in lists
    ]
    train, *val = (tuple(part) for part in clips)
    return Found(classes=classes, train=train, val=val[0] if val else None)


def _name_classes(lists: Sequence[VideoList]) -> tuple[str, ...]:
    """Sorted names, or numbers up to the largest where the lists have numbers."""
    labels = {row.label for part in lists for row in part.rows if row.label is not None}
    if not all(isinstance(label, int) for label in labels):
        return tuple(sorted(map(str, labels)))
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
    listed, notices = locate(videos, labels, root=root, multi_label=multi_label)
    for text in notices:
        notice(text)
    missing = [clip.path for clip in listed if clip.file is None]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(listed)} clips of {videos.source} are not there: "
            f"{_some(missing)}",
            hint="is --root the folder that the names in the list are relative to?",
        )
    return listed


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_FEW]) + (", ..." if len(names) > _FEW else "")
