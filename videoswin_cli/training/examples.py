"""What there is to learn from: classes, clips to train on and clips to validate on."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from videoswin_cli.data.broken import describe_broken, find_broken_videos
from videoswin_cli.data.decoding.open import OpenOptions
from videoswin_cli.data.training_clips import seeded
from videoswin_cli.errors import UsageError
from videoswin_cli.records import ListedVideo
from videoswin_cli.training.class_tree import read_class_tree
from videoswin_cli.training.found_clips import Found, Notice, Source, check_several
from videoswin_cli.training.listed_clips import read_listed_clips
from videoswin_cli.visible import name_some

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
        found = read_class_tree(source.folder, notice, all_files=source.all_files)
    else:
        found = read_listed_clips(source, notice)
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
    check_several(examples.classes)
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
        lines.append(f"{len(single)} classes with a single training clip: {name_some(single)}")
    unseen = [n for n, count in zip(names, examples.counts(examples.val), strict=True) if not count]
    if unseen:
        lines.append(f"{len(unseen)} classes without a validation clip: {name_some(unseen)}")
    return lines


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
