"""Pictures of a training: curves of loss and accuracy, and the confusion matrix."""

import math
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.io.visible import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MANY = 40  # classes whose names still fit


def can_draw() -> bool:
    """Whether the package that draws, of the extra `plots`, is installed."""
    return find_spec("matplotlib") is not None


def draw_curves(
    path: Path,
    losses: Sequence[float],
    epochs: Sequence[Mapping[str, float]],
    titles: Mapping[str, str],
) -> None:
    """Write the loss of each step, smoothed, and of each validation, and metrics (key: title)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [row["step"] for row in epochs]
    left.plot(range(1, len(losses) + 1), losses, color="0.8", linewidth=0.8)
    left.plot(range(1, len(losses) + 1), _smooth(losses), label="training")
    left.plot(steps, [row["val_loss"] for row in epochs], "o-", label="validation")
    left.set(xlabel="step", ylabel="loss")
    left.legend()
    for name, label in titles.items():
        right.plot(steps, [row[name] for row in epochs], "o-", label=label)
    right.set(xlabel="step", ylabel="validation, %", ylim=(0, 103))
    right.legend()
    _save(figure, path)


def draw_confusion(
    path: Path, confusions: Mapping[tuple[int, int], int], labels: Sequence[str]
) -> None:
    """Write a row per true class, in shares of its videos: dark on the diagonal is right."""
    import numpy as np
    from matplotlib.figure import Figure

    counts = np.zeros((len(labels), len(labels)))
    for (true, predicted), videos in confusions.items():
        counts[true, predicted] = videos
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(3 + 0.35 * len(labels), 16)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.7)
    if len(labels) <= _MANY:
        names = [visible(label).replace("$", r"\$") for label in labels]  # else a formula
        axes.set_xticks(range(len(labels)), names, rotation=90)
        axes.set_yticks(range(len(labels)), names)
        for (true, predicted), videos in confusions.items():
            color = "white" if shares[true, predicted] > 0.5 else "black"
            axes.text(predicted, true, str(videos), ha="center", va="center", color=color)
    axes.set(xlabel="Predicted", ylabel="True")
    _save(figure, path)


def _smooth(values: Sequence[float], share: float = 0.95) -> list[float]:
    """Exponential running mean, corrected for its start. NaN changes nothing."""
    smooth, mean, weight = [], 0.0, 0.0
    for value in values:
        if not math.isnan(value):
            mean, weight = share * mean + (1 - share) * value, share * weight + (1 - share)
        smooth.append(mean / weight if weight else value)
    return smooth


def _save(figure: "Figure", path: Path) -> None:
    with atomic_write(path) as part, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # of a class name: a box stands in
        figure.savefig(part, format="png", dpi=110)
