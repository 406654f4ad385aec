"""What a run tells while it goes on, and where its time went."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from videoswin_cli.engine.distributed import World
from videoswin_cli.records import Timing

_NOTED = 5  # videos whose notes are printed


class Progress(Protocol):
    """Whoever shows how far a run is."""

    def begin(self, total: int) -> None:
        """So many videos are to be done."""

    def advance(self, *, failed: bool) -> None:
        """One more is."""


@dataclass
class Monitor:
    """Notices and times of one run in one process."""

    notice: Callable[[str], None] = lambda text: None
    progress: Progress | None = None
    decode_seconds: float = 0.0  # spent decoding, added up over the decoding processes
    resize_seconds: float = 0.0  # of them
    wait_seconds: float = 0.0  # in which the network had nothing to do
    model_seconds: float = 0.0
    normalize_seconds: float = 0.0  # of them; on a GPU only what it took to start
    videos: int = 0  # done
    noted: int = 0  # of them with something to note
    _begun: float = field(default_factory=time.perf_counter)

    def begin(self, total: int) -> None:
        """So many videos are to be computed."""
        self._begun = time.perf_counter()
        if self.progress is not None:
            self.progress.begin(total)

    def advance(self, *, failed: bool) -> None:
        """One more video is done."""
        self.videos += 1
        if self.progress is not None:
            self.progress.advance(failed=failed)

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
        """Where the time went, over all processes; to be called by each of them."""
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
