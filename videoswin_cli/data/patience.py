"""Time limits for items of a decoding process, after which the process is killed.

Nothing tells a slow decoder from an endless loop, so a process that works has a long limit: the
index of a file of 100 GB at 60 MB/s takes half an hour. One that neither computes nor reads (it was
stopped, or its disk does not respond) has less. Time counts only while the run waits for an item,
and not while the run itself is suspended.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from videoswin_cli.errors import UsageError

VARIABLE = "VIDEOSWIN_PATIENCE"
_IDLE_SECONDS = 300.0
_BUSY_SECONDS = 1800.0
_LOOK_SECONDS = 5.0
# What a process does in a second that only waits for work stays below these.
_BUSY_SHARE = 0.01  # of a core
_BUSY_BYTES = 1 << 16  # read


class StalledError(Exception):
    """No item came for too long; the message is a reason for people."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Limits in seconds."""

    idle_seconds: float = _IDLE_SECONDS  # without an item, computing and reading
    busy_seconds: float = _BUSY_SECONDS  # without an item

    @property
    def look_seconds(self) -> float:
        """From one look at the processes to the next."""
        return min(_LOOK_SECONDS, self.idle_seconds)

    def watch(self, processes: Sequence[BaseProcess]) -> "Watch":
        return Watch(self, processes)


def read_patience() -> Patience:
    """The default limits, or the one of the environment in place of both.

    Raises:
        UsageError: the environment holds no number above 0.
    """
    text = os.environ.get(VARIABLE)
    if text is None:
        return Patience()
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise UsageError(f"{VARIABLE} is {text!r}: expected seconds above 0")
    return Patience(idle_seconds=seconds, busy_seconds=seconds)


@dataclass
class Watch:
    """Worker processes and how long their next item has been waited for."""

    patience: Patience
    processes: Sequence[BaseProcess]
    _waited: float = 0.0  # s, since the last item
    _idle: float = 0.0  # s of these in which nothing was done
    _done: tuple[float, int] | None = None

    def rest(self) -> None:
        """An item came."""
        self._waited = self._idle = 0.0

    def look(self) -> None:
        """Count one more time of `look_seconds` without an item.

        Raises:
            StalledError: it was one too many; the processes are killed.
        """
        step = self.patience.look_seconds
        before, self._done = self._done, _measure(self.processes)
        self._waited += step
        self._idle = 0.0 if _is_busy(before, self._done, step) else self._idle + step
        patience = self.patience
        if self._waited < patience.busy_seconds and self._idle < patience.idle_seconds:
            return
        for process in self.processes:
            process.kill()  # a stopped one does not hear a request to end
        raise StalledError(f"no frame came for {self._waited:.0f} s: given up ({VARIABLE})")


def _is_busy(
    before: tuple[float, int] | None, after: tuple[float, int] | None, seconds: float
) -> bool:
    if before is None or after is None:
        return True  # not known
    used, read = after[0] - before[0], after[1] - before[1]
    return used > _BUSY_SHARE * seconds or read > _BUSY_BYTES * seconds


def _measure(processes: Sequence[BaseProcess]) -> tuple[float, int] | None:
    """Seconds of computing and bytes read so far; None where the system does not tell (Linux)."""
    seconds, count = 0.0, 0
    try:
        for process in processes:
            folder = Path(f"/proc/{process.pid}")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            count += int((folder / "io").read_text().split()[1])  # rchar
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return seconds, count
