"""Scalars of a run for TensorBoard, Weights & Biases and MLflow."""

import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from videoswin_cli.errors import UsageError, VideoSwinError, install_extra
from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.options.parsers import Logger

_RUNS = "loggers.json"  # names of the run in the stores of the loggers, by logger


class ScalarWriter:
    """Writer of scalars that keeps none; the others do something."""

    def write(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Values called GROUP/NAME, after so many steps."""

    def flush(self) -> None:
        """Bring all that was written to disk: a state that is saved next has its curves."""

    def close(self) -> None:
        """End the part of the run that this process writes."""


class _TensorBoard(ScalarWriter):
    """Event files in the folder of the run."""

    def __init__(self, folder: Path, step: int, config: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What a killed run wrote from this step on is hidden.
        self._writer = SummaryWriter(str(folder), purge_step=step)

    def write(self, group: str, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _WandB(ScalarWriter):
    """A run of Weights & Biases; its environment variables say where, and whether offline."""

    def __init__(self, folder: Path, step: int, config: Mapping[str, Any]) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "videoswin"),
            name=folder.name,
            id=_recorded(folder, "wandb", lambda: uuid.uuid4().hex),
            resume="allow",
            dir=str(folder),
            config=dict(config),
            settings=wandb.Settings(console="off"),  # stdout stays ours
        )
        # Not its own count of steps, which must not fall: a killed run repeats some.
        self._run.define_metric("*", step_metric="step")

    def write(self, group: str, values: Mapping[str, float], step: int) -> None:
        self._run.log({f"{group}/{name}": value for name, value in values.items()} | {"step": step})

    def close(self) -> None:
        self._run.finish()


class _MLflow(ScalarWriter):
    """A run of MLflow; its environment variables name the store and the experiment."""

    def __init__(self, folder: Path, step: int, config: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient  # no active run: the caller may have one

        self._client = MlflowClient()

        def create() -> str:
            experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "videoswin"))
            run: str = self._client.create_run(experiment, run_name=folder.name).info.run_id
            for key, value in config.items():
                self._client.log_param(run, key, value)
            return run

        self._run = _recorded(folder, "mlflow", create)
        self._client.update_run(self._run, status="RUNNING")

    def _experiment(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        found: str = self._client.create_experiment(name) if known is None else known.experiment_id
        return found

    def write(self, group: str, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, f"{group}/{name}", value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


class _Several(ScalarWriter):
    def __init__(self, writers: Sequence[ScalarWriter]) -> None:
        self._writers = writers

    def write(self, group: str, values: Mapping[str, float], step: int) -> None:
        for writer in self._writers:
            writer.write(group, values, step)

    def flush(self) -> None:
        for writer in self._writers:
            writer.flush()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


_WRITERS = {"tensorboard": _TensorBoard, "wandb": _WandB, "mlflow": _MLflow}


def choose_loggers(asked: Sequence[Logger] | None) -> tuple[Logger, ...]:
    """Loggers of a run; where none was asked for, TensorBoard if it is installed.

    Raises:
        UsageError: one is not installed.
    """
    if asked is None:
        return ("tensorboard",) if find_spec("tensorboard") is not None else ()
    for name in asked:
        if find_spec(name) is None:
            raise UsageError(
                f"--log {name}: {name} is not installed",
                hint=f"{install_extra(name)}, or leave it out of --log",
            )
    return tuple(name for name in get_args(Logger) if name in asked)


def open_loggers(
    folder: Path, names: Sequence[Logger], *, step: int, config: Mapping[str, Any]
) -> ScalarWriter:
    """Writer of what comes from `step` on, into all of these loggers.

    Args:
        folder: of the run, whose name the run has there.
        names: from `choose_loggers`.
        step: steps done before.
        config: what the run is described by there.

    Raises:
        UsageError: one cannot be opened: no account, no server, no network.
    """
    writers: list[ScalarWriter] = []
    for name in names:
        try:
            writers.append(_WRITERS[name](folder, step, config))
        except Exception as error:
            _Several(writers).close()
            if isinstance(error, VideoSwinError):
                raise
            raise UsageError(
                f"--log {name}: {error or type(error).__name__}",
                hint=f"set {name} up, or leave it out of --log",
            ) from error
    return _Several(writers)


def _recorded(folder: Path, logger: str, create: Callable[[], str]) -> str:
    """Name of the run in the store of a logger, which a resumed run writes to again."""
    file = folder / _RUNS
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = json.loads(file.read_text(encoding="utf-8"))
    if logger not in known:
        known[logger] = create()
        with atomic_write(file) as part:
            part.write_text(json.dumps(known), encoding="utf-8")
    return known[logger]
