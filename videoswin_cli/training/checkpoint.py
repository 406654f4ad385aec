"""Checkpoint of an interrupted run: weights, optimizer and progress, in one file."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from videoswin_cli.engine.provenance import Description, check_equal
from videoswin_cli.errors import ResumeError
from videoswin_cli.io.atomic import atomic_write, check_no_stream
from videoswin_cli.io.typed_records import check_keys, to_record
from videoswin_cli.io.visible import name_some
from videoswin_cli.model.rebuilding import RefusedError
from videoswin_cli.model.torch_files import load_torch
from videoswin_cli.model.unpickling import UnreadableError

_HINT = "give the state.pt that a run left in its folder"
_OTHER = (
    "a run is resumed with its data, its recipe and as many processes; only epochs (more), "
    "patience, save_minutes and test_views may change; for anything else choose another --out, and "
    "start there from its last.safetensors if it has one"
)
START_ANEW = (
    "it cannot be resumed: start from its last whole epoch, with --model last.safetensors of its "
    "folder and another --out"
)
_MOST_VALUES = 10_000_000  # of a description: the paths of all clips are in it
_TENSORS = ("network", "optimizer", "scaler", "averaged")


@dataclass
class Progress:
    """Progress of a run, as checkpoints hold it."""

    step: int = 0  # steps done
    best: float = float("-inf")  # validation metric
    best_loss: float = float("inf")  # of that validation, which decides between equal figures
    best_epoch: int = 0  # 0: none yet, or its file is gone
    waits_from: int = 0  # epoch from which patience counts, if that is later than the best one
    epochs: list[dict[str, int | float]] = field(default_factory=list)  # rows of metrics.csv
    losses: list[float] = field(default_factory=list)  # of each step; NaN: no clip was read
    confusions: list[tuple[int, int, int]] = field(default_factory=list)  # of the best epoch
    failures: dict[str, str] = field(default_factory=dict)  # clips that could not be read


def save_checkpoint(
    path: Path,
    *,
    description: Description,
    progress: Progress,
    tensors: dict[str, Any],
) -> None:
    """Write a checkpoint; the old file stays until the new one is whole.

    Raises:
        VideoSwinError: the disk is full.
    """
    content = {"description": description, "progress": vars(progress), **tensors}
    with atomic_write(path) as part:
        try:
            with part.open("wb") as file:  # a path would go into it, with our process number
                torch.save(content, file)
        except RuntimeError as error:  # of torch's zip writer, where the file gave an OSError
            raise _find_cause(error) from error


def _find_cause(error: RuntimeError) -> OSError:
    """The error of the system that led to another one."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return cause or OSError(str(error).splitlines()[0])


def load_checkpoint(
    path: Path, description: Description, *, steps: int
) -> tuple[Progress, dict[str, Any]]:
    """Progress and tensors of a checkpoint; the tensors are not compared with anything yet.

    Args:
        path: of the file.
        description: of the run that wants to be resumed.
        steps: of that run, from start to end.

    Raises:
        UsageError: it is damaged, of another run, or clips are missing.
    """
    content = _read(path, mmap=False)
    _check_same(content["description"], description, path)
    progress = _check_progress(content["progress"], path, steps=steps)
    return progress, {name: content[name] for name in _TENSORS}


def check_resumable(path: Path, description: Description) -> None:
    """Raises UsageError where a checkpoint is damaged, of another run, or clips are missing."""
    _check_same(read_saved(path), description, path)


def _check_same(found: Description, wanted: Description, path: Path) -> None:
    _check_clips(found, wanted, path)
    grouped = found.get("groups") == wanted.get("groups")
    hint = _OTHER if grouped else f"give --group as that run had it, or none; {_OTHER}"
    check_equal(found, _allow(found, wanted), where=str(path), hint=hint)


def _check_clips(found: Description, wanted: Description, path: Path) -> None:
    """Raises UsageError where clips of the run are missing: all else differs for that reason."""
    before = {clip for part in ("train", "val") for clip in _texts(found.get(part))}
    now = {clip for part in ("train", "val") for clip in wanted.get(part, ())}
    if missing := sorted(before - now):
        raise ResumeError(
            f"{len(missing)} of the {len(before)} clips of the run in {path} are missing, or "
            f"cannot be read: {name_some(missing)}",
            hint="put them back, or give the data that the run was started with",
        )


