"""A share of each class, set aside for validation: clips, or whole groups of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import torch

from videoswin_cli.data.found_clips import Found
from videoswin_cli.records import ListedVideo
from videoswin_cli.seeding import seeded

Clips = tuple[ListedVideo, ...]


def rarest_labels(clips: Sequence[ListedVideo]) -> list[int]:
    """Of each clip the class that the fewest clips have."""
    counts = Counter(label for clip in clips for label in clip.labels)
    return [min(clip.labels, key=lambda label: (counts[label], label)) for clip in clips]


def split_clips(found: Found, val_share: float, seed: int) -> tuple[Clips, Clips]:
    """Set a share of each class aside for validation; of two clips or more at least one.

    A clip of several classes counts with the rarest. All clips of a group, and all segments of a
    video, stay together; each class keeps one clip to train on.
    """
    clips = found.train
    units = {clip.path: found.groups.get(clip.path, clip.file) for clip in clips}
    by_class: dict[int, list[ListedVideo]] = defaultdict(list)
    in_unit: dict[str | None, Counter[int]] = defaultdict(Counter)
    for clip, label in zip(clips, rarest_labels(clips), strict=True):
        by_class[label].append(clip)
    for label, own in by_class.items():
        for clip in own:
            in_unit[units[clip.path]][label] += 1
    left = Counter({label: len(own) for label, own in by_class.items()})
    aside: set[str | None] = set()

    def set_aside(unit: str | None) -> None:
        nonlocal left
        aside.add(unit)
        left -= in_unit[unit]

    def may_go(unit: str | None) -> bool:
        return unit not in aside and all(left[n] > taken for n, taken in in_unit[unit].items())

    for label, own in by_class.items():
        kept = len(own) - min(max(1, round(val_share * len(own))), len(own) - 1)
        order = torch.randperm(len(own), generator=seeded(seed, "split", found.classes[label]))
        shuffled = [units[own[place].path] for place in order.tolist()]
        for unit in shuffled:
            too_large = found.groups and left[label] - in_unit[unit][label] < kept
            if left[label] > kept and may_go(unit) and not too_large:
                set_aside(unit)
        above = [unit for unit in shuffled if left[label] > kept and may_go(unit)]
        nearest = min(above, key=lambda unit: in_unit[unit][label], default=None)
        if nearest is not None:  # too large, all of them: the smallest, where that is nearer
            over = kept - (left[label] - in_unit[nearest][label])
            if left[label] == len(own) or over < left[label] - kept:
                set_aside(nearest)
    return (
        tuple(clip for clip in clips if units[clip.path] not in aside),
        tuple(clip for clip in clips if units[clip.path] in aside),
    )
