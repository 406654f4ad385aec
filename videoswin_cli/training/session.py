"""All that a training works with, from its start to what it leaves on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

import torch

from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.provenance import Description, read_precision
from videoswin_cli.engine.runtime import Runtime, choose_runtime
from videoswin_cli.io.fetch import hash_file
from videoswin_cli.training.checkpoint import Progress, read_recipe_of
from videoswin_cli.training.examples import Examples
from videoswin_cli.training.initialize import Initialized, initialize_model, train_mode
from videoswin_cli.training.inputs import ClipInputs, FeatureInputs, Inputs, mark_classes
from videoswin_cli.training.loop import Stepper
from videoswin_cli.training.loss import Loss, balance_weights, positive_weights
from videoswin_cli.training.optimizer import EMA, group_parameters, make_optimizer
from videoswin_cli.training.plan import Plan
from videoswin_cli.training.preparation import (
    FinetuneOptions,
    TrainingSetup,
    choose_augmentation,
    choose_loader,
    settle_precision,
)
from videoswin_cli.training.recipe import Recipe
from videoswin_cli.training.targets import Targets
from videoswin_cli.training.tensorboard import ScalarWriter
from videoswin_cli.version import __version__


@dataclass
class Session:
    """All that a run works with."""

    options: FinetuneOptions
    recipe: Recipe
    plan: Plan
    examples: Examples
    start: Initialized
    runtime: Runtime
    world: World
    inputs: Inputs
    stepper: Stepper
    averaged: EMA | None
    description: Description
    reporter: Reporter
    events: ScalarWriter
    progress: Progress = field(default_factory=Progress)
    saved_step: int | None = None  # of the state on disk


def open_session(
    options: FinetuneOptions,
    prepared: TrainingSetup,
    world: World,
    device: str,
    reporter: Reporter,
) -> Session:
    """Load what is trained and make what trains it; nothing is written.

    Raises:
        UsageError, CheckpointError, FetchError: weights that cannot be had or do not fit.
    """
    runtime = choose_runtime(device=device)
    recipe = settle_precision(
        prepared.recipe,
        runtime,
        notice=reporter.notice,
        world=world,
        begun_in=lambda: read_precision(read_recipe_of(options.resume)),
    )
    prepared = replace(prepared, recipe=recipe)
    examples, plan, spec = prepared.examples, prepared.plan, prepared.spec
    reading = replace(choose_loader(options, prepared, runtime), notice=reporter.notice)
    start = initialize_model(
        options.model,
        spec,
        recipe,
        examples.classes,
        checkpoint=options.checkpoint,
        weights_set=options.weights_set,
        scratch=options.scratch,
    )
    reporter.notice("; ".join((start.transfer.summary, *start.model.remarks)))
    network = start.model.network.to(runtime.device)
    train_mode(network)
    groups = group_parameters(network, recipe)
    optimizer = make_optimizer(network, groups, recipe)
    inputs: Inputs
    if recipe.freeze == "backbone":
        inputs = FeatureInputs(
            network,
            examples.train,
            examples.val,
            reading=reading,
            world=world,
            notice=reporter.notice,
        )
    else:
        inputs = ClipInputs(
            network,
            examples.train,
            reading=reading,
            augmentation=choose_augmentation(recipe, prepared.flips),
            seed=recipe.seed,
        )
    counts = examples.counts(examples.train)
    weights = positive_weights(counts, len(examples.train))
    if not recipe.multi_label:
        weights = balance_weights(counts)
    stepper = Stepper(
        inputs,
        optimizer,
        Loss(
            multi_label=recipe.multi_label,
            label_smoothing=recipe.label_smoothing,
            class_weights=weights if recipe.balance == "loss" else None,
        ),
        plan,
        targets=Targets(
            marks=mark_classes(examples.train, len(examples.classes)),
            partners=prepared.flips.partners,
        ),
        device=runtime.device,
        dtype=reading.dtype,
        world=world,
        notice=reporter.notice,
    )
    return Session(
        options=options,
        recipe=recipe,
        plan=plan,
        examples=examples,
        start=start,
        runtime=runtime,
        world=world,
        inputs=inputs,
        stepper=stepper,
        averaged=EMA(network, recipe.ema) if recipe.ema else None,
        description=_describe(options, recipe, examples, start, world),
        reporter=reporter,
        events=ScalarWriter(),
    )


def _describe(
    options: FinetuneOptions,
    recipe: Recipe,
    examples: Examples,
    start: Initialized,
    world: World,
) -> Description:
    """What must be the same for a run to be resumed."""
    kept = {key: value for key, value in asdict(recipe).items() if key != "save_minutes"}
    return {
        "start": options.model,
        "weights_sha256": None if options.scratch else hash_file(start.model.weights),
        "weights_set": start.model.weights_set,
        "recipe": {k: list(v) if isinstance(v, tuple) else v for k, v in kept.items()},
        "processes": world.size,
        "groups": examples.grouped_by,
        "classes": list(examples.classes),
        "train": [clip.path for clip in examples.train],
        "val": [clip.path for clip in examples.val],
        "version": __version__,
    }


@contextmanager
def ema_weights(session: Session) -> Iterator[None]:
    """Let the network have its averaged weights, where there are any, for the block."""
    if session.averaged is None:
        yield
        return
    parameters = dict(session.start.model.network.named_parameters())
    own = {name: parameters[name].detach().clone() for name in session.averaged.tensors}
    with torch.no_grad():
        for name, tensor in session.averaged.tensors.items():
            parameters[name].copy_(tensor)
    try:
        yield
    finally:
        with torch.no_grad():
            for name, tensor in own.items():
                parameters[name].copy_(tensor)
