"""Losses of clips, and clips mixed with each other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from videoswin_cli.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Loss of each clip: (B, classes) logits and targets -> (B,).

    Cross entropy; with `multi_label` the mean over the classes of the binary one, smoothed towards
    one half.
    """

    multi_label: bool = False
    label_smoothing: float
    class_weights: Tensor | None  # (classes,), mean 1 over the training clips

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        smooth = self.label_smoothing
        weights = None if self.class_weights is None else self.class_weights.to(targets)
        if self.multi_label:
            targets = targets * (1 - smooth) + smooth / 2
            return F.binary_cross_entropy_with_logits(
                logits, targets.to(logits), weight=weights, reduction="none"
            ).mean(dim=1)
        targets = targets * (1 - smooth) + smooth / targets.shape[1]
        if weights is not None:
            targets = targets * weights
        return -(targets * logits.log_softmax(dim=1)).sum(dim=1)


def balance_weights(counts: list[int]) -> Tensor:
    """Weights that make all classes count alike; their mean over the clips is 1."""
    clips = torch.tensor(counts, dtype=torch.float32)
    return clips.sum() / (len(counts) * clips.clamp(min=1))


def mix(
    clips: Tensor, targets: Tensor, recipe: "Recipe", generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mixup or cutmix (each by half where both are on): every clip with its mirror in the batch.

    Args:
        clips: float (B, 3, T, H, W).
        targets: (B, classes), what share each class has.
        recipe: `mixup` and `cutmix` are the alphas of the beta distribution; 0 is off.
        generator: of the random numbers.
    """
    alphas = {"mixup": recipe.mixup, "cutmix": recipe.cutmix}
    kinds = [kind for kind, alpha in alphas.items() if alpha > 0]
    if not kinds or len(clips) < 2:
        return clips, targets
    kind = kinds[int(torch.randint(len(kinds), (), generator=generator))]
    share = _beta(alphas[kind], generator)
    other_clips, other_targets = clips.flip(0), targets.flip(0)
    if kind == "mixup":
        mixed = clips * share + other_clips * (1 - share)
    else:
        mixed = clips.clone()
        H, W = clips.shape[3:]
        side = (1 - share) ** 0.5
        y, x = (int(torch.randint(extent, (), generator=generator)) for extent in (H, W))
        top, bottom = max(0, y - int(H * side) // 2), min(H, y + int(H * side) // 2)
        left, right = max(0, x - int(W * side) // 2), min(W, x + int(W * side) // 2)
        mixed[..., top:bottom, left:right] = other_clips[..., top:bottom, left:right]
        share = 1 - (bottom - top) * (right - left) / (H * W)
    return mixed, targets * share + other_targets * (1 - share)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """A draw of Beta(alpha, alpha), with a seed of ours."""
    seed = int(torch.randint(2**32, (), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha))
