"""Progress and timing of a run."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from videoswin_cli.engine.distributed import World
from videoswin_cli.records import Timing
from videoswin_cli.report.timing import clock

_NOTED = 5  # videos whose notes are printed


class Reporter(Protocol):
    """Messages and progress of a run, shown to somebody."""

    def notice(self, text: str) -> None:
        """A message of one line."""

    def start(self, total: int, *, unit: str, done: int = 0) -> None:
        """Work of so many units begins, of which some were done in an earlier run."""

    def advance(self, *, failed: bool = False, status: str = "") -> None:
        """One more unit is done; `status` says how it stands."""

    def show(self, text: str) -> None:
        """The state of the unit that is being worked on, in place of what was shown before."""

    def printing(self) -> AbstractContextManager[object]:
        """A block that prints results, which must not mix with the progress on a terminal."""
        ...


class Silent:
    """Reporter of the processes that are not the main one, and of Python callers."""

    def notice(self, text: str) -> None:
        pass

    def start(self, total: int, *, unit: str, done: int = 0) -> None:
        pass

    def advance(self, *, failed: bool = False, status: str = "") -> None:
        pass

    def show(self, text: str) -> None:
        pass

    def printing(self) -> AbstractContextManager[object]:
        return nullcontext()


@dataclass
class Monitor:
    """Messages, progress and timing of one run in one process."""

    reporter: Reporter = field(default_factory=Silent)
    decode_seconds: float = 0.0  # spent decoding, added up over the decoding processes
    resize_seconds: float = 0.0  # of them
    wait_seconds: float = 0.0  # in which the network had nothing to do
    model_seconds: float = 0.0
    normalize_seconds: float = 0.0  # of them; on a GPU only what it took to start
    total: int = 0  # videos that are to be computed
    videos: int = 0  # of them that are done
    noted: int = 0  # of them with something to note
    seen_seconds: float = 0.0  # of video, whose windows were computed
    status: str = ""  # shown beside the progress, in place of how many failed
    _begun: float = field(default_factory=time.perf_counter)

    def begin(self, total: int) -> None:
        """So many videos are to be computed."""
        self._begun, self.total = time.perf_counter(), total
        self.reporter.start(total, unit="video")

    def notice(self, text: str) -> None:
        """A message of one line."""
        self.reporter.notice(text)

    def advance(self, *, failed: bool) -> None:
        """One more video is done."""
        self.videos += 1
        self.reporter.advance(failed=failed, status=self.status)

    def watch(self, path: str, position: float, end: float, *, seconds: float) -> None:
        """So many seconds more of a video were seen, up to a position; both ends in video time."""
        self.seen_seconds += seconds
        passed = time.perf_counter() - self._begun
        pace = self.seen_seconds / passed if passed else 0.0
        number = f"{self.videos + 1} of {self.total}, " if self.total > 1 else ""
        name = path.replace("\\", "/").rpartition("/")[2]
        times = f"{clock(position)} / {clock(end)}"
        self.reporter.show(f"{number}{name}: {times}, {pace:.1f}x real time")

    def note(self, path: str, notes: Sequence[str]) -> None:
        """Notices about an odd video; of many only the first few are printed."""
        if not notes:
            return
        self.noted += 1
        if self.noted <= _NOTED:
            for text in notes:
                self.notice(f"{path}: {text}")
        elif self.noted == _NOTED + 1:
            self.notice("more videos are odd in such ways; they are not named here")

    def timing(self, world: World | None = None) -> Timing:
        """Timing of the run over all processes; to be called by each of them."""
        world = world or World()
        spent = (self.videos, self.decode_seconds, self.wait_seconds, self.model_seconds)
        everybody = world.gather([spent]) or [spent]
        videos, decode, wait, model = (sum(column) for column in zip(*everybody, strict=True))
        return Timing(
            videos=int(videos),
            processes=world.size,
            seconds=time.perf_counter() - self._begun,
            decode_seconds=decode,
            wait_seconds=wait,
            model_seconds=model,
        )
