"""Clips in, a trained model out: what `videoswin finetune` runs."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist

from videoswin_cli.data.feeding import feed
from videoswin_cli.engine.metrics import confusions
from videoswin_cli.engine.processes import find_processes, joined
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.report.evaluation import FIGURES
from videoswin_cli.training.examples import rarest_labels
from videoswin_cli.training.loop import deal_steps
from videoswin_cli.training.order import ClipOrder
from videoswin_cli.training.preparation import FinetuneOptions, Watcher, prepare
from videoswin_cli.training.recipe import Recipe
from videoswin_cli.training.run_folder import (
    check_output,
    lock_folder,
    open_folder,
    save_model,
    save_session,
    write_metrics,
)
from videoswin_cli.training.session import Session, averaged_weights, open_session
from videoswin_cli.training.state import Progress
from videoswin_cli.training.validation import validate


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """What a run came to."""

    best: Path
    best_epoch: int
    interrupted: bool
    progress: Progress
    classes: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]
    recipe: Recipe  # as it was run
    val_clips: int
    val_counts: tuple[int, ...]  # validation clips of each class


def finetune(options: FinetuneOptions, recipe: Recipe, watcher: Watcher) -> Finetuned | None:
    """Train, validate after every epoch, keep the best.

    Returns:
        What came out; None in all processes but the first.

    Raises:
        UsageError: data, recipe or output that do not fit.
        VideoSwinError: out of memory, or the disk is full.
    """
    processes = find_processes()
    if not processes.first:
        watcher = _Silent()
    device = processes.device(options.device)
    check_output(options)
    with joined(processes):
        prepared = prepare(options, recipe, watcher)
        session = open_session(options, prepared, processes, device, watcher)
        with lock_folder(options.out, processes):
            open_folder(session)
            with closing(session.events):
                interrupted = _train(session)
        if not processes.first:
            return None
    return Finetuned(
        best=options.out / "best.safetensors",
        best_epoch=session.progress.best_epoch,
        interrupted=interrupted,
        progress=session.progress,
        classes=prepared.examples.classes,
        broken=(*prepared.examples.broken, *session.progress.failures.items()),
        recipe=session.recipe,
        val_clips=len(session.examples.val),
        val_counts=tuple(session.examples.counts(session.examples.val)),
    )


def _train(session: Session) -> bool:
    """All steps that are left. Returns whether it was interrupted."""
    progress, plan, recipe = session.progress, session.plan, session.recipe
    session.watcher.begin(progress.step, plan.steps)
    order = ClipOrder(
        rarest_labels(session.examples.train),
        seed=recipe.seed,
        balanced=recipe.balance == "sampler",
    )
    with _catch_signals() as stopped:
        while progress.step < plan.steps:
            if _train_epoch(session, order, stopped):
                return True
            _end_epoch(session)
            waited = plan.epoch_of(progress.step) - progress.best_epoch
            if recipe.patience and waited >= recipe.patience:
                session.watcher.notice(f"no better for {waited} epochs: stopping")
                break
    return False


def _train_epoch(session: Session, order: ClipOrder, stopped: Callable[[], bool]) -> bool:
    """Steps up to the end of the pass. Returns whether it was interrupted."""
    progress, plan = session.progress, session.plan
    end = progress.step
    while not plan.last_of_epoch(end):
        end += 1
    share = plan.batch_size * plan.accumulate
    keys = []
    for step in range(progress.step, end + 1):
        first = step * plan.step_clips + session.processes.rank * share
        keys += order.keys(range(first, first + share))
    source, workers = session.inputs.source, min(session.inputs.workers, len(keys))
    begun = time.monotonic()
    saved = begun if progress.step else -math.inf  # a first save at once: a full disk shows early
    # While a step computes the clips of the next one are decoded.
    ahead = 1 + share // max(workers, 1)
    with closing(feed(source, keys, workers=workers, ahead=ahead)) as items:
        for step_items in deal_steps(items, clips=share):
            waited = time.monotonic() - begun
            result = session.stepper.step(progress.step, step_items)
            if session.averaged is not None:
                session.averaged.update(session.start.model.network, progress.step)
            _check_finite(result.loss, f"the loss of step {progress.step + 1}")
            progress.step += 1
            progress.losses.append(result.loss)
            for failure in result.failed:
                progress.failures[failure.path] = failure.reason
            session.events.write("step", {"loss": result.loss, "lr": result.lr}, progress.step)
            spent = time.monotonic() - begun
            begun = time.monotonic()
            session.watcher.advance(
                loss=result.loss,
                lr=result.lr,
                clips_per_second=plan.step_clips / spent,
                wait_share=waited / spent,
            )
            if _any(stopped(), session):
                save_session(session)
                return True
            if begun - saved > session.recipe.save_minutes * 60:
                save_session(session)
                saved = time.monotonic()
    return False


def _end_epoch(session: Session) -> None:
    """Validate, tell, and keep what is the best so far."""
    progress, plan, out = session.progress, session.plan, session.options.out
    with averaged_weights(session):
        found = validate(
            session.inputs,
            session.examples.val,
            session.processes,
            classes=len(session.examples.classes),
            multi_label=session.recipe.multi_label,
        )
        failures = session.processes.gather(list(progress.failures.items()))
        epoch = plan.epoch_of(progress.step)
        better = torch.zeros(1)
        if found is not None:
            _check_finite(found.loss, "the validation loss")
            progress.failures = dict(failures)
            begun = int(progress.epochs[-1]["step"]) if progress.epochs else 0
            losses = progress.losses[begun:]
            row = {
                "epoch": epoch,
                "step": progress.step,
                "train_loss": sum(losses) / len(losses),
                "val_loss": found.loss,
                **found.figures,
            }
            best, *_ = found.figures.values()
            progress.epochs.append(row)
            session.events.write("epoch", row, progress.step)
            session.watcher.notice(
                f"epoch {epoch} of {session.recipe.epochs}: training loss {row['train_loss']:.4f}, "
                f"validation loss {found.loss:.4f}, "
                + ", ".join(f"{FIGURES[k]} {value:.2f} %" for k, value in found.figures.items())
            )
            ahead = (best, -found.loss) > (progress.best, -progress.best_loss)
            better = torch.tensor([float(ahead)])
            save_model(session, out / "last.safetensors", row)
            if better:
                progress.best, progress.best_loss = best, found.loss
                counts = confusions(found.videos)
                progress.confusions = [(true, got, n) for (true, got), n in counts.items()]
                save_model(session, out / "best.safetensors", row)
            write_metrics(session)
    if session.processes.size > 1:
        better = better.to(session.runtime.device)
        dist.broadcast(better, src=0)
    if better.item():
        progress.best_epoch = plan.epoch_of(progress.step)
    save_session(session)


def _check_finite(loss: float, what: str) -> None:
    """Raises VideoSwinError where the weights are spoilt; what was saved before stays."""
    if not math.isfinite(loss):
        raise VideoSwinError(
            f"{what} is {loss}: the training has diverged",
            hint="a lower --set lr, --set clip_grad_norm=1, a longer warm-up, or --precision fp32",
        )


def _any(flag: bool, session: Session) -> bool:
    """Whether the flag is up in any process: all must stop at the same step."""
    if session.processes.size == 1:
        return flag
    value = torch.tensor([float(flag)], device=session.runtime.device)
    dist.all_reduce(value)
    return bool(value.item())


@contextmanager
def _catch_signals() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM end the run after the current step; a second one at once."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def remember(number: int, frame: object) -> None:
        seen.append(number)
        if len(seen) > 1:
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, remember)
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Silent:
    """What all processes but the first tell."""

    def notice(self, text: str) -> None:
        pass

    def begin(self, step: int, steps: int) -> None:
        pass

    def advance(
        self, *, loss: float, lr: float, clips_per_second: float, wait_share: float
    ) -> None:
        pass
