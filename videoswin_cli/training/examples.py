"""What there is to learn from: classes, clips to train on and clips to validate on."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from videoswin_cli.data.decoding import DecoderChoice, open_video
from videoswin_cli.data.feeding import count_workers, feed
from videoswin_cli.data.lists import VideoList, number_labels, read_class_folder, read_list
from videoswin_cli.data.locating import locate
from videoswin_cli.data.training_clips import seeded
from videoswin_cli.errors import UsageError, VideoSwinError
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
        found = Counter(label for clip in clips for label in clip.labels)
        return [found[label] for label in range(len(self.classes))]


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


def find_examples(source: Source, *, seed: int, notice: Notice) -> Examples:
    """Find the clips and look at what can be wrong with them.

    Raises:
        UsageError: what is wrong, with the file and the fix.
    """
    if source.folder is not None and source.multi_label:
        raise UsageError(
            "a class folder gives a clip one class", hint="--multi-label goes with --train-list"
        )
    if source.folder is not None:
        examples = _from_folder(source.folder, source.val_share, seed)
    else:
        examples = _from_lists(source, seed, notice)
    train, val = (examples.counts(clips) for clips in (examples.train, examples.val))
    for label, name in enumerate(examples.classes):
        if not train[label]:
            where = f"only in the validation clips ({val[label]})" if val[label] else "nowhere"
            raise UsageError(
                f"class {name!r} is {where}: it could never be learned",
                hint="add clips of it to the training part, or take it out of the validation part",
            )
    if len(examples.classes) < 2:
        raise UsageError(
            f"there is one class, {examples.classes[0]!r}: nothing to tell apart",
            hint="expected DATA/CLASS/CLIP with two classes or more",
        )
    if not examples.val:
        raise UsageError(
            "there is no clip to validate on: no class has more than one",
            hint="add clips, or give them with DATA/val/CLASS or --val-list",
        )
    both = {clip.file for clip in examples.train} & {clip.file for clip in examples.val}
    if both:
        raise UsageError(
            f"{len(both)} clips are both trained and validated on, such as {sorted(both)[0]}",  # type: ignore[type-var]
            hint="take them out of one of the two",
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
        lines.append(f"{len(single)} classes with a single training clip: {_some(single)}")
    unseen = [n for n, count in zip(names, examples.counts(examples.val), strict=True) if not count]
    if unseen:
        lines.append(f"{len(unseen)} classes without a validation clip: {_some(unseen)}")
    return lines


def drop_broken(
    examples: Examples, *, decoder: DecoderChoice, workers: int | None, notice: Notice
) -> Examples:
    """Open every clip once, and leave those out that cannot be read.

    Raises:
        UsageError: nothing is left of a class.
    """
    clips = (*examples.train, *examples.val)
    files = [str(clip.file) for clip in clips]
    processes = count_workers(len(files), on_cpu=True) if workers is None else workers
    errors = list(feed(_Opened(files, decoder), range(len(files)), workers=processes))
    broken = {
        file: (clip.path, error)
        for file, clip, error in zip(files, clips, errors, strict=True)
        if error is not None
    }
    for path, error in list(broken.values())[:_FEW]:
        notice(f"left out: {path}: {error}")
    if len(broken) > _FEW:
        notice(f"left out: {len(broken)} clips in all, listed in failed.jsonl")
    kept = replace(
        examples,
        train=tuple(clip for clip in examples.train if clip.file not in broken),
        val=tuple(clip for clip in examples.val if clip.file not in broken),
        broken=tuple(broken.values()),
    )
    for name, count in zip(kept.classes, kept.counts(kept.train), strict=True):
        if not count:
            raise UsageError(
                f"no training clip of class {name!r} can be read", hint="mend them, or take it out"
            )
    if not kept.val:
        raise UsageError("no validation clip can be read", hint="mend them, or give others")
    return kept


class _Opened:
    """What is wrong with a file, by number."""

    def __init__(self, files: Sequence[str], decoder: DecoderChoice) -> None:
        self.files = files
        self.decoder = decoder

    def __getitem__(self, number: int) -> str | None:
        try:
            with open_video(self.files[number], decoder=self.decoder):
                return None
        except VideoSwinError as error:
            return error.message.removeprefix(f"{self.files[number]}: ")

    def failed(self, number: int, reason: str) -> str | None:
        return reason


# --- folders --------------------------------------------------------------------------------------


def _from_folder(folder: Path, val_share: float, seed: int) -> Examples:
    if not folder.is_dir():
        raise UsageError(
            f"no such folder: {folder}",
            hint="expected DATA/CLASS/CLIP or DATA/train/CLASS/CLIP and DATA/val/CLASS/CLIP",
        )
    if not (folder / "train").is_dir():
        videos = read_class_folder(folder)
        classes = tuple(sorted({str(row.label) for row in videos.rows}))
        return split(classes, _locate(videos, classes, None, lambda text: None), val_share, seed)
    if not (folder / "val").is_dir():
        raise UsageError(
            f"{folder} has train but no val",
            hint="add val/CLASS/CLIP, or put the class folders into DATA itself to have it split",
        )
    parts = {name: read_class_folder(folder / name) for name in ("train", "val")}
    classes = tuple(sorted({str(row.label) for part in parts.values() for row in part.rows}))
    train, val = (
        tuple(
            replace(clip, path=f"{name}/{clip.path}")
            for clip in _locate(part, classes, None, lambda text: None)
        )
        for name, part in parts.items()
    )
    return Examples(classes=classes, train=train, val=val)


def split(
    classes: tuple[str, ...], clips: Sequence[ListedVideo], val_share: float, seed: int
) -> Examples:
    """Set a share of each class aside for validation; of two clips or more at least one.

    A clip of several classes counts with the rarest.
    """
    by_class: dict[int, list[ListedVideo]] = defaultdict(list)
    for clip, label in zip(clips, rarest_labels(clips), strict=True):
        by_class[label].append(clip)
    aside: set[str] = set()
    for label, own in by_class.items():
        count = min(max(1, round(val_share * len(own))), len(own) - 1)
        order = torch.randperm(len(own), generator=seeded(seed, "split", classes[label]))
        aside |= {own[place].path for place in order[:count].tolist()}
    return Examples(
        classes=classes,
        train=tuple(clip for clip in clips if clip.path not in aside),
        val=tuple(clip for clip in clips if clip.path in aside),
    )


# --- lists ----------------------------------------------------------------------------------------


def _from_lists(source: Source, seed: int, notice: Notice) -> Examples:
    if source.train_list is None:
        raise UsageError(
            "no data", hint="give a folder of class folders, or --train-list and --val-list"
        )
    files = [file for file in (source.train_list, source.val_list) if file is not None]
    lists = [read_list(file, multi_label=source.multi_label) for file in files]
    for part in lists:
        notice(f"{part.source}: {len(part.rows)} rows ({part.format})")
    classes = list_labels(source.labels) if source.labels else _name_classes(lists)
    clips = [
        _locate(part, classes, source.root, notice, multi_label=source.multi_label)
        for part in lists
    ]
    if len(clips) == 1:
        return split(classes, clips[0], source.val_share, seed)
    return Examples(classes=classes, train=tuple(clips[0]), val=tuple(clips[1]))


def _name_classes(lists: Sequence[VideoList]) -> tuple[str, ...]:
    """Sorted names, or numbers up to the largest where the lists have numbers."""
    labels = {row.label for part in lists for row in part.rows if row.label is not None}
    if all(isinstance(label, int) for label in labels):
        return tuple(f"class {n}" for n in range(max(map(int, labels)) + 1)) if labels else ()
    return tuple(sorted(map(str, labels)))


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
