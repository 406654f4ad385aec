"""What a killed run is gone on with: weights, optimizer and place, in one file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from videoswin_cli.engine.provenance import Description, check_equal
from videoswin_cli.errors import UsageError
from videoswin_cli.files import write_whole
from videoswin_cli.model.unpickling import RefusedError, UnpicklingError, load_torch

_HINT = "give the state.pt that a run left in its folder"
_OTHER = (
    "a run goes on as it began, with its data, its recipe and as many processes; for anything else "
    "choose another --out, and start there from its last.safetensors if it has one"
)


@dataclass
class Progress:
    """Where a run is."""

    step: int = 0  # steps done
    best: float = float("-inf")  # validation figure
    best_loss: float = float("inf")  # of that validation, which decides between equal figures
    best_epoch: int = 0
    epochs: list[dict[str, float]] = field(default_factory=list)  # a row an epoch, for metrics.csv
    losses: list[float] = field(default_factory=list)  # of each step
    confusions: list[tuple[int, int, int]] = field(default_factory=list)  # of the best epoch
    failures: dict[str, str] = field(default_factory=dict)  # clips that could not be read


def save_state(
    path: Path,
    *,
    description: Description,
    progress: Progress,
    tensors: dict[str, Any],
) -> None:
    """Write all of it; the old file stays until the new one is whole.

    Raises:
        VideoSwinError: the disk is full.
    """
    content = {"description": description, "progress": vars(progress), **tensors}
    with write_whole(path) as part:
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


def load_state(path: Path, description: Description) -> tuple[Progress, dict[str, Any]]:
    """Read it again.

    Raises:
        UsageError: it is damaged, or of another run.
    """
    content = _read(path, mmap=False)
    check_equal(content.pop("description"), description, where=str(path), hint=_OTHER)
    return Progress(**content.pop("progress")), content


def read_recipe_of(path: Path | None) -> Description | None:
    """Keys and values of the recipe of the run that left a state; None for no state.

    Raises:
        UsageError: it is damaged.
    """
    if path is None:
        return None
    recipe: Description | None = _read(path, mmap=True)["description"].get("recipe")
    return recipe


def _read(path: Path, *, mmap: bool) -> dict[str, Any]:
    try:
        content = load_torch(path, mmap=mmap)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (RefusedError, UnpicklingError, RuntimeError, ValueError, KeyError, EOFError) as error:
        raise UsageError(f"{path} is no state of a run, or damaged", hint=_HINT) from error
    if not isinstance(content, dict) or "progress" not in content:
        raise UsageError(f"{path} is no state of a run", hint=_HINT)
    return content
