"""Parameter groups, AdamW and the learning-rate schedule."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from videoswin_cli.training.parameters import parse_name
from videoswin_cli.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Group:
    """Parameters that learn alike."""

    names: tuple[str, ...]
    lr_mult: float  # of the learning rate of the head
    decayed: bool


def group_parameters(network: nn.Module, recipe: Recipe) -> list[Group]:
    """Sort the trainable parameters by learning rate and weight decay.

    This follows mmaction2 1.x: the backbone learns at `backbone_lr_mult`, its norms and relative
    position bias tables are not decayed; every other weight and bias is. The official code meant
    the same, but its optimizer applies only the longest of the matching rules, so that its bias
    tables train at the rate of the head and its norms are decayed. We take what was meant. (The
    figures of both are in the models' YAMLs, `recipe_parameter_groups`.)

    With `layer_decay` below 1 each block learns slower than the next one, as in BEiT: the head
    first, the patch embedding last.

    Raises:
        UsageError: the network has parameters of unknown names.
    """
    trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
    depths = _depths(dict(network.named_parameters()))
    top = max(depths.values()) + 1
    found: dict[tuple[float, bool], list[str]] = defaultdict(list)
    for name in trained:
        head = name.startswith("head.")
        mult = 1.0 if head else recipe.backbone_lr_mult
        if not head:
            mult *= recipe.layer_decay ** (top - depths[name])
        found[mult, not _is_undecayed(name)].append(name)
    return [
        Group(names=tuple(names), lr_mult=mult, decayed=decayed)
        for (mult, decayed), names in found.items()
    ]


def make_optimizer(network: nn.Module, groups: list[Group], recipe: Recipe) -> torch.optim.AdamW:
    """AdamW whose groups carry their `lr_mult`; `set_lr` gives them their rates."""
    parameters = dict(network.named_parameters())
    return torch.optim.AdamW(
        [
            {
                "params": [parameters[name] for name in group.names],
                "lr": 0.0,
                "lr_mult": group.lr_mult,
                "weight_decay": recipe.weight_decay if group.decayed else 0.0,
            }
            for group in groups
        ],
        betas=recipe.betas,
    )


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Learning rate of each group, where `lr` is that of the head."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_mult"]


def schedule(step: int, *, steps: int, warmup_steps: int, warmup_start: float) -> float:
    """Share of the learning rate for a step, from 0: linear warm-up, then a cosine to 0."""
    if step < warmup_steps:
        return warmup_start + (1 - warmup_start) * step / warmup_steps
    done = (step - warmup_steps) / max(steps - warmup_steps, 1)
    return 0.5 * (1 + math.cos(math.pi * done))


def _is_undecayed(name: str) -> bool:
    if name.startswith("head."):
        return False
    return "norm" in name or name.endswith("relative_position_bias_table")


def _depths(parameters: Mapping[str, object]) -> dict[str, int]:
    """Depth by name: 0 for the patch embedding, one more per block; merging as the block before."""
    places = {name: parse_name(name) for name in parameters}
    blocks = sorted({(p.stage, p.block) for p in places.values() if p.block is not None})
    numbers = {block: number for number, block in enumerate(blocks, start=1)}
    depths = {}
    for name, place in places.items():
        if place.part == "patch_embed":
            depths[name] = 0
        elif place.part != "layers":
            depths[name] = len(blocks)
        elif place.block is not None:
            depths[name] = numbers[place.stage, place.block]
        else:
            depths[name] = max(n for (stage, _), n in numbers.items() if stage == place.stage)
    return depths
