"""What is known and decided before anything is loaded; and what `--dry-run` measures of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from videoswin_cli.data.augment import Augmentation
from videoswin_cli.data.directions import Flips, choose_flips
from videoswin_cli.data.training_dataset import TrainingClip, TrainingClips
from videoswin_cli.data.workers import count_workers
from videoswin_cli.engine.distributed import World, find_world
from videoswin_cli.engine.precision import is_fast_in_bf16
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.runtime import DTYPES, Runtime, choose_runtime
from videoswin_cli.errors import DeviceError
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.options.run import OpenOptions, Precision
from videoswin_cli.records import InputProtocol
from videoswin_cli.training.cost import estimate
from videoswin_cli.training.examples import (
    Examples,
    deal_clips,
    describe_examples,
    find_clips,
    leave_out_broken,
)
from videoswin_cli.training.found_clips import Source
from videoswin_cli.training.groups import join_copies
from videoswin_cli.training.initialize import spec_for
from videoswin_cli.training.inputs import EvalLoader
from videoswin_cli.training.memory import check_memory
from videoswin_cli.training.plan import Plan, check_partners, make_plan
from videoswin_cli.training.recipe import Recipe
from videoswin_cli.training.small_data import adapt_to_size

_ALONE = World()


@dataclass(frozen=True, kw_only=True)
class FinetuneOptions:
    """What `videoswin finetune` can be told, but for the recipe."""

    source: Source
    model: str
    checkpoint: Path | None = None
    weights_set: str | None = None  # of several in one file
    scratch: bool = False
    out: Path
    resume: Path | None = None  # state of the run to be resumed
    asked: frozenset[str] = frozenset()  # keys of the recipe that were given one by one
    device: str = "auto"
    opening: OpenOptions = field(default_factory=OpenOptions)
    workers: int | None = None
    free_keys: frozenset[str] = frozenset()  # of the recipe, to be chosen by the size of the data


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """What is known before anything is loaded."""

    recipe: Recipe
    examples: Examples
    plan: Plan
    spec: ModelSpec  # of the model to be
    flips: Flips


def prepare(options: FinetuneOptions, recipe: Recipe, reporter: Reporter) -> TrainingSetup:
    """Look at the data and make the plan; nothing is loaded or written.

    Raises:
        UsageError: what is wrong with the data or the recipe.
    """
    check_partners(recipe)
    found = find_clips(options.source, notice=reporter.notice)
    deal_clips(found, val_share=options.source.val_share, seed=recipe.seed)  # refuses early
    spec = spec_for(
        options.model, recipe, found.classes, name=options.out.name, scratch=options.scratch
    )
    flips = _settle_flips(recipe, found.classes)
    found = leave_out_broken(
        found, opening=options.opening, workers=options.workers, notice=reporter.notice
    )
    found = join_copies(found, reporter.notice)
    examples = deal_clips(found, val_share=options.source.val_share, seed=recipe.seed)
    share = options.source.val_share if found.val is None else None
    for text in describe_examples(examples, val_share=share):
        reporter.notice(text)
    devices = find_world().size
    recipe, told = adapt_to_size(
        recipe,
        clips=len(examples.train),
        classes=len(examples.classes),
        step_clips=devices * recipe.batch_size * recipe.accumulate,
        free=options.free_keys,
    )
    if told is not None:
        reporter.notice(told)
    plan = make_plan(recipe, train_clips=len(examples.train), devices=devices)
    for text in plan.describe():
        reporter.notice(text)
    reporter.notice(flips.reason)
    reporter.notice(_describe_clips(spec.protocol))
    return TrainingSetup(recipe=recipe, examples=examples, plan=plan, spec=spec, flips=flips)


def _settle_flips(recipe: Recipe, classes: Sequence[str]) -> Flips:
    if recipe.freeze == "backbone":
        return Flips(
            on=False,
            reason="no flips: the features of a frozen backbone are computed "
            "once, without augmentation",
        )
    return choose_flips(recipe.flip, classes)


def _describe_clips(sampling: InputProtocol) -> str:
    pace = f"one in {sampling.interval_frames}"
    if sampling.frame_rate is not None:
        pace = f"{sampling.frame_rate:g} a second"
    elif sampling.sampling == "uniform":
        pace = "spread over the video"
    side = sampling.crop_size
    return f"clips of {sampling.clip_frames} frames, {pace}, {side}x{side} px"


def dry_run(options: FinetuneOptions, recipe: Recipe, reporter: Reporter) -> None:
    """What `--dry-run` does: look at the data, plan, and measure; nothing is loaded or written.

    Raises:
        UsageError: what is wrong with the data or the recipe.
    """
    world = find_world()
    runtime = choose_runtime(device=world.device(options.device))
    recipe = settle_precision(recipe, runtime, notice=reporter.notice)
    prepared = prepare(options, recipe, reporter)
    recipe, examples, spec = prepared.recipe, prepared.examples, prepared.spec
    reading = choose_loader(options, prepared, runtime)
    clips = TrainingClips(
        [examples.train[0].part],
        protocol=spec.protocol,
        augmentation=choose_augmentation(recipe, prepared.flips),
        opening=options.opening,
        seed=recipe.seed,
    )
    clip = clips[0, 0]
    reporter.notice("measuring a step ...")
    cost = estimate(spec, prepared.plan, runtime, reading.dtype)
    reporter.notice(
        cost.describe(
            prepared.plan,
            val_clips=len(examples.val),
            clip_seconds=clip.seconds if isinstance(clip, TrainingClip) else 0.0,
            workers=reading.workers,
        )
    )


def choose_loader(
    options: FinetuneOptions, prepared: TrainingSetup, runtime: Runtime
) -> EvalLoader:
    """Raises UsageError where the device cannot compute as the recipe wants."""
    recipe = prepared.recipe
    if runtime.on_cpu:
        check_memory(prepared.spec, recipe)
    workers = options.workers
    if workers is None:
        workers = count_workers(prepared.plan.train_clips, on_cpu=runtime.on_cpu)
    return EvalLoader(
        sampling=prepared.spec.protocol,
        opening=options.opening,
        runtime=runtime,
        dtype=_choose_dtype(recipe, runtime),
        workers=workers,
        batch_size=recipe.batch_size,
    )


def _choose_dtype(recipe: Recipe, runtime: Runtime) -> torch.dtype:
    if recipe.precision == "fp16" and runtime.on_cpu:
        raise DeviceError("precision fp16 needs a GPU", hint="use bf16 or fp32")
    assert recipe.precision != "auto"  # settled before
    return DTYPES[recipe.precision]


def settle_precision(
    recipe: Recipe,
    runtime: Runtime,
    *,
    notice: Callable[[str], None],
    world: World = _ALONE,
    begun_in: Callable[[], Precision | None] = lambda: None,
) -> Recipe:
    """The recipe without `auto` in its precision, which the first process decides for all.

    Args:
        recipe: as asked for.
        runtime: of this process.
        notice: prints what was chosen.
        world: that train together.
        begun_in: precision of the resumed run; None where there is none.
    """
    if recipe.precision == "auto":
        usual: Precision = "fp32" if runtime.on_cpu else "bf16"
        decided = [begun_in() or usual] if world.is_main else []
        (precision,) = world.share(decided)
        notice(f"training on {runtime.device} in {precision}")
        return replace(recipe, precision=precision)
    if recipe.precision == "fp32" and not runtime.on_cpu and is_fast_in_bf16(runtime.device):
        notice(f"training on {runtime.device} in fp32; bf16 is faster there: --precision auto")
    return recipe


def choose_augmentation(recipe: Recipe, flips: Flips) -> Augmentation:
    """That of the recipe, with the flips that the names of the classes allow."""
    return Augmentation(
        crop_area=recipe.crop_area,
        crop_aspect=recipe.crop_aspect,
        flip=flips.on,
        color_jitter=recipe.color_jitter,
        rand_augment=recipe.rand_augment,
        rand_augment_strength=recipe.rand_augment_strength,
        erasing=recipe.erasing,
    )
