"""Assembly of a Trainer: start weights, optimizer, batches and loss of a run."""

from dataclasses import asdict, replace

from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.provenance import Description, read_precision
from videoswin_cli.engine.runtime import choose_runtime
from videoswin_cli.model.weight_stamps import hash_unchanged
from videoswin_cli.training.checkpoint import check_resumable, read_recipe_of
from videoswin_cli.training.initialize import Initialized, initialize_model, train_mode
from videoswin_cli.training.inputs import (
    ClipInputs,
    EvalLoader,
    FeatureInputs,
    Inputs,
    mark_classes,
)
from videoswin_cli.training.job import Job
from videoswin_cli.training.loss import Loss, balance_weights, positive_weights
from videoswin_cli.training.optimizer import group_parameters, make_optimizer
from videoswin_cli.training.preparation import (
    TrainingSetup,
    choose_augmentation,
    choose_loader,
    settle_precision,
)
from videoswin_cli.training.run_folder import RunFolder
from videoswin_cli.training.step import Stepper
from videoswin_cli.training.targets import Targets
from videoswin_cli.training.trainer import Trainer
from videoswin_cli.version import __version__

_MAY_DIFFER = ("save_minutes", "test_views")  # keys of the recipe that no weights depend on


def assemble_trainer(job: Job, setup: TrainingSetup, world: World, reporter: Reporter) -> Trainer:
    """Load the start weights and make what trains them; nothing is written.

    Raises:
        UsageError, CheckpointError, FetchError: weights that cannot be had or do not fit.
    """
    runtime = choose_runtime(device=world.device(job.device))
    recipe = settle_precision(
        setup.recipe,
        runtime,
        notice=reporter.notice,
        world=world,
        begun_in=lambda: read_precision(read_recipe_of(job.resume)),
    )
    setup = replace(setup, plan=replace(setup.plan, recipe=recipe))
    loader = replace(choose_loader(job, setup, runtime), notice=reporter.notice)
    start = initialize_model(
        job.weights.name,
        setup.spec,
        recipe,
        setup.examples.classes,
        checkpoint=job.weights.checkpoint,
        weights_set=job.weights.weights_set,
        scratch=job.scratch,
    )
    reporter.notice("; ".join((start.transfer.summary, *start.model.remarks)))
    description = _describe(job, setup, start, world)
    if job.resume is not None:
        check_resumable(job.resume, description)  # before features are computed for nothing
    network = start.model.module.to(runtime.device)
    train_mode(network)
    optimizer = make_optimizer(network, group_parameters(network, recipe), recipe)
    inputs = _make_inputs(start, setup, loader, world, reporter)
    stepper = Stepper(
        inputs,
        optimizer,
        _make_loss(setup),
        setup.plan,
        targets=Targets(
            marks=mark_classes(setup.examples.train, len(setup.examples.classes)),
            partners=setup.flips.partners,
        ),
        dtype=loader.dtype,
        world=world,
        notice=reporter.notice,
    )
    folder = RunFolder(job.out, description, world, loggers=job.loggers)
    return Trainer(
        setup, start.model, inputs, stepper, folder=folder, world=world, reporter=reporter
    )


def _make_inputs(
    start: Initialized, setup: TrainingSetup, loader: EvalLoader, world: World, reporter: Reporter
) -> Inputs:
    examples, network = setup.examples, start.model.module
    if setup.recipe.freeze == "backbone":
        return FeatureInputs(
            network,
            examples.train,
            examples.val,
            reading=loader,
            world=world,
            notice=reporter.notice,
        )
    return ClipInputs(
        network,
        examples.train,
        reading=loader,
        augmentation=choose_augmentation(setup.recipe, setup.flips),
        seed=setup.recipe.seed,
    )


def _make_loss(setup: TrainingSetup) -> Loss:
    recipe, examples = setup.recipe, setup.examples
    counts = examples.counts(examples.train)
    if recipe.multi_label:
        weights = positive_weights(counts, len(examples.train))
    else:
        weights = balance_weights(counts)
    return Loss(
        multi_label=recipe.multi_label,
        label_smoothing=recipe.label_smoothing,
        class_weights=weights if recipe.balance == "loss" else None,
    )


def _describe(job: Job, setup: TrainingSetup, start: Initialized, world: World) -> Description:
    """Description of the run, which must be the same for it to be resumed."""
    examples = setup.examples
    kept = {key: value for key, value in asdict(setup.recipe).items() if key not in _MAY_DIFFER}
    return {
        "start": start.model.origin or job.weights.name,
        "weights_sha256": None if job.scratch else hash_unchanged(start.model.stamps),
        "weights_set": start.model.weights_set,
        "recipe": {k: list(v) if isinstance(v, tuple) else v for k, v in kept.items()},
        "processes": world.size,
        "groups": examples.grouped_by,
        "classes": list(examples.classes),
        "train": [clip.path for clip in examples.train],
        "val": [clip.path for clip in examples.val],
        "version": __version__,
    }
