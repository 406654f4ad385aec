"""Losses of clips, and clips mixed with each other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from videoswin_cli.training.recipe import Recipe


_MOST_POSITIVE = 100.0  # our bound: one clip in ten thousand would else be the whole step


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Loss of each clip: (B, classes) logits and targets -> (B,).

    Cross entropy; with `multi_label` the mean over the classes of the binary one, smoothed towards
    one half. With targets t, smoothed targets t' and answers q:

        one class:        (sum_k w_k t_k) * (-sum_k t'_k log q_k)
        several classes:  mean_k (t_k w_k + 1 - t_k) * (-t'_k log q_k - (1 - t'_k) log(1 - q_k))

    Weights are those of what a clip is (t), and scale its smoothed loss as a whole, as sample
    weights do in tf.keras.losses.CategoricalCrossentropy(label_smoothing=...). The least loss is
    then at q = sum_j p_j s_j, with s_j the smoothed target of class j and p_j its probability
    after weighting: the largest p_j is the largest q_j, whatever the smoothing. torch weighs each
    class of t' instead, so that the share which smoothing gives to a rare class is multiplied by
    its weight, until everything becomes the rare class (pytorch#104776); likewise the positive
    part of every negative in BCEWithLogitsLoss(pos_weight=...). Without smoothing and mixing, or
    with equal weights, both are torch's.
    """

    multi_label: bool = False
    label_smoothing: float
    class_weights: Tensor | None  # (classes,): `balance_weights` or `positive_weights`

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        smooth = self.label_smoothing
        weights = None if self.class_weights is None else self.class_weights.to(targets)
        if self.multi_label:
            smoothed = targets * (1 - smooth) + smooth / 2
            each = None if weights is None else targets * weights + 1 - targets
            return F.binary_cross_entropy_with_logits(
                logits, smoothed.to(logits), weight=each, reduction="none"
            ).mean(dim=1)
        smoothed = targets * (1 - smooth) + smooth / targets.shape[1]
        losses = -(smoothed * logits.log_softmax(dim=1)).sum(dim=1)
        return losses if weights is None else losses * (targets * weights).sum(dim=1)


def balance_weights(counts: list[int]) -> Tensor:
    """Weights that make all classes count alike; their mean over the clips is 1."""
    clips = torch.tensor(counts, dtype=torch.float32)
    return clips.sum() / (len(counts) * clips.clamp(min=1))


def positive_weights(counts: list[int], clips: int) -> Tensor:
    """Weights of the positives of each class: negatives over positives, from 1/100 to 100.

    As torch's BCEWithLogitsLoss recommends for `pos_weight`: the positives of a class then count
    as much as its negatives. With answers of one half the mean loss is at most twice as large.

    Args:
        counts: clips that have each class.
        clips: all of them.
    """
    positives = torch.tensor(counts, dtype=torch.float32)
    ratios = (clips - positives) / positives.clamp(min=1)
    return ratios.clamp(1 / _MOST_POSITIVE, _MOST_POSITIVE)


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
    """A draw of Beta(alpha, alpha), with a seed of its own."""
    seed = int(torch.randint(2**32, (), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha))
