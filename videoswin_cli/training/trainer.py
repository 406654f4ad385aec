"""Trainer: epochs of steps and their validations, saved so that a killed run can be resumed."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor

from videoswin_cli.data.splitting import rarest_labels
from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.metrics import confusions
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.io.visible import counted
from videoswin_cli.model.loading import LoadedModel, load
from videoswin_cli.records import METRIC_NAMES, Views
from videoswin_cli.training.checkpoint import Progress, load_checkpoint, read_recipe_of
from videoswin_cli.training.checkpoint_checks import check_optimizer, check_scaler, check_weights
from videoswin_cli.training.due import Due, find_due, find_wait, is_validated
from videoswin_cli.training.ema import EMA
from videoswin_cli.training.inputs import Inputs
from videoswin_cli.training.preparation import TrainingSetup
from videoswin_cli.training.run_folder import BEST, LAST, RunFolder, is_in_place
from videoswin_cli.training.sampler import ClipSampler
from videoswin_cli.training.soundness import Saved, check_loss, check_scale, check_sound
from videoswin_cli.training.step import Stepper, StepResult, mean_loss
from videoswin_cli.training.step_items import StepItems, feed_steps
from videoswin_cli.training.stopping import agree, catch_signals
from videoswin_cli.training.validation import Validation, validate

_NAMED = 5  # unreadable clips in a message; failed.jsonl has all
_MORE = "--resume with more --epochs continues it"


class Trainer:
    """Model, optimizer, averages, batches and progress of a run; nothing else changes them."""

    def __init__(
        self,
        setup: TrainingSetup,
        model: LoadedModel,
        inputs: Inputs,
        stepper: Stepper,
        *,
        folder: RunFolder,
        world: World,
        reporter: Reporter,
    ) -> None:
        recipe = setup.recipe
        self.progress = Progress()
        self.model = model
        self.ema = EMA(model.module, recipe.ema) if recipe.ema else None
        self.examples = setup.examples
        self.plan = setup.plan
        self._inputs = inputs
        self._stepper = stepper
        self._folder = folder
        self._world = world
        self._reporter = reporter
        self._sampler = ClipSampler(
            rarest_labels(self.examples.train),
            seed=recipe.seed,
            balanced=recipe.balance == "sampler",
        )
        self._saved_step: int | None = None  # of state.pt

    def run(self) -> bool:
        """Train and validate all that is due. Returns whether it was interrupted."""
        progress, plan = self.progress, self.plan
        if find_due(progress, plan) is None:
            self._reporter.notice(f"nothing is left to train; {_MORE}")
        else:
            self._reporter.start(plan.steps, unit="step", done=progress.step)
        with catch_signals() as caught:
            while due := find_due(progress, plan):
                if due is Due.TRAINING:
                    done = not self._agree(caught())[0] and self.train_epoch(caught)
                else:
                    done = self.validate(lambda: self._agree(caught())[0])
                if not done:
                    self.save()
                    return True
        if waited := find_wait(progress, plan):
            self._reporter.notice(f"no better for {counted(waited, 'epoch')}: stopped; {_MORE}")
        return False

    def train_epoch(self, caught: Callable[[], bool] = lambda: False) -> bool:
        """Train up to the end of the pass over the clips.

        Args:
            caught: asked after each step; whether a signal came to this process.

        Returns:
            Whether it got there.

        Raises:
            VideoSwinError: the training has diverged, or the disk is full.
        """
        begun = time.monotonic()
        saved = begun if self.progress.step else -math.inf  # at once: a full disk shows early
        with closing(self._feed_epoch()) as steps:
            for step_items in steps:
                result = self._stepper.step(self.progress.step, step_items)
                self._count_step(result)
                spent = time.monotonic() - begun
                begun = time.monotonic()
                self._reporter.advance(
                    status=f"loss {result.loss:.3f}, lr {result.lr:.2e}, "
                    f"{self.plan.step_clips / spent:.1f} clips/s, "
                    f"{step_items.wait_seconds / spent:.0%} waiting for clips"
                )
                late = begun - saved > self.plan.recipe.save_minutes * 60
                stop, save = self._agree(caught(), late)
                if stop:
                    return False
                if save:
                    self.save()
                    saved = time.monotonic()
        return True

    def validate(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Validate the epoch, save, and keep its weights where they are the best so far.

        Args:
            stopped: asked now and then, by all processes equally often; True ends it.

        Returns:
            Whether it was not stopped.

        Raises:
            VideoSwinError: no clip can be read, the training has diverged, or the disk is full.
        """
        recipe = self.plan.recipe
        with self._averaged():
            found = validate(
                self._inputs.logits,
                self.examples.val,
                self._world,
                classes=len(self.examples.classes),
                multi_label=recipe.multi_label,
                stopped=stopped,
            )
        if found is None:
            return False
        self._report_failures(found)
        check_loss(found.loss, "the validation loss", self._saved)
        row = self._count_epoch(found)
        self._folder.write_scalars("epoch", row, self.progress.step)
        self._reporter.notice(
            f"epoch {row['epoch']} of {recipe.epochs}: training loss {row['train_loss']:.4f}, "
            f"validation loss {found.loss:.4f}, "
            + ", ".join(
                f"{METRIC_NAMES[key]} {value:.2f} %" for key, value in found.metrics.items()
            )
        )
        self.save()  # first: the files follow from it, should this be the last that is done
        self._write_epoch()
        return True

    def test(self, views: Views) -> Validation | None:
        """Metrics of the best epoch's weights with these views of each validation clip.

        Returns:
            None where a signal stopped it.
        """
        self._reporter.notice(
            f"testing the best epoch with {views} views of each of "
            f"{counted(len(self.examples.val), 'clip')}"
        )
        self._world.wait()  # the main process has written it
        reading = self._inputs.reading
        network = load(str(self.folder / BEST)).module.to(reading.runtime.device).eval()
        with catch_signals() as caught:
            return validate(
                lambda clips: reading.outputs(clips, network, views=views),
                self.examples.val,
                self._world,
                classes=len(self.examples.classes),
                multi_label=self.plan.recipe.multi_label,
                stopped=lambda: self._agree(caught())[0],
            )

    def save(self) -> None:
        """Write state.pt; all processes must be here.

        Raises:
            VideoSwinError: the training has diverged, or the disk is full.
        """
        progress = self.progress
        check_sound(self._tensors(), self._inputs, progress.step, self._saved)
        failures = self._world.share(list(progress.failures.items()))
        progress.failures = dict(sorted(failures))
        tensors: dict[str, Any] = {
            "network": self.model.module.state_dict(),
            "optimizer": self._stepper.optimizer.state_dict(),
            "scaler": self._stepper.scaler.state_dict(),
            "averaged": self.ema.tensors if self.ema else {},
        }
        self._folder.save_state(progress, tensors)
        self._saved_step = progress.step

    def restore(self, state: Path) -> None:
        """Resume a run from its state.pt.

        Raises:
            UsageError: it is damaged or of another run, or nothing is left to train and the best
                weights are gone.
        """
        self.progress, tensors = load_checkpoint(
            state, self._folder.description, steps=self.plan.steps
        )
        network, stepper = self.model.module, self._stepper
        try:
            check_weights(tensors["network"], network.state_dict(), what="network")
            check_optimizer(tensors["optimizer"], stepper.optimizer)
            check_scaler(tensors["scaler"], stepper.scaler.state_dict())
            averages = self.ema.tensors if self.ema else {}
            check_weights(tensors["averaged"], averages, what="averaged")
        except UsageError as error:  # these know nothing of files
            raise UsageError(f"{state}: {error.message}", hint=error.hint) from error
        network.load_state_dict(tensors["network"])
        stepper.optimizer.load_state_dict(tensors["optimizer"])
        stepper.scaler.load_state_dict(tensors["scaler"])
        if self.ema is not None:
            self.ema.load(tensors["averaged"])
        if is_in_place(self.folder, state):
            self._saved_step = self.progress.step
        self._reporter.notice(
            f"resuming after step {self.progress.step} of {self.plan.steps}, {state}"
        )
        self._extend(state)
        self._find_best()

    def close(self) -> None:
        """Close what is open in the folder."""
        self._folder.close()

    def write_files(self) -> None:
        """Write what follows from the recipe, the clips and the progress, killed or not before."""
        progress = self.progress
        self._folder.write_setup(self.plan.recipe, self.examples)
        self._folder.open_scalars(progress.step)
        if progress.step:  # those of the last step again: they were hidden with what came later
            values = {"loss": progress.losses[-1], "lr": self.plan.lr_of(progress.step - 1)}
            self._folder.write_scalars("step", values, progress.step)
        if is_validated(progress):
            self._folder.write_scalars("epoch", progress.epochs[-1], progress.step)
            self._write_epoch()
        elif progress.epochs:
            self._folder.write_metrics(progress.epochs)
        self._world.wait()

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self._folder.path

    @property
    def _saved(self) -> Saved:
        return Saved(folder=self.folder, step=self._saved_step, epochs=len(self.progress.epochs))

    def _averaged(self) -> AbstractContextManager[None]:
        """The averages as weights of the network, where there are any, for the block."""
        return nullcontext() if self.ema is None else self.ema.applied(self.model.module)

    def _agree(self, *flags: bool) -> list[bool]:
        return agree(*flags, world=self._world, device=self._inputs.device)

    def _feed_epoch(self) -> Generator[StepItems, None, None]:
        """Clips of this process in each step up to the end of the pass."""
        plan, end = self.plan, self.progress.step
        while not plan.last_of_epoch(end):
            end += 1
        share = plan.batch_size * plan.accumulate
        keys = []
        for step in range(self.progress.step, end + 1):
            first = step * plan.step_clips + self._world.rank * share
            keys.append(self._sampler.keys(range(first, first + share)))
        return feed_steps(
            self._inputs, keys, batch_size=plan.batch_size, notice=self._reporter.notice
        )

    def _count_step(self, result: StepResult) -> None:
        """Raises VideoSwinError where nothing can be learned any more."""
        progress = self.progress
        step = progress.step + 1
        if not result.clips_seen:
            self._reporter.notice(f"step {step}: none of its clips can be read: skipped")
        else:
            check_loss(result.loss, f"the loss of step {step}", self._saved)
            if result.skipped:
                check_scale(self._stepper.scaler.get_scale(), step, self._saved)
            elif self.ema is not None:
                self.ema.update(self.model.module, progress.step)
        progress.step += 1
        progress.losses.append(result.loss)
        for failure in result.failed:
            progress.failures[failure.path] = failure.reason
        values = {"loss": result.loss, "lr": result.lr}
        self._folder.write_scalars("step", values, progress.step)

    def _report_failures(self, found: Validation) -> None:
        """Name validation clips that could not be read, once.

        Raises:
            VideoSwinError: none could be read.
        """
        progress, failures = self.progress, found.failures
        new = [f"{path} ({why})" for path, why in failures.items() if path not in progress.failures]
        if len(failures) == len(found.videos):
            self.save()
            named = [f"{path} ({why})" for path, why in failures.items()][:_NAMED]
            raise VideoSwinError(
                f"none of the {len(failures)} validation clips can be read any more: "
                f"{'; '.join(named)}",
                hint="put them back; --resume then validates the epoch, whose weights are saved",
            )
        progress.failures |= failures
        if new:
            more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
            self._reporter.notice(
                f"{len(failures)} of {len(found.videos)} validation clips cannot be read and count "
                f"as wrong: {'; '.join(new[:_NAMED])}{more}"
            )

    def _count_epoch(self, found: Validation) -> dict[str, int | float]:
        """Row of metrics.csv, which joins the progress."""
        progress = self.progress
        begun = int(progress.epochs[-1]["step"]) if progress.epochs else 0
        row = {
            "epoch": self.plan.epoch_of(progress.step),
            "step": progress.step,
            "train_loss": mean_loss(progress.losses[begun:]),
            "val_loss": found.loss,
            **found.metrics,
        }
        progress.epochs.append(row)
        best, *_ = found.metrics.values()
        if (best, -found.loss) > (progress.best, -progress.best_loss):
            progress.best, progress.best_loss = best, found.loss
            progress.best_epoch = int(row["epoch"])
            counts = confusions(found.videos)
            progress.confusions = [(true, got, n) for (true, got), n in counts.items()]
        return row

    def _write_epoch(self) -> None:
        """Write the weights of the epoch, and the table."""
        row = self.progress.epochs[-1]
        with self._averaged():
            self._folder.save_model(LAST, self.model, row)
            if row["epoch"] == self.progress.best_epoch:
                self._folder.save_model(BEST, self.model, row)
        self._folder.write_metrics(self.progress.epochs)

    def _tensors(self) -> Iterator[Tensor]:
        """All that a checkpoint holds of numbers."""
        yield from self.model.module.state_dict().values()
        for moments in self._stepper.optimizer.state.values():
            yield from (value for value in moments.values() if isinstance(value, Tensor))
        if self.ema is not None:
            yield from self.ema.tensors.values()

    def _extend(self, state: Path) -> None:
        """Where more epochs are asked for: patience counts anew, the learning rate may rise."""
        before = (read_recipe_of(state) or {}).get("epochs")
        plan, progress = self.plan, self.progress
        if before == plan.recipe.epochs or not progress.step:
            return
        if progress.epochs:
            progress.waits_from = int(progress.epochs[-1]["epoch"])
        if progress.step < plan.steps:
            last = self._stepper.optimizer.param_groups[0]
            rate = last["lr"] / last["lr_mult"] if last["lr_mult"] else math.nan
            self._reporter.notice(
                f"{plan.recipe.epochs} epochs for {before}: the learning rate follows the cosine "
                f"to step {plan.steps} from here on; it was {rate:.3g} in step {progress.step}, "
                f"it is {plan.lr_of(progress.step):.3g} in the next one"
            )

    def _find_best(self) -> None:
        """Forget the best epoch where its weights are gone and the state holds those of another.

        Raises:
            UsageError: there is no epoch to come that could be better.
        """
        progress, best = self.progress, self.folder / BEST
        there = self._world.broadcast(best.exists())
        last = int(progress.epochs[-1]["epoch"]) if progress.epochs else 0
        writable = is_validated(progress) and progress.best_epoch == last
        if there or writable or not progress.best_epoch:
            return
        problem = f"{best} of epoch {progress.best_epoch} is gone"
        if find_due(progress, self.plan) is None:
            raise UsageError(
                f"{problem}, and the state holds the weights of epoch {last}",
                hint=f"{LAST} is of that epoch; more --epochs write a new best",
            )
        self._reporter.notice(f"{problem}: the best of the epochs to come takes its place")
        progress.best, progress.best_loss, progress.confusions = -math.inf, math.inf, []
        progress.best_epoch, progress.waits_from = 0, last
