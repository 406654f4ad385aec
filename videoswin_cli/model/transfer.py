"""Weights of one network as the start of another: other classes, windows, or none at all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.class_names import fold_name
from videoswin_cli.io.visible import counted
from videoswin_cli.records import Architecture

_TABLE = "relative_position_bias_table"
_PATCH = "patch_embed.proj"


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Tensors to start from, and where each comes from. The four lists name every tensor once."""

    tensors: dict[str, Tensor]
    loaded: tuple[str, ...]
    inflated: tuple[str, ...]  # from an image network
    resized: tuple[str, ...]  # bias tables of another window
    new: tuple[str, ...]
    kept_classes: tuple[str, ...]  # whose rows of the head were taken over

    @property
    def summary(self) -> str:
        """For the user's eyes."""
        kinds = {"loaded": self.loaded, "inflated": self.inflated, "resized": self.resized}
        parts = [
            f"{counted(len(names), 'tensor')} {kind}" for kind, names in kinds.items() if names
        ]
        if self.new:
            groups = sorted({name.split(".")[0] for name in self.new})
            parts.append(f"{len(self.new)} new ({', '.join(groups)})")
        if self.kept_classes:
            parts.append(f"rows of the head kept for {counted(len(self.kept_classes), 'class')}")
        return "; ".join(parts)


def transfer(
    source: Mapping[str, Tensor],
    fresh: Mapping[str, Tensor],
    *,
    source_architecture: Architecture,
    architecture: Architecture,
    source_labels: Sequence[str] = (),
    labels: Sequence[str] = (),
    inflated: Sequence[str] = (),
) -> Transfer:
    """Fill a freshly initialized network with what fits of another one.

    Args:
        source: canonical tensors of the network to start from; empty to start from scratch.
        fresh: tensors of the new network as initialized; what they hold is kept where nothing fits.
        source_architecture: of `source`. Its window may differ: bias tables are resized.
        architecture: of the new network.
        source_labels: class names of the rows of the old head.
        labels: class names of the new one; those of the same name (but for case, `_` for spaces)
            keep their rows. Give none to start with a new head.
        inflated: names in `source` that were made from image weights.

    Returns:
        The tensors, in the shapes of `fresh`.
    """
    tensors, loaded, resized, new = {}, [], [], []
    for name, start in fresh.items():
        given = source.get(name)
        if given is not None and name.endswith(_TABLE) and given.shape != start.shape:
            tensors[name] = resize_bias_table(
                given, source_architecture.window_size, architecture.window_size
            )
            resized.append(name)
        elif given is not None and given.shape == start.shape and not name.startswith("head."):
            tensors[name] = given.to(start.dtype)
            loaded.append(name)
        else:
            tensors[name] = start
            new.append(name)
    kept = _keep_rows(source, tensors, source_labels, labels)
    return Transfer(
        tensors=tensors,
        loaded=tuple(name for name in loaded if name not in inflated),
        inflated=tuple(name for name in loaded if name in inflated),
        resized=tuple(resized),
        new=tuple(new),
        kept_classes=kept,
    )


def _keep_rows(
    source: Mapping[str, Tensor],
    tensors: dict[str, Tensor],
    source_labels: Sequence[str],
    labels: Sequence[str],
) -> tuple[str, ...]:
    rows = {fold_name(label): row for row, label in enumerate(source_labels)}
    found = [(new, rows[fold_name(label)]) for new, label in enumerate(labels)
             if fold_name(label) in rows]  # fmt: skip
    if not found or "head.weight" not in source or "head.weight" not in tensors:
        return ()
    for name in ("head.weight", "head.bias"):
        tensor = tensors[name].clone()
        for new, old in found:
            tensor[new] = source[name][old].to(tensor.dtype)
        tensors[name] = tensor
    return tuple(labels[new] for new, _ in found)


