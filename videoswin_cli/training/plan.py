"""Arithmetic of a run: clips per step, learning rate, steps. Known before anything is loaded."""

import math
from dataclasses import dataclass

from videoswin_cli.errors import UsageError
from videoswin_cli.io.visible import counted
from videoswin_cli.training.optimizer import schedule
from videoswin_cli.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Sizes, learning rate and steps of a run."""

    devices: int
    batch_size: int  # clips per device at once
    accumulate: int
    train_clips: int
    steps: int
    warmup_steps: int
    lr: float  # of the head, at its highest
    recipe: Recipe

    @property
    def step_clips(self) -> int:
        """Clips that one step learns from: the effective batch."""
        return self.devices * self.batch_size * self.accumulate

    def epoch_of(self, step: int) -> int:
        """Passes over the training clips that are complete after so many steps."""
        return min(step * self.step_clips // self.train_clips, self.recipe.epochs)

    def last_of_epoch(self, step: int) -> bool:
        """Whether step `step`, from 0, completes a pass; the last one always does."""
        return self.epoch_of(step + 1) > self.epoch_of(step) or step + 1 == self.steps

    def lr_of(self, step: int) -> float:
        """Learning rate of the head in step `step`, from 0."""
        return self.lr * schedule(
            step,
            steps=self.steps,
            warmup_steps=self.warmup_steps,
            warmup_start=self.recipe.warmup_start,
        )

    def describe(self) -> list[str]:
        """Sentences for the user, with the sums."""
        recipe = self.recipe
        clips = (
            f"{counted(self.devices, 'device')} x {counted(self.batch_size, 'clip')} x "
            f"{self.accumulate} accumulated = {counted(self.step_clips, 'clip')} per step"
        )
        if recipe.scale_lr:
            lr = f"{recipe.lr:g} x {self.step_clips} / {recipe.lr_batch} = {self.lr:g}"
        else:
            lr = f"{self.lr:g}"
        short = (
            ", a third of the run" if recipe.warmup_epochs == "auto" and recipe.warmup < 1 else ""
        )
        return [
            clips,
            f"learning rate {lr} for the head, x {recipe.backbone_lr_mult:g} for the backbone",
            f"{counted(recipe.epochs, 'epoch')} x {counted(self.train_clips, 'clip')} / "
            f"{self.step_clips} = {counted(self.steps, 'step')}, {self.warmup_steps} of them "
            f"warm-up{short}",
        ]


def make_plan(recipe: Recipe, *, train_clips: int, devices: int) -> Plan:
    """Plan of a run: clips per step, and the learning rate and steps that follow from them."""
    step_clips = devices * recipe.batch_size * recipe.accumulate
    lr = recipe.lr * step_clips / recipe.lr_batch if recipe.scale_lr else recipe.lr
    steps = math.ceil(recipe.epochs * train_clips / step_clips)
    return Plan(
        devices=devices,
        batch_size=recipe.batch_size,
        accumulate=recipe.accumulate,
        train_clips=train_clips,
        steps=steps,
        # of so few steps that rounding would leave none after it the last one is not warm-up
        warmup_steps=min(round(recipe.warmup * train_clips / step_clips), steps - 1),
        lr=lr,
        recipe=recipe,
    )


def check_partners(recipe: Recipe) -> None:
    """Raises UsageError where clips are to be mixed and a micro-batch has only one."""
    mixed = " and ".join(name for name in ("mixup", "cutmix") if getattr(recipe, name))
    if mixed and recipe.batch_size == 1:
        raise UsageError(
            f"{mixed} with batch_size 1: a clip is mixed with another one of its micro-batch",
            hint=f"--set batch_size=2 or more, or set {mixed} to 0",
        )
