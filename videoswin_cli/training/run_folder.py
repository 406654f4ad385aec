"""The folder of a run: what is written there, and read again when the run is resumed."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from videoswin_cli.engine.distributed import World
from videoswin_cli.errors import OutputExistsError, ResumeError, UsageError
from videoswin_cli.io.atomic import atomic_write, check_writable, write_csv, write_error
from videoswin_cli.model.loading import save
from videoswin_cli.training.checkpoint import load_checkpoint, read_recipe_of, save_checkpoint
from videoswin_cli.training.checkpoint_checks import check_optimizer, check_scaler, check_weights
from videoswin_cli.training.due import find_due, is_validated
from videoswin_cli.training.preparation import FinetuneOptions
from videoswin_cli.training.recipe import to_yaml
from videoswin_cli.training.session import Session, ema_weights
from videoswin_cli.training.soundness import check_sound
from videoswin_cli.training.tensorboard import open_writer


def check_output(options: FinetuneOptions) -> None:
    """Refuse what cannot be written, or would be written over, before anything is looked at."""
    out = options.out
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    check_writable(there / "state.pt", display=out)
    if _is_in_place(options):
        return
    if (out / "state.pt").exists():
        raise OutputExistsError(
            f"{out} holds a run", hint="--resume auto resumes it; or choose another --out"
        )
    if (out / "best.safetensors").exists():
        raise OutputExistsError(
            f"{out} holds a run whose state.pt is gone", hint="choose another --out"
        )


def _is_in_place(options: FinetuneOptions) -> bool:
    """Whether a run is resumed in its own folder."""
    state = options.out / "state.pt"
    return options.resume is not None and state.exists() and options.resume.samefile(state)


@contextmanager
def lock_folder(out: Path, world: World) -> Iterator[None]:
    """Keep other runs out of the folder, which is made.

    Raises:
        UsageError: another run writes there just now, or the folder cannot be made.
    """
    if not world.is_main:
        yield
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(out, error) from error
    lock = FileLock(out / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(
            f"another run is writing {out}", hint="wait for it, or choose another --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


def open_folder(session: Session) -> None:
    """Begin a run, or resume one: the folder then holds what its state says.

    Raises:
        UsageError: the state is damaged or of another run, or nothing is left to train and the best
            weights are gone.
    """
    if session.options.resume is not None:
        _restore(session, session.options.resume)
        _find_best(session)
    if session.world.is_main:
        _describe_run(session)
        session.events = open_writer(session.options.out, step=session.progress.step)
        if session.progress.step:
            _repeat_events(session)
        if is_validated(session.progress):
            write_epoch(session)
        elif session.progress.epochs:
            _write_metrics(session)
    session.world.wait()


def _describe_run(session: Session) -> None:
    out = session.options.out
    with atomic_write(out / "config.yaml") as part:
        part.write_text(to_yaml(session.recipe), encoding="utf-8")
    examples = session.examples
    columns = ["path", "label", "split"]
    rows = [
        [clip.path, ";".join(examples.classes[label] for label in clip.labels), name]
        for name, clips in (("train", examples.train), ("val", examples.val))
        for clip in clips
    ]
    if examples.groups:
        columns.append("group")
        rows = [[*row, examples.groups[row[0]]] for row in rows]
    write_csv(out / "splits.csv", columns, rows)


def _restore(session: Session, state: Path) -> None:
    session.progress, tensors = load_checkpoint(
        state,
        session.description,
        steps=session.plan.steps,
        may_differ=session.options.asked & {"epochs", "patience"},
    )
    network, stepper = session.start.model.network, session.stepper
    averaged = session.averaged.tensors if session.averaged else {}
    try:
        check_weights(tensors["network"], network.state_dict(), what="network")
        check_optimizer(tensors["optimizer"], stepper.optimizer)
        check_scaler(tensors["scaler"], stepper.scaler.state_dict())
        check_weights(tensors["averaged"], averaged, what="averaged")
    except UsageError as error:  # these know nothing of files
        raise ResumeError(f"{state}: {error.message}", hint=error.hint) from error
    network.load_state_dict(tensors["network"])
    stepper.optimizer.load_state_dict(tensors["optimizer"])
    stepper.scaler.load_state_dict(tensors["scaler"])
    if session.averaged is not None:
        session.averaged.load(tensors["averaged"])
    if _is_in_place(session.options):
        session.saved_step = session.progress.step
    session.reporter.notice(
        f"resuming after step {session.progress.step} of {session.plan.steps}, {state}"
    )
    _extend(session, state)


def _extend(session: Session, state: Path) -> None:
    """Where more epochs are asked for: patience counts anew, and the learning rate may rise."""
    before = read_recipe_of(state) or {}
    plan, progress = session.plan, session.progress
    if before.get("epochs") == session.recipe.epochs or not progress.step:
        return
    if progress.epochs:
        progress.waits_from = int(progress.epochs[-1]["epoch"])
    if progress.step < plan.steps:
        last = session.stepper.optimizer.param_groups[0]
        rate = last["lr"] / last["lr_mult"] if last["lr_mult"] else math.nan
        session.reporter.notice(
            f"{session.recipe.epochs} epochs for {before.get('epochs')}: the learning rate follows "
            f"the cosine to step {plan.steps} from here on; it was {rate:.3g} in step "
            f"{progress.step}, it is {plan.lr_of(progress.step):.3g} in the next one"
        )


def _find_best(session: Session) -> None:
    """Forget the best epoch where its weights are gone and the state holds those of another.

    Raises:
        UsageError: there is no epoch to come that could be better.
    """
    progress, best = session.progress, session.options.out / "best.safetensors"
    (there,) = session.world.share([best.exists()] if session.world.is_main else [])
    last = int(progress.epochs[-1]["epoch"]) if progress.epochs else 0
    writable = is_validated(progress) and progress.best_epoch == last
    if there or writable or not progress.best_epoch:
        return
    problem = f"{best} of epoch {progress.best_epoch} is gone"
    if find_due(progress, session.plan) is None:
        raise ResumeError(
            f"{problem}, and the state holds the weights of epoch {last}",
            hint="last.safetensors is of that epoch; more --epochs write a new best",
        )
    session.reporter.notice(f"{problem}: the best of the epochs to come takes its place")
    progress.best, progress.best_loss, progress.confusions = -math.inf, math.inf, []
    progress.best_epoch, progress.waits_from = 0, last


def _repeat_events(session: Session) -> None:
    """Write those of the last step again, which were hidden with what came later."""
    progress = session.progress
    values = {"loss": progress.losses[-1], "lr": session.plan.lr_of(progress.step - 1)}
    session.events.write("step", values, progress.step)
    if is_validated(progress):
        session.events.write("epoch", progress.epochs[-1], progress.step)


def write_epoch(session: Session) -> None:
    """Write what follows from the state after a validation, in the first process.

    Raises:
        VideoSwinError: the disk is full.
    """
    if not session.world.is_main:
        return
    out, progress = session.options.out, session.progress
    row = progress.epochs[-1]
    with ema_weights(session):
        _save_model(session, out / "last.safetensors", row)
        if row["epoch"] == progress.best_epoch:
            _save_model(session, out / "best.safetensors", row)
    _write_metrics(session)


def _write_metrics(session: Session) -> None:
    rows = session.progress.epochs
    names = list(rows[0])
    write_csv(
        session.options.out / "metrics.csv", names, [[row[name] for name in names] for row in rows]
    )


def _save_model(session: Session, path: Path, metrics: dict[str, float]) -> None:
    training = {
        "metrics": metrics,
        "recipe": session.description["recipe"],
        "start": session.options.model,
        "train_clips": len(session.examples.train),
        "val_clips": len(session.examples.val),
    }
    save(path, session.start.model, training=training)


def save_session(session: Session) -> None:
    """Write state.pt, in the first process; all must be here.

    Raises:
        VideoSwinError: the training has diverged, or the disk is full.
    """
    check_sound(session)
    progress = session.progress
    failures = session.world.share(list(progress.failures.items()))
    progress.failures = dict(sorted(failures))
    if not session.world.is_main:
        return
    session.events.flush()
    save_checkpoint(
        session.options.out / "state.pt",
        description=session.description,
        progress=progress,
        tensors={
            "network": session.start.model.network.state_dict(),
            "optimizer": session.stepper.optimizer.state_dict(),
            "scaler": session.stepper.scaler.state_dict(),
            "averaged": session.averaged.tensors if session.averaged else {},
        },
    )
    session.saved_step = progress.step
