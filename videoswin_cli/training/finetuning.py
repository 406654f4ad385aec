"""Clips in, a trained model out: what `videoswin finetune` runs."""

import math
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.engine.distributed import World, find_world, process_group
from videoswin_cli.engine.metrics import confusions
from videoswin_cli.engine.progress import Reporter, Silent
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.process_state import (
    deterministic_algorithms,
    full_float32,
    random_state_kept,
)
from videoswin_cli.records import METRIC_NAMES
from videoswin_cli.training.checkpoint import Progress
from videoswin_cli.training.due import Due, find_due, find_wait
from videoswin_cli.training.loop import StepResult, mean_loss
from videoswin_cli.training.preparation import FinetuneOptions, prepare
from videoswin_cli.training.recipe import Recipe
from videoswin_cli.training.run_folder import (
    check_output,
    lock_folder,
    open_folder,
    save_session,
    write_epoch,
)
from videoswin_cli.training.sampler import ClipSampler
from videoswin_cli.training.session import Session, ema_weights, open_session
from videoswin_cli.training.soundness import check_loss, check_scale
from videoswin_cli.training.splitting import rarest_labels
from videoswin_cli.training.step_items import feed_steps
from videoswin_cli.training.stopping import agree, catch_signals
from videoswin_cli.training.validation import Validation, validate

_NAMED = 5  # unreadable clips in a message; failed.jsonl has all
_MORE = "--resume auto with more --epochs continues it"


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """A run at its end: its best weights and its history."""

    best: Path
    best_epoch: int
    interrupted: bool
    progress: Progress
    classes: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]
    recipe: Recipe  # as it was run
    val_clips: int
    val_counts: tuple[int, ...]  # validation clips of each class


def finetune(options: FinetuneOptions, recipe: Recipe, reporter: Reporter) -> Finetuned | None:
    """Train, validate after every epoch, keep the best.

    Returns:
        Its end; None in all processes but the first.

    Raises:
        UsageError: data, recipe or output that do not fit.
        VideoSwinError: out of memory, or the disk is full.
    """
    world = find_world()
    if not world.is_main:
        reporter = Silent()
    check_output(options)
    repeatable = deterministic_algorithms() if recipe.deterministic else nullcontext()
    with repeatable, full_float32(), random_state_kept(), process_group(world):
        # All that holds on to the group of processes goes with this call: torch may hang where
        # the group outlives its end.
        return _finetune(options, recipe, reporter, world)


def _finetune(
    options: FinetuneOptions, recipe: Recipe, reporter: Reporter, world: World
) -> Finetuned | None:
    prepared = prepare(options, recipe, reporter)
    session = open_session(options, prepared, world, world.device(options.device), reporter)
    with lock_folder(options.out, world):
        open_folder(session)
        with closing(session.events):
            interrupted = _run(session)
    if not world.is_main:
        return None
    examples = session.examples
    named = {clip.file or "": clip.path for clip in (*examples.train, *examples.val)}
    return Finetuned(
        best=options.out / "best.safetensors",
        best_epoch=session.progress.best_epoch,
        interrupted=interrupted,
        progress=session.progress,
        classes=prepared.examples.classes,
        broken=(
            *prepared.examples.broken,
            *((named.get(path, path), why) for path, why in session.progress.failures.items()),
        ),
        recipe=session.recipe,
        val_clips=len(examples.val),
        val_counts=tuple(examples.counts(examples.val)),
    )


def _run(session: Session) -> bool:
    """All that is due. Returns whether it was interrupted."""
    progress, plan = session.progress, session.plan
    if find_due(progress, plan) is None:
        session.reporter.notice(f"nothing is left to train; {_MORE}")
    else:
        session.reporter.start(plan.steps, unit="step", done=progress.step)
    order = ClipSampler(
        rarest_labels(session.examples.train),
        seed=session.recipe.seed,
        balanced=session.recipe.balance == "sampler",
    )
    with catch_signals() as caught:

        def stopped() -> bool:
            (stop,) = _agree(session, caught())
            return stop

        while due := find_due(progress, plan):
            if due is Due.TRAINING:
                done = not stopped() and _train_epoch(session, order, caught)
            else:
                done = _validate_epoch(session, stopped)
            if not done:
                save_session(session)
                return True
    if waited := find_wait(progress, plan):
        session.reporter.notice(f"no better for {waited} epochs: stopped; {_MORE}")
    return False


