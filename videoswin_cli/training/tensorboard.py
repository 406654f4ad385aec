"""Curves for TensorBoard, where it is installed; `metrics.csv` has the same without it."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path


class ScalarWriter:
    """Takes scalars by step, and forgets them."""

    def write(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Values called GROUP/NAME, after so many steps."""

    def flush(self) -> None:
        """All that was written is on disk: a state that is saved next has its curves."""

    def close(self) -> None:
        """No more will come."""


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
    """An event file in `folder` of what comes from `step` on; nothing without TensorBoard."""
    return ScalarWriter() if find_spec("tensorboard") is None else _TensorBoardWriter(folder, step)
