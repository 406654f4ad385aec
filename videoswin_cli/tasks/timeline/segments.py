"""Segments of classes from the probabilities of windows, in three plain steps.

1. Smooth: each window gets the mean of the windows whose middles are at most `smooth` / 2 seconds
   from its own.
2. Hysteresis: a segment of a class is a run of windows in which the smoothed probability of the
   class is at least half the threshold and among the `topk` highest, and somewhere in it reaches
   the threshold.
3. Duration: segments shorter than `min_duration` are dropped, unless the whole video is.

A window stands for the time that is closer to its middle than to those of its neighbors, the first
one from its start on, the last one to its end; never for more than it has seen. Nothing is smoothed
or merged over a gap, or over time that no window has seen. A window is settled as soon as the next
ones are known, so memory does not grow with the video.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from videoswin_cli.records import ActionSegment

Probabilities = NDArray[np.float64]  # (classes,)

_STAYS = 0.5  # of the threshold: what a class needs where it does not reach the threshold
_SAME_TIME = 1e-6  # s


@dataclass(frozen=True, kw_only=True)
class SegmentRule:
    """Numbers that decide which windows become a segment."""

    threshold: float  # probability
    topk: int  # classes of a window that count
    smooth: float = 0.0  # s, width of the mean
    min_duration: float = 0.0  # s


@dataclass(frozen=True, kw_only=True)
class _Window:
    start: float  # s
    end: float
    probabilities: Probabilities

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


@dataclass(kw_only=True)
class _Run:
    """Windows of one class that follow each other."""

    start: float
    end: float
    reached: float  # highest smoothed probability
    values: list[float] = field(default_factory=list)  # probabilities of the windows


class Segmenter:
    """Segments of one video, whose windows come in order."""

    def __init__(self, labels: Sequence[str], rule: SegmentRule) -> None:
        self._labels = labels
        self._rule = rule
        self._windows: deque[_Window] = deque()  # of this stretch, as far as they are needed
        self._settled = 0  # of them
        self._runs: dict[int, _Run] = {}  # that may go on, by class
        self._found: list[ActionSegment] = []
        self._short: list[ActionSegment] = []  # segments that do not last long enough
        self._begin, self._end = math.inf, -math.inf  # s, of all windows

    def add(self, start: float, end: float, probabilities: Probabilities) -> None:
        """The next window, from start to end in seconds."""
        if self._windows and start > self._windows[-1].end + _SAME_TIME:
            self.skip()  # no window has seen what is between them
        self._begin = min(self._begin, start)
        self._end = max(self._end, end)
        self._windows.append(_Window(start=start, end=end, probabilities=probabilities))
        last = self._windows[-1].middle
        while (
            self._settled < len(self._windows) - 1
            and last > self._windows[self._settled].middle + self._reach
        ):
            self._settle()

    def skip(self) -> None:
        """A gap, after which everything begins anew."""
        while self._settled < len(self._windows):
            self._settle()
        self._windows.clear()
        self._settled = 0
        for index in list(self._runs):
            self._close(index)

    def finish(self) -> tuple[ActionSegment, ...]:
        """All segments, by start, then class index."""
        self.skip()
        if self._end - self._begin < self._rule.min_duration:  # nothing in it could last so long
            self._found += self._short
        return tuple(sorted(self._found, key=lambda segment: (segment.start, segment.index)))

    @property
    def _reach(self) -> float:
        return self._rule.smooth / 2 + _SAME_TIME

    def _settle(self) -> None:
        """Take the next window into account, whose neighbors are all there."""
        window = self._windows[self._settled]
        near = [w for w in self._windows if abs(w.middle - window.middle) <= self._reach]
        smoothed = np.mean([w.probabilities for w in near], axis=0)
        start, end = self._bounds()
        counted = set(self._list_counted(smoothed))
        for index in set(self._runs) - counted:
            self._close(index)
        for index in counted:
            run = self._runs.setdefault(index, _Run(start=start, end=end, reached=0.0))
            run.end = end
            run.reached = max(run.reached, float(smoothed[index]))
            run.values.append(float(window.probabilities[index]))
        self._settled += 1
        following = self._windows[min(self._settled, len(self._windows) - 1)]
        # The one before the following window stays in any case: it bounds it.
        while self._settled > 1 and self._windows[0].middle < following.middle - self._reach:
            self._windows.popleft()
            self._settled -= 1

    def _bounds(self) -> tuple[float, float]:
        """Seconds that the next window stands for."""
        place, windows = self._settled, self._windows
        window = windows[place]
        start, end = window.start, window.end
        if place > 0:
            start = max(start, (windows[place - 1].middle + window.middle) / 2)
        if place + 1 < len(windows):
            end = min(end, (window.middle + windows[place + 1].middle) / 2)
        return start, end

    def _list_counted(self, smoothed: Probabilities) -> Iterator[int]:
        """Classes that a window counts for."""
        least = self._rule.threshold * _STAYS
        for index in (-smoothed).argsort(kind="stable")[: self._rule.topk].tolist():
            if smoothed[index] >= least:
                yield index

    def _close(self, index: int) -> None:
        run = self._runs.pop(index)
        long = run.end - run.start >= self._rule.min_duration - _SAME_TIME
        if run.reached >= self._rule.threshold:
            (self._found if long else self._short).append(
                ActionSegment(
                    start=run.start,
                    end=run.end,
                    label=self._labels[index],
                    index=index,
                    mean=sum(run.values) / len(run.values),
                    peak=max(run.values),
                )
            )
