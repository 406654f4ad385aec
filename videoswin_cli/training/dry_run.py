"""Dry run: the plan of a training, and its cost measured on one micro-batch of a random network."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from videoswin_cli.data.class_folders import Place
from videoswin_cli.data.training_dataset import TrainingClip, TrainingClips
from videoswin_cli.engine.distributed import find_world
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.runtime import Runtime, choose_runtime
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.network import build_network, plan_training
from videoswin_cli.options.training import FinetuneOptions
from videoswin_cli.training.initialize import freeze, train_mode
from videoswin_cli.training.job import resolve_options
from videoswin_cli.training.memory import activation_bytes, shrink_clip
from videoswin_cli.training.optimizer import group_parameters, make_optimizer, set_lr
from videoswin_cli.training.plan import Plan
from videoswin_cli.training.preparation import (
    choose_augmentation,
    choose_loader,
    prepare,
    settle_precision,
)

_GIB = 2**30
_MOST_MEASURED = 2**29  # bytes of activations of the clip that is measured on a CPU


def dry_run(data: Place | None, options: FinetuneOptions, reporter: Reporter) -> None:
    """Report data, plan and measured cost; no weights are loaded and nothing is written.

    Raises:
        UsageError: what is wrong with the data or the recipe.
    """
    world = find_world()
    job = resolve_options(data, options, reporter.notice)
    runtime = choose_runtime(device=world.device(job.device))
    recipe = settle_precision(job.recipe, runtime, notice=reporter.notice)
    setup = prepare(replace(job, recipe=recipe), reporter)
    recipe, examples, spec = setup.recipe, setup.examples, setup.spec
    reading = choose_loader(job, setup, runtime)
    clips = TrainingClips(
        [examples.train[0].part],
        protocol=spec.protocol,
        augmentation=choose_augmentation(recipe, setup.flips),
        opening=job.opening,
        seed=recipe.seed,
    )
    clip = clips[0, 0]
    reporter.notice("measuring a training step ...")
    cost = estimate(spec, setup.plan, runtime, reading.dtype)
    reporter.notice(
        cost.describe(
            setup.plan,
            val_clips=len(examples.val),
            clip_seconds=clip.seconds if isinstance(clip, TrainingClip) else 0.0,
            workers=reading.workers,
        )
    )


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Cost on one device. A linear probe computes features once: its steps cost next to nothing."""

    step_seconds: float  # forward and backward of a step's clips, and the update
    forward_seconds: float  # per clip, without gradients
    state_bytes: int  # weights, gradients, optimizer, averaged weights
    activation_bytes: int  # kept for the backward pass, for `batch_size` clips
    smaller: str = ""  # clip that it was measured on, where that is not one of the run

    def describe(self, plan: Plan, *, val_clips: int, clip_seconds: float, workers: int) -> str:
        """Sentence for the user.

        Args:
            plan: the run.
            val_clips: validated after each epoch.
            clip_seconds: that decoding and augmenting one clip takes.
            workers: processes that do so.
        """
        reading = clip_seconds / max(workers, 1)  # seconds per clip
        step = max(self.step_seconds, reading * plan.step_clips / plan.devices)
        looked = max(self.forward_seconds, reading) / plan.devices  # seconds per clip
        seconds = plan.steps * step + plan.recipe.epochs * val_clips * looked
        where = f"measured here{f' on a clip of {self.smaller}' if self.smaller else ''}"
        parts = f"{_duration(step)} per step"
        if plan.recipe.freeze == "backbone":
            seconds = (plan.train_clips + val_clips) * looked
            parts = f"{_duration(looked)} per clip, once"
        gib = self.state_bytes / _GIB, self.activation_bytes / _GIB
        return (
            f"about {_duration(seconds)} in all ({parts}; {where}) and {sum(gib):.1f} GiB of "
            f"memory per device ({gib[0]:.1f} weights, gradients and optimizer, {gib[1]:.1f} "
            "activations)"
        )


def estimate(spec: ModelSpec, plan: Plan, runtime: Runtime, dtype: torch.dtype) -> Estimate:
    """Time and memory of a step, measured on the second of two of a random network.

    On a CPU with one clip, whose time is that of each clip of a batch, and a smaller one where it
    is large; on a GPU with a whole micro-batch.

    Raises:
        RuntimeError: out of memory.
    """
    recipe = plan.recipe
    network = build_network(
        spec.architecture,
        drop_path_rate=recipe.drop_path_rate,
        head_dropout=recipe.head_dropout,
    ).to(runtime.device)
    freeze(network, recipe)
    network.recompute(recipe.checkpointing)
    optimizer = make_optimizer(network, group_parameters(network, recipe), recipe)
    set_lr(optimizer, 0.0)
    count = 1 if runtime.on_cpu else plan.batch_size
    measured = shrink_clip(spec, most=_MOST_MEASURED) if runtime.on_cpu else spec
    times = activation_bytes(spec) / activation_bytes(measured)
    side, frames = measured.protocol.crop_size, measured.protocol.clip_frames
    clips = torch.zeros(count, 3, frames, side, side, device=runtime.device)
    mixed = nullcontext() if dtype == torch.float32 else torch.autocast(runtime.device.type, dtype)
    planned, kept = plan_training(network), _Kept(network)
    training = 0.0
    for _ in range(2):
        train_mode(network)
        begun = _now(runtime)
        with mixed, kept:
            loss = planned(clips).float().sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        training = _now(runtime) - begun
    network.eval()
    begun = _now(runtime)
    with torch.inference_mode(), mixed:
        network(clips)
    forward = _now(runtime) - begun
    sizes = [(p.numel(), p.requires_grad) for p in network.parameters()]
    trained = sum(count for count, learns in sizes if learns)
    copies = 4 if recipe.ema else 3  # gradient, two moments, average
    return Estimate(
        step_seconds=times * training / count * plan.step_clips / plan.devices,
        forward_seconds=times * forward / count,
        state_bytes=4 * (sum(count for count, _ in sizes) + copies * trained),
        activation_bytes=int(times * kept.total / count) * plan.batch_size,
        smaller="" if measured == spec else f"{frames}x{side}x{side}",
    )


class _Kept(torch.autograd.graph.saved_tensors_hooks):
    """Counter of the bytes that a forward pass keeps for the backward pass, each memory once."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(self._pack, lambda tensor: tensor)
        self._seen = {p.untyped_storage().data_ptr() for p in network.parameters()}
        self._own = set(self._seen)
        self.total = 0

    def __enter__(self) -> None:
        self._seen, self.total = set(self._own), 0
        super().__enter__()

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self.total += storage.nbytes()
        return tensor


def _now(runtime: Runtime) -> float:
    if not runtime.on_cpu:
        torch.cuda.synchronize(runtime.device)
    return time.perf_counter()


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
