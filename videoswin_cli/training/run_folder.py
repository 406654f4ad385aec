"""The folder of a run: what is written there, and read again when the run goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from videoswin_cli.engine.processes import Processes
from videoswin_cli.errors import UsageError
from videoswin_cli.files import check_writable, write_csv, write_failure, write_whole
from videoswin_cli.model.loading import save
from videoswin_cli.training.events import open_events
from videoswin_cli.training.preparation import FinetuneOptions
from videoswin_cli.training.recipe import to_yaml
from videoswin_cli.training.session import Session
from videoswin_cli.training.state import load_state, save_state
from videoswin_cli.training.state_checks import check_optimizer, check_scaler, check_weights


def check_output(options: FinetuneOptions) -> None:
    """Refuse what cannot be written, or would be written over, before anything is looked at."""
    out = options.out
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    check_writable(there / "state.pt", named=out)
    if options.resume is None and any(
        (out / name).exists() for name in ("state.pt", "best.safetensors")
    ):
        raise UsageError(
            f"{out} holds a run", hint="--resume auto goes on with it; or choose another --out"
        )


@contextmanager
def lock_folder(out: Path, processes: Processes) -> Iterator[None]:
    """Keep other runs out of the folder, which is made.

    Raises:
        UsageError: another run writes there just now, or the folder cannot be made.
    """
    if not processes.first:
        yield
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failure(out, error) from error
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
    """Begin a run, or go on with one.

    Raises:
        UsageError: the state is damaged or of another run.
    """
    if session.options.resume is not None:
        _restore(session, session.options.resume)
    elif session.processes.first:
        _begin(session)
    if session.processes.first:
        session.events = open_events(session.options.out, step=session.progress.step)
    session.processes.wait()


def _begin(session: Session) -> None:
    out = session.options.out
    with write_whole(out / "config.yaml") as part:
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
    session.progress, tensors = load_state(state, session.description, steps=session.plan.steps)
    network, stepper = session.start.model.network, session.stepper
    averaged = session.averaged.tensors if session.averaged else {}
    try:
        check_weights(tensors["network"], network.state_dict(), what="network")
        check_optimizer(tensors["optimizer"], stepper.optimizer)
        check_scaler(tensors["scaler"], stepper.scaler.state_dict())
        check_weights(tensors["averaged"], averaged, what="averaged")
    except UsageError as error:  # these know nothing of files
        raise UsageError(f"{state}: {error.message}", hint=error.hint) from error
    network.load_state_dict(tensors["network"])
    stepper.optimizer.load_state_dict(tensors["optimizer"])
    stepper.scaler.load_state_dict(tensors["scaler"])
    if session.averaged is not None:
        session.averaged.load(tensors["averaged"])
    session.watcher.notice(
        f"going on after step {session.progress.step} of {session.plan.steps}, {state}"
    )


def save_model(session: Session, path: Path, metrics: dict[str, float]) -> None:
    training = {
        "metrics": metrics,
        "recipe": session.description["recipe"],
        "start": session.options.model,
        "train_clips": len(session.examples.train),
        "val_clips": len(session.examples.val),
    }
    save(path, session.start.model, training=training)


def save_session(session: Session) -> None:
    """Write state.pt, in the first process. Raises VideoSwinError on a full disk."""
    if not session.processes.first:
        return
    save_state(
        session.options.out / "state.pt",
        description=session.description,
        progress=session.progress,
        tensors={
            "network": session.start.model.network.state_dict(),
            "optimizer": session.stepper.optimizer.state_dict(),
            "scaler": session.stepper.scaler.state_dict(),
            "averaged": session.averaged.tensors if session.averaged else {},
        },
    )


def write_metrics(session: Session) -> None:
    rows = session.progress.epochs
    names = list(rows[0])
    write_csv(
        session.options.out / "metrics.csv", names, [[row[name] for name in names] for row in rows]
    )