def _texts(value: object) -> Iterator[str]:
    return (
        (each for each in value if isinstance(each, str)) if isinstance(value, list) else iter(())
    )


def _allow(found: Description, wanted: Description) -> Description:
    """The wanted description, with what may change, more epochs and patience, as it was found."""
    there, here = found.get("recipe"), wanted["recipe"]
    if not isinstance(there, dict):
        return wanted
    allowed = {key: there[key] for key in ("epochs", "patience") if key in there}
    epochs = allowed.get("epochs")
    if not isinstance(epochs, int) or epochs > here["epochs"]:
        allowed.pop("epochs", None)
    return wanted | {"recipe": here | allowed}


def read_saved(path: Path) -> Description:
    """Description of the run that left a checkpoint.

    Raises:
        UsageError: it is damaged.
    """
    found: Description = _read(path, mmap=True)["description"]
    return found


def read_recipe_of(path: Path | None) -> Description | None:
    """Keys and values of the recipe of the run that left a checkpoint; None for no checkpoint.

    Raises:
        UsageError: it is damaged.
    """
    recipe = None if path is None else read_saved(path).get("recipe")
    return recipe if isinstance(recipe, dict) else None


def _read(path: Path, *, mmap: bool) -> dict[str, Any]:
    check_no_stream(path)
    try:
        content = load_torch(path, mmap=mmap)
    except OSError as error:
        raise ResumeError(f"cannot read {path}: {error.strerror or error}") from error
    except (RefusedError, UnreadableError) as error:
        raise ResumeError(
            f"{path} is no state of a run, or damaged: {error}", hint=_HINT
        ) from error
    if not isinstance(content, dict) or "progress" not in content:
        raise ResumeError(f"{path} is no state of a run", hint=_HINT)
    if not all(isinstance(key, str) for key in content):
        raise ResumeError(f"{path} has keys that are no names", hint=_HINT)
    keys = {"description", "progress", *_TENSORS}
    check_keys(content, known=keys, required=keys, source=str(path))
    if not isinstance(content["description"], dict) or _is_endless(content["description"]):
        raise ResumeError(f"{path}: its description is no mapping of texts", hint=START_ANEW)
    return content


def _is_endless(value: object) -> bool:
    """Whether it would be too long as text: a list that occurs twice counts twice."""
    pending, count = [value], 0
    while pending and count <= _MOST_VALUES:
        count += 1
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value, *value.values()]
        elif isinstance(value, list | tuple):
            pending += value
    return count > _MOST_VALUES


def _check_progress(data: object, path: Path, *, steps: int) -> Progress:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ResumeError(f"{path}: its progress is no mapping", hint=START_ANEW)
    keys = {f.name for f in fields(Progress)}
    required = keys - {"waits_from"}  # which older states lack
    check_keys(data, known=keys, required=required, source=f"{path}, progress")
    progress = to_record(Progress, data, source=f"{path}, progress")
    if not 0 <= progress.step <= steps:
        raise ResumeError(f"{path}: step {progress.step} of {steps}", hint=START_ANEW)
    if len(progress.losses) != progress.step or any(map(math.isinf, progress.losses)):
        raise ResumeError(
            f"{path}: {len(progress.losses)} losses for {progress.step} steps, or infinite ones",
            hint=START_ANEW,
        )
    places = [row.get("step", -1.0) for row in progress.epochs]
    if places != sorted(set(places)) or any(not 0 < at <= progress.step for at in places):
        raise ResumeError(f"{path}: epochs that end at the steps {places[:5]}", hint=START_ANEW)
    if len({tuple(row) for row in progress.epochs}) > 1:
        raise ResumeError(f"{path}: epochs with other metrics than the first", hint=START_ANEW)
    epochs = {0, *(row.get("epoch") for row in progress.epochs)}
    if progress.best_epoch not in epochs or math.isnan(progress.best):
        raise ResumeError(
            f"{path}: best after epoch {progress.best_epoch} of {len(progress.epochs)}, "
            f"{progress.best}",
            hint=START_ANEW,
        )
    return progress
