"""Arrival of the frames of a stream, on the clock of this machine."""

import threading
import time
from typing import Protocol

_WAITED_SECONDS = 0.002  # for a packet: the one that then comes is fresh
_DRIFT = 0.01  # share of a later arrival that is taken for a slow clock of the sender


class Clock(Protocol):
    """Time of this machine."""

    def now(self) -> float:
        """Seconds from some point on."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait, or less long where nothing more is wanted."""


class MonotonicClock:
    """The clock of a run; sleep ends with `ended`."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended = ended

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        self._ended.wait(seconds)


class Pace:
    """Arrival of frames by the stamps of a stream, for one connection.

    A broadcast sets its own pace: the packet that was quickest on its way shows how stamps and
    clock belong together, and what comes later than that has waited somewhere. A file is read as
    slowly as it plays.
    """

    def __init__(self, clock: Clock, *, real_time: bool) -> None:
        """`real_time`: hold packets back until their time has come."""
        self._clock = clock
        self._real_time = real_time
        self._offset: float | None = None  # clock minus stamp
        self._asked = clock.now()

    def arrive(self, stamp: float) -> float:
        """Take note of a packet, after waiting for its time; seconds by which it is late."""
        now = self._clock.now()
        waited, offset = now - self._asked > _WAITED_SECONDS, now - stamp
        if self._offset is None:
            self._offset = offset
        elif self._real_time:
            if offset < self._offset:
                self._clock.sleep(self._offset - offset)
                now = self._clock.now()
            elif waited:  # for a slow server: a player would stand still
                self._offset = offset
        elif offset < self._offset:
            self._offset = offset
        elif waited:  # it is fresh, and the sender's clock slow
            self._offset += (offset - self._offset) * _DRIFT
        return now - stamp - self._offset

    def ask(self) -> None:
        """The next packet is asked for."""
        self._asked = self._clock.now()

    def captured(self, stamp: float) -> float:
        """Time on the clock at which a frame was there."""
        return stamp + (self._offset or 0.0)
