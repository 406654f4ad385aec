"""Source of the clips of a training run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Source:
    """Source of the clips: a folder, or two lists."""

    folder: Path | str | None = None
    train_list: Path | None = None
    val_list: Path | None = None
    root: Path | str | None = None
    label_column: str | None = None  # of the lists; None: by its usual names
    labels: Path | None = None
    val_share: float = 0.2  # of the clips of each class, where there is no `val`
    group: str = "auto"  # which clips stay together: also `none`, or a regular expression
    multi_label: bool = False  # rows of a list may give a clip several classes
    all_files: bool = False  # open files of the folder whatever their names


def check_several(classes: Sequence[str]) -> None:
    """Raises UsageError where there is one class."""
    if len(classes) == 1:
        raise UsageError(
            f"there is one class, {classes[0]!r}: nothing to tell apart",
            hint="expected DATA/CLASS/CLIP, or labels in a list, of two classes or more",
        )
