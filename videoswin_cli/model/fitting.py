"""Model that tensors belong to, by their names and shapes, before any use of them."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from videoswin_cli.errors import CheckpointError
from videoswin_cli.model.catalog import ModelSpec, list_specs
from videoswin_cli.model.heads import explain_head
from videoswin_cli.model.layouts import (
    Layout,
    fit_problems,
    infer_architecture,
    to_canonical,
)
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.records import Architecture

_MOST_NUMBERS = 10**11  # of one tensor; torch's own arithmetic ends at 9e18


def fits(tensors: Mapping[str, Tensor], layout: Layout, spec: ModelSpec) -> bool:
    """Whether tensors of a layout are of a model, whatever their classes."""
    if layout == "image2d" or spec.kind == "image":
        return (layout == "image2d") == (spec.kind == "image")
    return infer_architecture(to_canonical(tensors, layout)).fit(spec.architecture)


def fitting_models(tensors: Mapping[str, Tensor], layout: Layout) -> list[str]:
    """Names of the published models that canonical tensors fit, those of their own layout first.

    Their classes may be others.
    """
    facts = infer_architecture(tensors)
    specs = [s for s in list_specs() if s.kind == "video" and facts.fit(s.architecture)]
    made_by = {"paddle": "paddlevideo"}.get(layout, layout)
    return [spec.name for spec in sorted(specs, key=lambda s: s.publication.publisher != made_by)]


def likely_models(tensors: Mapping[str, Tensor], layout: Layout) -> list[str]:
    """Those of `fitting_models` that have as many classes, or all where there is no head."""
    classes = infer_architecture(tensors).num_classes
    as_many = {s.name for s in list_specs() if classes in (0, s.architecture.num_classes)}
    return [name for name in fitting_models(tensors, layout) if name in as_many]


def check_fit(
    tensors: Mapping[str, Tensor],
    name: str,
    architecture: Architecture,
    *,
    layout: Layout,
    path: Path,
) -> None:
    """Compare canonical tensors with what a network has, by name and shape.

    Raises:
        CheckpointError: they differ; the first differences are named, and the models that fit.
    """
    blocks = sum(architecture.depths)
    if blocks > len(tensors):  # nor is a network of as many blocks made to find out
        raise CheckpointError(
            f"{path} does not fit {name}: {len(tensors)} tensors for {blocks} blocks"
        )
    if (largest := _largest_tensor(architecture)) > _MOST_NUMBERS:
        raise CheckpointError(
            f"{path} does not fit {name}: a tensor of {largest:.0e} numbers; the limit is "
            f"{_MOST_NUMBERS:.0e}"
        )
    with torch.device("meta"):
        network = Swin3D(architecture)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    if problems := fit_problems(tensors, shapes):
        names = [other for other in likely_models(tensors, layout) if other != name]
        if why := explain_head(tensors):
            raise CheckpointError(
                f"{path} does not fit {name}: {why}",
                hint="without the tensors of its head the file gives features",
            )
        raise CheckpointError(
            f"{path} does not fit {name}: {problems}",
            hint=f"it fits {', '.join(names[:4])}"
            if names
            else "no published model fits it either",
        )


def _largest_tensor(architecture: Architecture) -> float:
    """Numbers of the largest tensor of a network, at least; as a claim may have it, huge."""
    width: int = architecture.embed_dim * int(2 ** (len(architecture.depths) - 1))
    return max(
        width * width * max(4, architecture.mlp_ratio),
        width * architecture.num_classes,
        math.prod(2 * size - 1 for size in architecture.window_size) * max(architecture.num_heads),
        3 * architecture.embed_dim * math.prod(architecture.patch_size),
    )
