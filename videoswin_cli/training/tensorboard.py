"""Curves for TensorBoard, where it is installed; `metrics.csv` has the same without it."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path


class ScalarWriter:
    """Writer of scalars that keeps none: without TensorBoard, and in all but one process."""

    def write(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Values called GROUP/NAME, after so many steps."""

    def flush(self) -> None:
        """Bring all that was written to disk: a state that is saved next has its curves."""

    def close(self) -> None:
        """Close the file."""


class _TensorBoardWriter(ScalarWriter):
    def __init__(self, folder: Path, step: int) -> None:
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


def open_writer(folder: Path, *, step: int) -> ScalarWriter:
    """Writer of an event file in `folder` of what comes from `step` on, if TensorBoard is there."""
    return ScalarWriter() if find_spec("tensorboard") is None else _TensorBoardWriter(folder, step)
