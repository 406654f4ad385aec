"""Targets of training clips: marks of their classes, those of a mirrored clip exchanged."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from videoswin_cli.data.training_dataset import TrainingClip
from videoswin_cli.training.inputs import CachedClip


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Targets of training items."""

    marks: Tensor  # float32 (clips of the list, classes)
    partners: tuple[int, ...] | None = None  # class of the mirrored clip, by class; None: the same

    def of(self, items: Sequence[TrainingClip | CachedClip]) -> Tensor:
        """(items, classes); of no items one row, which shall count for nothing."""
        targets = self.marks[[item.video for item in items] or [0]]
        flipped = [isinstance(item, TrainingClip) and item.flipped for item in items]
        if self.partners is not None and any(flipped):
            rows = torch.tensor(flipped)
            targets[rows] = targets[rows][:, list(self.partners)]
        return targets
