"""Videos decoded by tasks of a Ray cluster, on whichever node has a CPU for them."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from videoswin_cli.data.patience import VARIABLE, read_patience
from videoswin_cli.data.view_dataset import FailedVideo, VideoViews, ViewDataset
from videoswin_cli.data.window_dataset import WindowDataset
from videoswin_cli.data.workers import Notice
from videoswin_cli.engine.cluster.dealing import MOST_KILLS

Decoded = VideoViews | FailedVideo

_PIECES_AHEAD = 2  # of one video, in shared memory
_DEATH = f"{MOST_KILLS} processes that decoded it died: a crash in the decoder, or out of memory"


@dataclass(frozen=True, kw_only=True)
class DecodingTasks:
    """Reading of videos by tasks; so many are under way at once, and no more wait in memory."""

    ahead: int  # videos
    own_cpus: bool  # each has a CPU to itself; else that of the process it works for

    def views(
        self, dataset: ViewDataset, *, workers: int, notice: Notice
    ) -> Generator[Decoded, None, None]:
        """Views of all videos in order; a video whose tasks die is a failure."""
        return self._read(dataset)

    def windows(
        self, dataset: WindowDataset, *, workers: int, notice: Notice
    ) -> Generator[Decoded, None, None]:
        """Pieces of all videos in order, as `read_windows`."""
        return self._read(dataset)

    def _read(self, dataset: ViewDataset | WindowDataset) -> Generator[Decoded, None, None]:
        import ray

        decode = ray.remote(_decode).options(
            num_cpus=1 if self.own_cpus else 0,
            num_returns="streaming",
            max_retries=MOST_KILLS - 1,
            _generator_backpressure_num_objects=_PIECES_AHEAD,
        )
        shared = ray.put(dataset)
        left, open_tasks = deque(range(len(dataset.parts))), deque[tuple[int, Any]]()
        try:
            while left or open_tasks:
                while left and len(open_tasks) < self.ahead + 1:
                    open_tasks.append((left[0], decode.remote(shared, left.popleft())))
                number, items = open_tasks[0]
                yield from _receive(dataset, number, items)
                open_tasks.popleft()
        finally:
            for _, items in open_tasks:  # gently: `force` would end processes that others need
                ray.cancel(items)


def _decode(dataset: ViewDataset | WindowDataset, number: int) -> Iterator[Decoded]:
    """One video, in a process of its own."""
    if isinstance(dataset, WindowDataset):
        yield from dataset.stream(number)
    else:
        yield dataset[number]


def _receive(dataset: ViewDataset | WindowDataset, number: int, items: Any) -> Iterator[Decoded]:
    import ray
    from ray.exceptions import NodeDiedError, ObjectLostError, WorkerCrashedError

    patience = read_patience()
    try:
        while True:
            ready: Sequence[Any]
            ready, _ = ray.wait([items], timeout=patience.busy_seconds)
            if not ready:
                ray.cancel(items, force=True)
                seconds = patience.busy_seconds
                yield dataset.failed(
                    number, f"no frame came for {seconds:.0f} s: given up ({VARIABLE})"
                )
                return
            try:
                yield ray.get(next(items))
            except StopIteration:
                return
    except (WorkerCrashedError, NodeDiedError, ObjectLostError):
        yield dataset.failed(number, _DEATH)
