"""Views become one answer a video. Its arithmetic is where scores go wrong, so it lives apart."""

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from videoswin_cli.errors import UsageError
from videoswin_cli.options.tasks import Average
from videoswin_cli.records import ClassProbability


def average_views(logits: Tensor, *, how: Average = "prob", multi_label: bool = False) -> Tensor:
    """Class probabilities of a video: (views, classes) logits -> (classes,) float64, sum 1.

    `prob` is the mean of each view's softmax, what the published accuracies use; `score` is the
    softmax of the mean logits. With `multi_label` each class has a probability of its own, a
    sigmoid in the place of the softmax.
    """
    if how not in get_args(Average):
        raise UsageError(f"unknown average {how!r}", hint="use prob or score")
    logits = logits.to(torch.float64)
    if how == "score":
        logits = logits.mean(dim=0, keepdim=True)
    probabilities = logits.sigmoid() if multi_label else logits.softmax(dim=1)
    return probabilities.mean(dim=0)


def top_classes(
    probabilities: Tensor, labels: Sequence[str], *, k: int
) -> tuple[ClassProbability, ...]:
    """The k likeliest classes, likeliest first, ties by index; fewer where there are fewer."""
    order = probabilities.argsort(descending=True, stable=True)[:k].tolist()
    return tuple(
        ClassProbability(label=labels[i], index=i, prob=float(probabilities[i])) for i in order
    )