def _train_epoch(session: Session, order: ClipSampler, caught: Callable[[], bool]) -> bool:
    """Steps up to the end of the pass. Returns whether it got there."""
    progress, plan = session.progress, session.plan
    end = progress.step
    while not plan.last_of_epoch(end):
        end += 1
    share = plan.batch_size * plan.accumulate
    keys = []
    for step in range(progress.step, end + 1):
        first = step * plan.step_clips + session.world.rank * share
        keys.append(order.keys(range(first, first + share)))
    begun = time.monotonic()
    saved = begun if progress.step else -math.inf  # a first save at once: a full disk shows early
    notice = session.reporter.notice
    with closing(
        feed_steps(session.inputs, keys, batch_size=plan.batch_size, notice=notice)
    ) as steps:
        for step_items in steps:
            result = session.stepper.step(progress.step, step_items)
            _count_step(session, result)
            spent = time.monotonic() - begun
            begun = time.monotonic()
            session.reporter.advance(
                status=f"loss {result.loss:.3f}, lr {result.lr:.2e}, "
                f"{plan.step_clips / spent:.1f} clips/s, "
                f"{step_items.wait_seconds / spent:.0%} waiting for clips"
            )
            late = begun - saved > session.recipe.save_minutes * 60
            stop, save = _agree(session, caught(), late)
            if stop:
                return False
            if save:
                save_session(session)
                saved = time.monotonic()
    return True


def _count_step(session: Session, result: StepResult) -> None:
    """Raises VideoSwinError where nothing can be learned any more."""
    progress = session.progress
    step = progress.step + 1
    if not result.clips_seen:
        session.reporter.notice(f"step {step}: none of its clips can be read: skipped")
    else:
        check_loss(result.loss, f"the loss of step {step}", session)
        if result.skipped:
            check_scale(session)
        elif session.averaged is not None:
            session.averaged.update(session.start.model.network, progress.step)
    progress.step += 1
    progress.losses.append(result.loss)
    for failure in result.failed:
        progress.failures[failure.path] = failure.reason
    session.events.write("step", {"loss": result.loss, "lr": result.lr}, progress.step)


def _validate_epoch(session: Session, stopped: Callable[[], bool]) -> bool:
    """Validate, and keep what is the best so far. Returns False where it was stopped."""
    with ema_weights(session):
        found = validate(
            session.inputs,
            session.examples.val,
            session.world,
            classes=len(session.examples.classes),
            multi_label=session.recipe.multi_label,
            stopped=stopped,
        )
    if found is None:
        return False
    _report_failures(session, found)
    check_loss(found.loss, "the validation loss", session)
    row = _count_epoch(session, found)
    session.events.write("epoch", row, session.progress.step)
    session.reporter.notice(
        f"epoch {row['epoch']} of {session.recipe.epochs}: training loss {row['train_loss']:.4f}, "
        f"validation loss {found.loss:.4f}, "
        + ", ".join(f"{METRIC_NAMES[k]} {value:.2f} %" for k, value in found.figures.items())
    )
    save_session(session)  # first: the files follow from it, should this be the last that is done
    write_epoch(session)
    return True


def _report_failures(session: Session, found: Validation) -> None:
    """Name validation clips that could not be read, once.

    Raises:
        VideoSwinError: none could be read.
    """
    progress, failures = session.progress, found.failures
    new = [f"{path} ({why})" for path, why in failures.items() if path not in progress.failures]
    if len(failures) == len(found.videos):
        save_session(session)
        raise VideoSwinError(
            f"none of the {len(failures)} validation clips can be read any more: "
            f"{'; '.join([f'{path} ({why})' for path, why in failures.items()][:_NAMED])}",
            hint="put them back; --resume auto then validates the epoch, whose weights are saved",
        )
    progress.failures |= failures
    if new:
        more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
        session.reporter.notice(
            f"{len(failures)} of {len(found.videos)} validation clips cannot be read and count as "
            f"wrong: {'; '.join(new[:_NAMED])}{more}"
        )


def _count_epoch(session: Session, found: Validation) -> dict[str, int | float]:
    """Its row of metrics.csv, which joins the progress."""
    progress = session.progress
    begun = int(progress.epochs[-1]["step"]) if progress.epochs else 0
    losses = progress.losses[begun:]
    row = {
        "epoch": session.plan.epoch_of(progress.step),
        "step": progress.step,
        "train_loss": mean_loss(losses),
        "val_loss": found.loss,
        **found.figures,
    }
    progress.epochs.append(row)
    best, *_ = found.figures.values()
    if (best, -found.loss) > (progress.best, -progress.best_loss):
        progress.best, progress.best_loss = best, found.loss
        progress.best_epoch = int(row["epoch"])
        counts = confusions(found.videos)
        progress.confusions = [(true, got, n) for (true, got), n in counts.items()]
    return row


def _agree(session: Session, *flags: bool) -> list[bool]:
    return agree(*flags, world=session.world, device=session.runtime.device)
