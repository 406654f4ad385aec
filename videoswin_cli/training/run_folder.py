"""Folder of a run: its files, written by the main process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.provenance import Description
from videoswin_cli.errors import OutputExistsError, UsageError
from videoswin_cli.io.atomic import (
    FILE_NAMES,
    atomic_write,
    check_writable,
    write_csv,
    write_error,
)
from videoswin_cli.io.visible import visible
from videoswin_cli.model.loading import LoadedModel, save
from videoswin_cli.options.parsers import Logger
from videoswin_cli.training.checkpoint import Progress, save_checkpoint
from videoswin_cli.training.examples import Examples
from videoswin_cli.training.loggers import ScalarWriter, open_loggers
from videoswin_cli.training.recipe import Recipe, to_yaml

STATE = "state.pt"
BEST = "best.safetensors"
LAST = "last.safetensors"
CONFIG = "config.yaml"


def check_output(out: Path, resume: Path | None) -> None:
    """Refuse a folder that cannot be written, or holds another run, before anything is read.

    Raises:
        UsageError: it is such a folder.
    """
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    check_writable(there / STATE, display=out)
    if is_in_place(out, resume):
        return
    if (out / STATE).exists():
        raise OutputExistsError(
            f"{out} holds a run", hint="--resume continues it; or choose another --out"
        )
    if (out / BEST).exists():
        raise OutputExistsError(
            f"{out} holds a run whose {STATE} is gone", hint="choose another --out"
        )


def is_in_place(out: Path, resume: Path | None) -> bool:
    """Whether a run is resumed in its own folder."""
    state = out / STATE
    return resume is not None and state.exists() and resume.samefile(state)


@contextmanager
def lock_folder(out: Path, world: World) -> Iterator[None]:
    """Make the folder, and keep other runs out of it.

    Raises:
        UsageError: another run is writing there, or the folder cannot be made.
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


class RunFolder:
    """Writer of the files of a run. In all processes but the main one it writes nothing.

    Each method raises VideoSwinError where the disk is full.
    """

    def __init__(
        self, path: Path, description: Description, world: World, *, loggers: Sequence[Logger]
    ) -> None:
        self.path = path
        self._loggers = loggers
        self.description = description  # what must be the same for a run to be resumed
        self._world = world
        self._scalars = ScalarWriter()

    def write_setup(self, recipe: Recipe, examples: Examples) -> None:
        """Recipe, classes, and which clip is in which part."""
        if not self._world.is_main:
            return
        with atomic_write(self.path / CONFIG) as part:
            part.write_text(to_yaml(recipe), encoding="utf-8")
        with atomic_write(self.path / "classes.txt") as part:
            names = "".join(f"{visible(name)}\n" for name in examples.classes)
            part.write_text(names, encoding="utf-8", errors=FILE_NAMES)
        columns = ["path", "label", "split"]
        rows = [
            [clip.path, ";".join(examples.classes[label] for label in clip.labels), name]
            for name, clips in (("train", examples.train), ("val", examples.val))
            for clip in clips
        ]
        if examples.groups:
            columns.append("group")
            rows = [[*row, examples.groups[row[0]]] for row in rows]
        write_csv(self.path / "splits.csv", columns, rows)

    def open_scalars(self, step: int) -> None:
        """Begin the curves that come after so many steps."""
        if self._world.is_main:
            config = self.description["recipe"] | {"start": self.description["start"]}
            self._scalars = open_loggers(self.path, self._loggers, step=step, config=config)

    def write_scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Scalars called GROUP/NAME after so many steps."""
        self._scalars.write(group, values, step)

    def save_state(self, progress: Progress, tensors: dict[str, Any]) -> None:
        """Write the checkpoint that the run is resumed from."""
        if not self._world.is_main:
            return
        self._scalars.flush()
        save_checkpoint(
            self.path / STATE, description=self.description, progress=progress, tensors=tensors
        )

    def save_model(self, name: str, model: LoadedModel, metrics: Mapping[str, float]) -> None:
        """Write weights that `predict` takes."""
        if not self._world.is_main:
            return
        training = {
            "metrics": dict(metrics),
            "recipe": self.description["recipe"],
            "start": self.description["start"],
            "train_clips": len(self.description["train"]),
            "val_clips": len(self.description["val"]),
        }
        save(self.path / name, model, training=training)

    def write_metrics(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write metrics.csv, a row per epoch."""
        if self._world.is_main:
            names = list(rows[0])
            table = [[row[name] for name in names] for row in rows]
            write_csv(self.path / "metrics.csv", names, table)

    def close(self) -> None:
        """Close the curves."""
        self._scalars.close()
