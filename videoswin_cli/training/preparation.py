"""Preparation of a run: data, plan, precision and flips, before any weights are loaded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from videoswin_cli.data.augment import Augmentation
from videoswin_cli.data.directions import Flips, choose_flips
from videoswin_cli.data.groups import join_copies
from videoswin_cli.data.views import resolve_views
from videoswin_cli.data.workers import count_workers
from videoswin_cli.engine.distributed import World, find_world
from videoswin_cli.engine.precision import is_fast_in_bf16
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.runtime import DTYPES, Runtime
from videoswin_cli.errors import DeviceError
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.options.run import Precision
from videoswin_cli.records import InputProtocol, Views
from videoswin_cli.training.examples import (
    Examples,
    describe_examples,
    find_clips,
    leave_out_broken,
    split_examples,
)
from videoswin_cli.training.initialize import spec_for
from videoswin_cli.training.inputs import EvalLoader
from videoswin_cli.training.job import Job
from videoswin_cli.training.memory import check_memory
from videoswin_cli.training.plan import Plan, check_partners, make_plan
from videoswin_cli.training.recipe import Recipe
from videoswin_cli.training.small_data import adapt_to_size

_ALONE = World()


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """Data and plan of a run, before anything is loaded."""

    examples: Examples
    plan: Plan
    spec: ModelSpec  # of the model to be
    flips: Flips
    test_views: Views | None  # of the test at the end; None: there is none

    @property
    def recipe(self) -> Recipe:
        return self.plan.recipe


def prepare(job: Job, reporter: Reporter) -> TrainingSetup:
    """Data and plan of a run; no weights are loaded and nothing is written.

    Raises:
        UsageError: what is wrong with the data or the recipe.
    """
    recipe = job.recipe
    check_partners(recipe)
    found = find_clips(job.source, notice=reporter.notice)
    split_examples(found, val_share=job.source.val_share, seed=recipe.seed)  # refuses early
    spec = spec_for(job.weights.name, recipe, found.classes, name=job.out.name, scratch=job.scratch)
    flips = _settle_flips(recipe, found.classes)
    test_views = _settle_test(recipe, spec.protocol)
    found = leave_out_broken(
        found,
        protocol=spec.protocol,
        opening=job.opening,
        workers=job.workers,
        notice=reporter.notice,
    )
    found = join_copies(found, reporter.notice)
    examples = split_examples(found, val_share=job.source.val_share, seed=recipe.seed)
    share = job.source.val_share if found.val is None else None
    for text in describe_examples(examples, val_share=share):
        reporter.notice(text)
    devices = find_world().size
    recipe, told = adapt_to_size(
        recipe,
        clips=len(examples.train),
        classes=len(examples.classes),
        step_clips=devices * recipe.batch_size * recipe.accumulate,
        free=job.free_keys,
    )
    if told is not None:
        reporter.notice(told)
    plan = make_plan(recipe, train_clips=len(examples.train), devices=devices)
    for text in plan.describe():
        reporter.notice(text)
    reporter.notice(flips.reason)
    reporter.notice(_describe_clips(spec.protocol))
    return TrainingSetup(
        examples=examples, plan=plan, spec=spec, flips=flips, test_views=test_views
    )


def _settle_flips(recipe: Recipe, classes: Sequence[str]) -> Flips:
    if recipe.freeze == "backbone":
        return Flips(
            on=False,
            reason="no flips: the features of a frozen backbone are computed "
            "once, without augmentation",
        )
    return choose_flips(recipe.flip, classes)


def _settle_test(recipe: Recipe, sampling: InputProtocol) -> Views | None:
    """Views of the test at the end; None where they are those of every validation."""
    if recipe.test_views == "none":
        return None
    views = resolve_views(recipe.test_views, sampling)
    return None if views == resolve_views("1x1", sampling) else views


def _describe_clips(sampling: InputProtocol) -> str:
    pace = f"one in {sampling.interval_frames}"
    if sampling.frame_rate is not None:
        pace = f"{sampling.frame_rate:g} per second"
    elif sampling.sampling == "uniform":
        pace = "spread over the video"
    side = sampling.crop_size
    return f"clips of {sampling.clip_frames} frames, {pace}, {side}x{side} px"


def choose_loader(job: Job, setup: TrainingSetup, runtime: Runtime) -> EvalLoader:
    """Loader of validation clips; raises UsageError where the device cannot follow the recipe."""
    recipe = setup.recipe
    if runtime.on_cpu:
        check_memory(setup.spec, recipe)
    workers = job.workers
    if workers is None:
        workers = count_workers(setup.plan.train_clips, on_cpu=runtime.on_cpu)
    return EvalLoader(
        sampling=setup.spec.protocol,
        opening=job.opening,
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
