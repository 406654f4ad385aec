"""Labelled clips before they are split."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from videoswin_cli.records import ListedVideo

Notice = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Found:
    """Labelled clips before they are split."""

    classes: tuple[str, ...]
    train: tuple[ListedVideo, ...]
    val: tuple[ListedVideo, ...] | None  # None: a share of `train`, to be set aside
    broken: tuple[tuple[str, str], ...] = ()  # path and reason of clips that were left out
    groups: Mapping[str, str] = field(default_factory=dict)  # by path; empty: each file alone
    grouped_by: str | None = None  # what tells the recordings that clips are of


def overlap(a: ListedVideo, b: ListedVideo) -> bool:
    """Whether two clips of one video share frames, as far as their units tell."""
    if a.segment is None or b.segment is None or a.segment.unit != b.segment.unit:
        return True
    starts_before = [
        one.start < (math.inf if other.end is None else other.end)
        for one, other in ((a.segment, b.segment), (b.segment, a.segment))
    ]
    return all(starts_before)
