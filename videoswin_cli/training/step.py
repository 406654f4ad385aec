"""Training steps: forward, backward, update."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from videoswin_cli.data.training_dataset import TrainingClip
from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.forward import is_out_of_memory
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.visible import counted
from videoswin_cli.seeding import seeded
from videoswin_cli.training.inputs import CachedClip, Inputs, Item
from videoswin_cli.training.loss import Loss, mix
from videoswin_cli.training.optimizer import set_lr
from videoswin_cli.training.plan import Plan
from videoswin_cli.training.targets import Targets

Clip = TrainingClip | CachedClip


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """Outcome of a step. Without a single readable clip nothing was updated."""

    loss: float  # mean over `clips_seen`; NaN where there were none
    lr: float
    clips_seen: int  # clips of all processes that could be read
    failed: tuple[FailedVideo, ...]  # of this process
    skipped: bool = False  # no clip was seen, or fp16 gradients overflowed: the weights stay


@dataclass
class _Sums:
    """Sums over the micro-batches of one step, in this process."""

    loss: float = 0.0  # mean over the planned clips of this process
    clips: int = 0  # that could be read
    failed: list[FailedVideo] = field(default_factory=list)


class Stepper:
    """Optimizer steps. Their random numbers follow from the seed and the step alone."""

    def __init__(
        self,
        inputs: Inputs,
        optimizer: torch.optim.Optimizer,
        loss: Loss,
        plan: Plan,
        *,
        targets: Targets,
        dtype: torch.dtype,
        world: World,
        notice: Callable[[str], None],
    ) -> None:
        device = inputs.device
        self.optimizer = optimizer
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
        self._inputs = inputs
        self._parallel = inputs.trained
        if world.size > 1:
            self._parallel = DistributedDataParallel(
                inputs.trained, device_ids=[device.index] if device.type == "cuda" else None
            )
        self._loss = loss
        self._plan = plan
        self._targets = targets
        self._device = device
        self._world = world
        self._notice = notice
        self._at_once = plan.batch_size

    def step(self, number: int, items: Iterable[Item]) -> StepResult:
        """Learn from this process's clips of step `number`, from 0.

        The loss and its gradient are means over the clips that could be read, in all processes.

        Args:
            number: of the step.
            items: taken as the micro-batches need them, which are then dropped. After running out
                of memory they are iterated again from the first one: a backward pass that breaks
                off leaves a part of its gradient behind.

        Raises:
            VideoSwinError: no memory for a single clip, or for one of several processes.
        """
        plan = self._plan
        lr = plan.lr_of(number)
        set_lr(self.optimizer, lr)
        sums = None
        while sums is None:
            self.optimizer.zero_grad(set_to_none=True)
            sums = self._accumulate(number, items)
        loss, seen = self._add_up(sums)
        updated = bool(seen) and self._update(plan.step_clips / seen)
        return StepResult(
            loss=loss,
            lr=lr,
            clips_seen=seen,
            failed=tuple(sums.failed),
            skipped=not updated,
        )

    def _accumulate(self, number: int, items: Iterable[Item]) -> _Sums | None:
        """Gradients of all micro-batches, divided by the planned clips; None: out of memory."""
        sums = _Sums()
        for batch, more in _micro_batches(items, self._plan.batch_size, sums.failed):
            if batch or self._world.size > 1:  # the others wait for our gradients
                try:
                    sums.loss += self._backward(number, sums.clips, batch, more_to_come=more)
                except RuntimeError as error:
                    if not is_out_of_memory(error):
                        raise
                    self._halve(error)
                    return None
            sums.clips += len(batch)
            del batch  # before the next one is gathered
        return sums

    def _backward(
        self, number: int, start: int, batch: Sequence[Clip], *, more_to_come: bool
    ) -> float:
        """Gradients of the loss of one micro-batch, whose first clip is the `start`-th readable.

        Returns:
            Its share of the mean over the planned clips of this process.
        """
        recipe, total = self._plan.recipe, 0.0
        place = number, self._world.rank, start
        # Not before the clips are there: a loader that starts draws from torch's own numbers.
        torch.manual_seed(seeded(recipe.seed, "step", *place).initial_seed())
        inputs = self._inputs.batch(batch)
        # Without a clip a row that counts for nothing stands in.
        targets = self._targets.of(batch).to(self._device)
        generator = seeded(recipe.seed, "mix", *place)
        # Mixed before it is divided: what does not fit into memory keeps its partners.
        inputs, targets = mix(inputs, targets, recipe, generator)
        for first in range(0, len(inputs), self._at_once):
            piece = slice(first, first + self._at_once)
            with self._no_exchange(more_to_come or piece.stop < len(inputs)):
                with self._inputs.autocast():
                    logits = self._parallel(inputs[piece])
                # DDP averages over the processes, so each divides by its own share only.
                loss = self._loss(logits, targets[piece]).sum() * bool(batch)
                loss = loss / (self._plan.step_clips / self._world.size)
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _update(self, factor: float) -> bool:
        """Let the optimizer take its step with the gradient times `factor`.

        Returns:
            Whether it did: gradients that overflow in fp16 change no weight.
        """
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        if factor != 1:
            for parameter in trained:
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)
        if self._plan.recipe.clip_grad_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(trained, self._plan.recipe.clip_grad_norm)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return self.scaler.get_scale() >= scale

    def _no_exchange(self, more_to_come: bool) -> AbstractContextManager[object]:
        if isinstance(self._parallel, DistributedDataParallel) and more_to_come:
            return self._parallel.no_sync()
        return nullcontext()

    def _add_up(self, sums: _Sums) -> tuple[float, int]:
        """Mean loss over the readable clips of all processes, and their number."""
        loss, seen = sums.loss, sums.clips
        if self._world.size > 1:
            values = torch.tensor([loss, seen], dtype=torch.float64, device=self._device)
            dist.all_reduce(values)
            loss, seen = values[0].item() / self._world.size, int(values[1].item())
        return (loss * (self._plan.step_clips / seen) if seen else math.nan), seen

    def _halve(self, error: RuntimeError) -> None:
        if self._at_once == 1 or self._world.size > 1:
            raise VideoSwinError(
                f"out of memory with {counted(self._at_once, 'clip')} at once",
                hint="--set checkpointing=true, a smaller --set batch_size with more --set "
                "accumulate, --precision bf16, or a smaller model",
            ) from error
        self._at_once = -(-self._at_once // 2)
        self._notice(
            f"out of memory: {counted(self._at_once, 'clip')} at once from now on; a step still "
            f"learns from {counted(self._plan.step_clips, 'clip')}"
        )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _micro_batches(
    items: Iterable[Item], size: int, failed: list[FailedVideo]
) -> Iterator[tuple[list[Clip], bool]]:
    """Readable clips, `size` at a time, and whether more follow; without any, one empty batch.

    What cannot be read is added to `failed`.
    """
    batch: list[Clip] = []
    for item in items:
        if isinstance(item, FailedVideo):
            failed.append(item)
            continue
        if len(batch) == size:
            yield batch, True
            batch = []
        batch.append(item)
    yield batch, False


def mean_loss(losses: Sequence[float]) -> float:
    """Mean over the steps that saw a clip; NaN where none did.

    All steps are planned with equally many clips, so it is the mean over the clips of the epoch. A
    clip that cannot be read gives its weight to the others of its step.
    """
    seen = [loss for loss in losses if not math.isnan(loss)]
    return sum(seen) / len(seen) if seen else math.nan
