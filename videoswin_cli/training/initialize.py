"""Initialization: the network that training starts from, and its spec."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import ModelSpec, Publication
from videoswin_cli.model.exported.reading import refuse_exported
from videoswin_cli.model.limits import find_problems
from videoswin_cli.model.loading import LoadedModel, check_finite, find_model, load
from videoswin_cli.model.network import build_network
from videoswin_cli.model.transfer import Transfer, fresh_tensors, transfer
from videoswin_cli.seeding import seeded
from videoswin_cli.training.parameters import parse_name
from videoswin_cli.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Initialized:
    """A network ready to be trained."""

    model: LoadedModel  # its `weights` are those that it started from
    transfer: Transfer


def spec_for(
    model: str, recipe: Recipe, classes: Sequence[str], *, name: str, scratch: bool
) -> ModelSpec:
    """Spec of the trained model; no weights are read.

    Raises:
        UsageError: no such model, or a recipe that does not fit it.
    """
    refuse_exported(model, what="a training")
    source = find_model(model).spec
    sizes, protocol = source.architecture, source.protocol
    stages = recipe.frozen_stages
    if stages is not None and stages > len(sizes.depths):
        raise UsageError(f"freeze: {source.name} has {len(sizes.depths)} stages, not {stages}")
    if scratch and recipe.freeze != "none":
        raise UsageError("--freeze from scratch would keep random weights")
    if recipe.init == "motion" and not scratch:
        raise UsageError(
            "init=motion is for training from scratch; here weights are started from",
            hint="add --scratch, or take init=motion out",
        )
    crop_size = recipe.crop_size or protocol.crop_size

    def scaled(side: int) -> int:
        return round(side * crop_size / protocol.crop_size)

    spec = ModelSpec(
        name=name,
        kind="video",
        labels=None,
        multi_label=recipe.multi_label,
        architecture=replace(
            sizes,
            num_classes=len(classes),
            window_size=recipe.window_size or sizes.window_size,
        ),
        protocol=replace(
            protocol,
            clip_frames=recipe.clip_frames or protocol.clip_frames,
            interval_frames=recipe.interval_frames or protocol.interval_frames,
            crop_size=crop_size,
            short_side=scaled(protocol.short_side),
            quick_short_side=scaled(protocol.quick_short_side),
        ),
        publication=Publication(
            license=source.publication.license,
            origin=source.publication.origin,
            pretraining=None if scratch else source.name,
        ),
        recipe=None,
    )
    for problem in find_problems(spec.architecture, spec.protocol):
        raise UsageError(f"{source.name} with this recipe: {problem}")
    return spec


def initialize_model(
    model: str,
    spec: ModelSpec,
    recipe: Recipe,
    classes: Sequence[str],
    *,
    checkpoint: Path | None,
    scratch: bool,
    weights_set: str | None = None,
) -> Initialized:
    """Load the start weights and fit them to the new network.

    Raises:
        UsageError, CheckpointError, FetchError: see `videoswin_cli.model.loading.load`.
    """
    sizes = spec.architecture
    with torch.device("meta"):
        network = build_network(
            sizes, drop_path_rate=recipe.drop_path_rate, head_dropout=recipe.head_dropout
        )
    fresh = fresh_tensors(
        network.state_dict(),
        seeded(recipe.seed, "start"),
        for_motion=recipe.init == "motion" and scratch,
    )
    if scratch:
        done = transfer({}, fresh, source_architecture=sizes, architecture=sizes)
        origin: dict[str, Any] = {"weights": Path(), "layout": "videoswin"}
    else:
        source = load(model, checkpoint=checkpoint, weights_set=weights_set)
        check_finite(source)
        tensors = source.module.state_dict()
        image = tuple(tensors) if source.layout == "image2d" else ()
        done = transfer(
            tensors,
            fresh,
            source_architecture=source.spec.architecture,
            architecture=sizes,
            source_labels=source.labels,
            labels=classes if recipe.keep_classes else (),
            inflated=image,
        )
        origin = {
            "weights": source.weights,
            "stamps": source.stamps,
            "layout": source.layout,
            "weights_set": source.weights_set,
            "remarks": source.remarks,
        }
    own = {name: tensor.clone() for name, tensor in done.tensors.items()}
    network.load_state_dict(own, strict=True, assign=True)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    freeze(network, recipe)
    network.recompute(recipe.checkpointing)
    loaded = LoadedModel(network=network, spec=spec, labels=tuple(classes), **origin)
    return Initialized(model=loaded, transfer=done)


def freeze(network: nn.Module, recipe: Recipe) -> None:
    """Take the gradients from what the recipe wants to stay as it is.

    Raises:
        UsageError: the network has parameters of unknown names.
    """
    places = {name: parse_name(name) for name, _ in network.named_parameters()}
    # 0 for the patch embedding; the norm behind the last stage goes with the whole backbone
    whole = max(place.stage for place in places.values()) + 2
    stages = whole if recipe.frozen_stages is None else recipe.frozen_stages
    for name, parameter in network.named_parameters():
        part, stage, _ = places[name]
        place = {"patch_embed": 0, "layers": stage + 1, "norm": whole}.get(part)
        if place is not None and stages and place <= stages:
            parameter.requires_grad_(False)


def train_mode(network: nn.Module) -> None:
    """Training mode, but for the parts that are frozen: they compute as in evaluation.

    Drop path would otherwise stay on in them, as noise that no weight can adapt to. mmaction2's
    `frozen_stages` does the same.
    """
    network.train()
    for module in network.modules():
        parameters = list(module.parameters())
        if parameters and not any(p.requires_grad for p in parameters):
            module.eval()
