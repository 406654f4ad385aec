"""Training and validation clips, and their classes."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from videoswin_cli.data.check import describe_broken, find_broken_videos
from videoswin_cli.data.duplicates import find_same
from videoswin_cli.data.found_clips import Found, Notice, overlap
from videoswin_cli.data.groups import check_rule, group_clips
from videoswin_cli.data.shards import find_labelled_shards
from videoswin_cli.data.splitting import split_clips
from videoswin_cli.errors import UsageError
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import InputProtocol, ListedVideo
from videoswin_cli.training.class_tree import read_class_tree
from videoswin_cli.training.clip_source import Source, check_several
from videoswin_cli.training.listed_clips import read_listed_clips

_LARGE = 1.5  # times the share of validation clips that was wanted
_LOPSIDED = 10  # clips of the largest class over those of the smallest that are worth a word


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Labelled clips; neither `file` nor `label` is ever None in them."""

    classes: tuple[str, ...]
    train: tuple[ListedVideo, ...]
    val: tuple[ListedVideo, ...]
    broken: tuple[tuple[str, str], ...] = ()  # path and reason of clips that were left out
    groups: Mapping[str, str] = field(default_factory=dict)  # by path; empty: each file alone
    grouped_by: str | None = None  # what tells the recordings that clips are of

    def counts(self, clips: Sequence[ListedVideo]) -> list[int]:
        """Clips of each class."""
        return _count(clips, len(self.classes))


def _count(clips: Sequence[ListedVideo], classes: int) -> list[int]:
    found = Counter(label for clip in clips for label in clip.labels)
    return [found[label] for label in range(classes)]


def find_clips(source: Source, *, notice: Notice) -> Found:
    """Find the clips and their classes; none is opened.

    Raises:
        UsageError: what is wrong, with the file and the fix.
    """
    check_rule(source.group)
    if source.folder is not None and find_labelled_shards([str(source.folder)]):
        source = replace(source, folder=None, train_list=Path(source.folder))
    if source.folder is not None and source.multi_label:
        raise UsageError(
            "a class folder gives a clip one class", hint="--multi-label goes with --train-list"
        )
    if source.folder is not None:
        found = read_class_tree(source.folder, notice, all_files=source.all_files)
    else:
        found = read_listed_clips(source, notice)
    _check_apart(found, notice)
    return group_clips(found, source.group, notice)


def _check_apart(found: Found, notice: Notice) -> None:
    """Refuse what is in both parts; two segments of one video may be, and are named."""
    if found.val is None:
        return
    names = find_same(clip.file or "" for clip in (*found.train, *found.val))
    one_name = {name: several[0] for several in names for name in several}
    trained: dict[str, list[ListedVideo]] = defaultdict(list)
    for clip in found.train:
        trained[one_name.get(clip.file or "", clip.file or "")].append(clip)
    both = [
        (clip, own)
        for clip in found.val
        for own in trained.get(one_name.get(clip.file or "", clip.file or ""), ())
    ]
    if shared := {clip.path: own.path for clip, own in both if overlap(clip, own)}:
        path, other = next(iter(shared.items()))
        also = "" if other == path else f" ({other} is the same file)"
        raise UsageError(
            f"{counted(len(shared), 'clip')} both trained and validated on, such as {path}{also}",
            hint="take them out of one of the two",
        )
    if both:
        notice(
            f"{len({clip.path for clip, _ in both})} validation clips are segments of videos that "
            f"are trained on too, such as {both[0][0].path}: accuracy on new videos may be lower"
        )


def leave_out_broken(
    found: Found,
    *,
    protocol: InputProtocol,
    opening: OpenOptions,
    workers: int | None,
    notice: Notice,
) -> Found:
    """Open every clip once, and leave those out that cannot be read for a model of a protocol.

    Raises:
        UsageError: nothing is left of a class.
    """
    clips = (*found.train, *(found.val or ()))
    reasons = find_broken_videos(
        [clip.part for clip in clips], opening=opening, protocol=protocol, workers=workers
    )
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
        broken=(*found.broken, *broken),
    )
    counts = _count(kept.train, len(kept.classes))
    for name, before, count in zip(
        kept.classes, _count(found.train, len(kept.classes)), counts, strict=True
    ):
        if before and not count:
            raise UsageError(
                f"no training clip of class {name!r} can be read",
                hint="fix these clips, or remove the class",
            )
    if found.val and not kept.val:
        raise UsageError("no validation clip can be read", hint="fix them, or give others")
    return kept


def split_examples(found: Found, *, val_share: float, seed: int) -> Examples:
    """Set clips aside for validation where there are none yet.

    Raises:
        UsageError: a class without training clips, or nothing to validate on.
    """
    train, val = found.train, found.val
    if val is None:
        train, val = split_clips(found, val_share, seed)
    examples = Examples(
        classes=found.classes,
        train=train,
        val=val,
        broken=found.broken,
        groups=found.groups,
        grouped_by=found.grouped_by,
    )
    check_several(examples.classes)
    validated = examples.counts(val)
    for name, count, other in zip(examples.classes, examples.counts(train), validated, strict=True):
        if not count:
            where = f"only in the validation clips ({other})" if other else "without clips"
            raise UsageError(
                f"class {name!r} is {where} and cannot be trained",
                hint="add clips of it to the training part, or take it out of the validation part",
            )
    if not val:
        raise UsageError(
            "there is no clip to validate on: no class has clips of more than one "
            + ("recording" if found.grouped_by else "video"),
            hint="add clips, or give them with DATA/val/CLASS or --val-list"
            + ("; --group none splits recordings" if found.grouped_by else ""),
        )
    return examples


def describe_examples(examples: Examples, *, val_share: float | None = None) -> list[str]:
    """Sentences for the user: sizes, imbalance, classes that are hardly there.

    `val_share` is what was to be set aside, where clips were.
    """
    counts = examples.counts(examples.train)
    order = sorted(range(len(counts)), key=lambda label: counts[label])
    few, many = order[0], order[-1]
    names = examples.classes
    lines = [
        f"{counted(len(names), 'class')}, {len(examples.train)} training and "
        f"{counted(len(examples.val), 'validation clip')}; "
        f"{counts[few]} ({names[few]!r}) to {counts[many]} ({names[many]!r}) per class"
    ]
    share = len(examples.val) / (len(examples.train) + len(examples.val))
    if examples.groups and val_share and share > _LARGE * val_share:
        lines.append(
            f"{share:.0%} of the clips validate, not {val_share:.0%}, as groups stay together: "
            "--group none splits them, more recordings per class bring it nearer"
        )
    if counts[many] >= _LOPSIDED * counts[few]:
        lines.append("the classes are far from balanced: see --balance sampler|loss")
    single = [names[label] for label in order if counts[label] == 1]
    if single:
        lines.append(
            f"{counted(len(single), 'class')} with a single training clip: {name_some(single)}"
        )
    unseen = [n for n, count in zip(names, examples.counts(examples.val), strict=True) if not count]
    if unseen:
        lines.append(
            f"{counted(len(unseen), 'class')} without a validation clip: {name_some(unseen)}"
        )
    groups: dict[int, set[str]] = defaultdict(set)
    for clip in (*examples.train, *examples.val):
        for label in clip.labels:
            groups[label].add(examples.groups.get(clip.path, clip.path))
    whole = [n for n in order if names[n] in unseen and counts[n] > 1 and len(groups[n]) == 1]
    if whole:
        named = name_some([names[label] for label in whole])
        lines.append(f"{len(whole)} of these have clips of one group only: {named}")
    return lines