def resize_bias_table(
    table: Tensor, old: tuple[int, int, int], new: tuple[int, int, int]
) -> Tensor:
    """Bias table (rows, heads) of a window of `old` tokens for one of `new`, (time, height, width).

    A row is a distance, -(n-1) to n-1 along each axis. Space is resized bicubically, as the
    references do when they take over image weights; time, which none of them resizes, linearly.
    """
    T, H, W = (2 * size - 1 for size in old)
    t, h, w = (2 * size - 1 for size in new)
    grid = table.float().mT.reshape(-1, T, H, W)  # (heads, ...)
    if (h, w) != (H, W):
        grid = F.interpolate(grid, size=(h, w), mode="bicubic", align_corners=False)
    if t != T:
        lines = grid.flatten(2).mT  # (heads, h * w, T)
        lines = F.interpolate(lines, size=t, mode="linear", align_corners=False)
        grid = lines.mT.reshape(-1, t, h, w)
    return grid.reshape(-1, t * h * w).mT.contiguous().to(table.dtype)


def fresh_tensors(
    shapes: Mapping[str, Tensor], generator: torch.Generator, *, for_motion: bool
) -> dict[str, Tensor]:
    """Initialize a network from scratch, as the references do: normal weights of deviation 0.02.

    Args:
        shapes: name -> tensor of the shape wanted (on any device; its values are not looked at).
        generator: of the random numbers.
        for_motion: start as a small network that has to see motion should: patch filters as in
            `motion_energy_filters`, and matrices whose deviation is 1.7 / sqrt(inputs). With 0.02
            and a few dozen channels, GELU is as good as linear and the branches add next to
            nothing: of the ten camera motions, a linear read-out of the untrained network tells
            25 % from the one start and 57 % from the other.
    """
    tensors = {}
    for name, like in shapes.items():
        shape = tuple(like.shape)
        if name == f"{_PATCH}.weight" and for_motion:
            tensors[name] = motion_energy_filters(shape)
        elif name == f"{_PATCH}.weight":
            bound = 1 / math.sqrt(math.prod(shape[1:]))  # as torch initializes a convolution
            tensors[name] = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        elif name.endswith(".bias"):
            tensors[name] = torch.zeros(shape)
        elif len(shape) == 1:  # weight of a norm
            tensors[name] = torch.ones(shape)
        else:
            normal = torch.randn(shape, generator=generator).clamp_(-2, 2)
            wide = for_motion and name.endswith(".weight") and not name.startswith("head.")
            tensors[name] = normal * (1.7 / math.sqrt(shape[1]) if wide else 0.02)
    return tensors


def motion_energy_filters(shape: tuple[int, ...]) -> Tensor:
    """Patch filters (embed_dim, 3, t, h, w) that answer to the direction in which things move.

    Drifting gratings in pairs a quarter of a wave apart, whose squared answers add up to the motion
    energy of Adelson and Bergen (1985, doi:10.1364/JOSAA.2.000284): half of the pairs with waves as
    long as a patch is wide, half 1.75 times as long, in evenly spaced directions, moving on by a
    quarter of a wave a frame. Without a mean, of unit length.
    """
    count, channels, t, h, w = shape
    frame, y, x = (torch.arange(n) - (n - 1) / 2 for n in (t, h, w))
    directions = math.ceil(count / 4)
    filters = []
    for length in (w, 1.75 * w):
        for number in range(directions):
            angle = 2 * math.pi * number / directions
            across = x.view(1, 1, -1) * math.cos(angle) + y.view(1, -1, 1) * math.sin(angle)
            phase = 2 * math.pi * across / length - math.pi / 2 * frame.view(-1, 1, 1)
            for quarter in (0.0, math.pi / 2):
                wave = torch.cos(phase + quarter)
                filters.append(wave - wave.mean())
    stacked = torch.stack(filters)[:count, None].repeat(1, channels, 1, 1, 1)
    lengths: Tensor = stacked.flatten(1).norm(dim=1)
    return stacked / lengths.view(-1, 1, 1, 1, 1)
