"""Videos decoded by actors of a Ray cluster, on whichever node has CPUs for them."""

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from videoswin_cli.data.patience import VARIABLE, read_patience
from videoswin_cli.data.view_dataset import FailedVideo, VideoViews, ViewDataset
from videoswin_cli.data.window_dataset import WindowDataset
from videoswin_cli.data.workers import Notice
from videoswin_cli.engine.cluster.dealing import MOST_KILLS

Decoded = VideoViews | FailedVideo
VideoDataset = ViewDataset | WindowDataset

_PIECES_AHEAD = 2  # of one video, in shared memory
_DEATH = f"{MOST_KILLS} processes that decoded it died: a crash in the decoder, or out of memory"


class Decoder:
    """A process that decodes one video after the other; Ray makes an actor of it."""

    def decode(self, dataset: VideoDataset, number: int, skip: int) -> Iterator[Decoded]:
        """Pieces of a video but for the first ones."""
        if isinstance(dataset, WindowDataset):
            for place, piece in enumerate(dataset.stream(number)):
                if place >= skip:
                    yield piece
        else:
            yield dataset[number]


@dataclass
class _Video:
    """A video that is being decoded."""

    number: int
    decoder: Any  # the actor
    pieces: Any  # generator of references
    came: int = 0  # pieces
    deaths: int = 0  # of decoders


@dataclass
class Decoders:
    """Decoding actors of one worker, each with one video at a time: memory is bounded by them."""

    count: int
    own_cpus: bool  # each has a CPU to itself; else that of the process it works for
    _free: list[Any] = field(default_factory=list)

    def views(
        self, dataset: ViewDataset, *, workers: int, notice: Notice
    ) -> Generator[Decoded, None, None]:
        """Views of all videos in order; a video that kills its decoders is a failure."""
        return self._read(dataset)

    def windows(
        self, dataset: WindowDataset, *, workers: int, notice: Notice
    ) -> Generator[Decoded, None, None]:
        """Pieces of all videos in order, as `read_windows`."""
        return self._read(dataset)

    def _read(self, dataset: VideoDataset) -> Generator[Decoded, None, None]:
        import ray

        shared = ray.put(dataset)
        left, begun = deque(range(len(dataset.parts))), deque[_Video]()
        self._begin(shared, left, begun)
        while begun:
            for piece in self._receive(dataset, shared, begun[0]):
                if isinstance(piece, FailedVideo) or not piece.unread:
                    self._free.append(begun.popleft().decoder)
                    self._begin(shared, left, begun)  # decoded while the network computes
                yield piece

    def _begin(self, shared: Any, left: deque[int], begun: deque[_Video]) -> None:
        while left and len(begun) < self.count:
            decoder = self._free.pop() if self._free else self._hire()
            number = left.popleft()
            begun.append(_Video(number, decoder, _start(decoder, shared, number)))

    def _hire(self) -> Any:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if self.own_cpus:
            return ray.remote(Decoder).options(num_cpus=1).remote()
        here = ray.get_runtime_context().get_node_id()
        near = NodeAffinitySchedulingStrategy(node_id=here, soft=True)
        return ray.remote(Decoder).options(num_cpus=0, scheduling_strategy=near).remote()

    def _receive(self, dataset: VideoDataset, shared: Any, video: _Video) -> Iterator[Decoded]:
        """Pieces of a video; where its decoder dies another one makes the rest."""
        import ray
        from ray.exceptions import GetTimeoutError, ObjectLostError, RayActorError

        patience = read_patience()
        while True:
            try:
                ready, _ = ray.wait([video.pieces], timeout=patience.busy_seconds)
                if not ready:
                    raise GetTimeoutError
                piece: Decoded = ray.get(next(video.pieces))
            except GetTimeoutError:
                ray.kill(video.decoder)
                video.decoder = self._hire()
                reason = f"no frame came for {patience.busy_seconds:.0f} s: given up ({VARIABLE})"
                yield dataset.failed(video.number, reason)
                return
            except (RayActorError, ObjectLostError):
                video.deaths += 1
                video.decoder = self._hire()
                if video.deaths == MOST_KILLS:
                    yield dataset.failed(video.number, _DEATH)
                    return
                video.pieces = _start(video.decoder, shared, video.number, skip=video.came)
                continue
            video.came += 1
            yield piece
            if isinstance(piece, FailedVideo) or not piece.unread:
                return


def _start(decoder: Any, shared: Any, number: int, *, skip: int = 0) -> Any:
    """Generator of references to the pieces of a video."""
    decode = decoder.decode.options(
        num_returns="streaming", _generator_backpressure_num_objects=_PIECES_AHEAD
    )
    return decode.remote(shared, number, skip)
