"""Labelled clips before they are split, and their source."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from videoswin_cli.errors import UsageError
from videoswin_cli.records import ListedVideo

Notice = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Source of the clips: a folder, or two lists."""

    folder: Path | None = None
    train_list: Path | None = None
    val_list: Path | None = None
    root: Path | str | None = None
    label_column: str | None = None  # of the lists; None: by its usual names
    labels: Path | None = None
    val_share: float = 0.2  # of the clips of each class, where there is no `val`
    group: str = "auto"  # which clips stay together: also `none`, or a regular expression
    multi_label: bool = False  # rows of a list may give a clip several classes
    all_files: bool = False  # open files of the folder whatever their names


@dataclass(frozen=True, kw_only=True)
class Found:
    """Labelled clips before they are split."""

    classes: tuple[str, ...]
    train: tuple[ListedVideo, ...]
    val: tuple[ListedVideo, ...] | None  # None: a share of `train`, to be set aside
    broken: tuple[tuple[str, str], ...] = ()  # path and reason of clips that were left out
    groups: Mapping[str, str] = field(default_factory=dict)  # by path; empty: each file alone
    grouped_by: str | None = None  # what tells the recordings that clips are of


def check_several(classes: Sequence[str]) -> None:
    """Raises UsageError where there is one class."""
    if len(classes) == 1:
        raise UsageError(
            f"there is one class, {classes[0]!r}: nothing to tell apart",
            hint="expected DATA/CLASS/CLIP, or labels in a list, of two classes or more",
        )


def overlap(a: ListedVideo, b: ListedVideo) -> bool:
    """Whether two clips of one video share frames, as far as their units tell."""
    if a.segment is None or b.segment is None or a.segment.unit != b.segment.unit:
        return True
    starts_before = [
        one.start < (math.inf if other.end is None else other.end)
        for one, other in ((a.segment, b.segment), (b.segment, a.segment))
    ]
    return all(starts_before)
