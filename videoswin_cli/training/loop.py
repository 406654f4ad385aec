"""Steps of training: forward, backward, update. Items and validation come from elsewhere."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from videoswin_cli.data.dataset import FailedVideo
from videoswin_cli.data.training_clips import TrainingClip, seeded
from videoswin_cli.engine.inference import is_out_of_memory
from videoswin_cli.engine.processes import Processes
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.training.inputs import CachedClip, Inputs, Item
from videoswin_cli.training.loss import Loss, mix
from videoswin_cli.training.optimizer import set_lr
from videoswin_cli.training.plan import Plan
from videoswin_cli.training.targets import Targets


@dataclass(frozen=True, kw_only=True)
class StepResult:
    loss: float  # mean over the clips of all processes
    lr: float
    clips: int  # of this process
    failed: tuple[FailedVideo, ...]
    skipped: bool = False  # its fp16 gradients overflowed, so the weights stay as they were


class Stepper:
    """Takes steps. Its random numbers follow from the seed and the step alone."""

    def __init__(
        self,
        inputs: Inputs,
        optimizer: torch.optim.Optimizer,
        loss: Loss,
        plan: Plan,
        *,
        targets: Targets,
        device: torch.device,
        dtype: torch.dtype,
        processes: Processes,
        notice: Callable[[str], None],
    ) -> None:
        self.optimizer = optimizer
        self.scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
        self._inputs = inputs
        self._parallel = inputs.trained
        if processes.size > 1:
            self._parallel = DistributedDataParallel(
                inputs.trained, device_ids=[device.index] if device.type == "cuda" else None
            )
        self._loss = loss
        self._plan = plan
        self._targets = targets
        self._device = device
        self._processes = processes
        self._notice = notice
        self._at_once = plan.batch_size

    def step(self, number: int, items: Sequence[Item]) -> StepResult:
        """Learn from this process's clips of step `number`, from 0.

        Raises:
            VideoSwinError: no memory for a single clip, or for one of several processes.
        """
        recipe, plan = self._plan.recipe, self._plan
        lr = plan.lr_of(number)
        set_lr(self.optimizer, lr)
        clips = [item for item in items if not isinstance(item, FailedVideo)]
        while True:
            torch.manual_seed(
                seeded(recipe.seed, "step", number, self._processes.rank).initial_seed()
            )
            self.optimizer.zero_grad(set_to_none=True)
            try:
                total = self._backward(number, clips)
                break
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
        if recipe.clip_grad_norm:
            self.scaler.unscale_(self.optimizer)
            trained = [p for group in self.optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(trained, recipe.clip_grad_norm)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        skipped = self.scaler.get_scale() < scale
        failed = tuple(item for item in items if isinstance(item, FailedVideo))
        return StepResult(
            loss=self._mean(total), lr=lr, clips=len(clips), failed=failed, skipped=skipped
        )

    def _backward(self, number: int, clips: Sequence[TrainingClip | CachedClip]) -> float:
        """Gradients of the mean loss over the clips of all processes. Returns our share of it."""
        recipe, total = self._plan.recipe, 0.0
        starts = list(range(0, len(clips), self._at_once)) or [0]
        for start in starts:
            batch = clips[start : start + self._at_once]
            with self._no_exchange(start != starts[-1]):
                inputs = self._inputs.batch(batch)
                # Where all were broken a row that counts for nothing stands in: other processes
                # wait for our gradients.
                targets = self._targets.of(batch).to(self._device)
                generator = seeded(recipe.seed, "mix", number, self._processes.rank, start)
                inputs, targets = mix(inputs, targets, recipe, generator)
                with self._inputs.autocast():
                    logits = self._parallel(inputs)
                # DDP averages over the processes, so each divides by its own share only.
                loss = self._loss(logits, targets).sum() * bool(batch)
                loss = loss / (self._plan.step_clips / self._processes.size)
                self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _no_exchange(self, more_to_come: bool) -> AbstractContextManager[object]:
        if isinstance(self._parallel, DistributedDataParallel) and more_to_come:
            return self._parallel.no_sync()
        return nullcontext()

    def _mean(self, share: float) -> float:
        if self._processes.size == 1:
            return share
        value = torch.tensor([share], dtype=torch.float64, device=self._device)
        dist.all_reduce(value)
        return value.item() / self._processes.size

    def _halve(self, error: RuntimeError) -> None:
        if self._at_once == 1 or self._processes.size > 1:
            raise VideoSwinError(
                f"out of memory with {self._at_once} clips at once",
                hint="--set checkpointing=true, a smaller --set batch_size with more --set "
                "accumulate, --precision bf16, or a smaller model",
            ) from error
        self._at_once = -(-self._at_once // 2)
        self._notice(
            f"out of memory: going on with {self._at_once} clips at once and as many more "
            "accumulated, so a step stays the same"
        )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def deal_steps(items: Iterator[Item], *, clips: int) -> Iterator[list[Item]]:
    """So many items a step."""
    while step := list(islice(items, clips)):
        yield step
