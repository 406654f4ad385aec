"""Videos decoded by actors of a Ray cluster, on whichever node has CPUs for them."""

import os
import socket
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

from videoswin_cli.data.patience import VARIABLE, read_patience
from videoswin_cli.data.view_dataset import FailedVideo, VideoViews, ViewDataset
from videoswin_cli.data.window_dataset import WindowDataset
from videoswin_cli.data.workers import Notice
from videoswin_cli.engine.cluster.dealing import MOST_KILLS
from videoswin_cli.engine.cluster.place import enter
from videoswin_cli.errors import UsageError

Decoded = VideoViews | FailedVideo
VideoDataset = ViewDataset | WindowDataset

_PIECES_AHEAD = 2  # of one video, in shared memory
_START_SECONDS = 60.0  # for the first decoder
_DEATH = f"{MOST_KILLS} processes that decoded it died: a crash in the decoder, or out of memory"


class Decoder:
    """A process that decodes one video after the other; Ray makes an actor of it."""

    def ready(self, folder: str, sample: str | None) -> str | None:
        """The reason against this process, once it runs; see `enter`."""
        refusal = enter(folder, sample)
        return refusal and f"node {socket.gethostname()} cannot take part: {refusal}"

    def decode(self, dataset: VideoDataset, number: int, skip: int) -> Iterator[Decoded]:
        """Pieces of a video but for the first ones."""
        yield from _decode(dataset, number, skip)


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
    folder: str  # the current one of the driver
    sample: str | None  # a video that the driver sees
    _coming: dict[Any, Any] = field(default_factory=dict)  # reference -> actor
    _free: list[Any] = field(default_factory=list)

    def open(self) -> None:
        """Ask for all, and wait for the first, for a while: CPUs may be short."""
        while len(self._coming) < self.count:
            self._request()
        self._admit(_START_SECONDS)

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
        while left or begun:
            self._begin(shared, left, begun)
            if not begun:  # nobody is free to decode
                yield from _decode(dataset, left.popleft())
                continue
            for piece in self._receive(dataset, shared, begun[0]):
                if isinstance(piece, FailedVideo) or not piece.unread:
                    if (decoder := begun.popleft().decoder) is not None:
                        self._free.append(decoder)
                    self._begin(shared, left, begun)  # decoded while the network computes
                yield piece

    def _begin(self, shared: Any, left: deque[int], begun: deque[_Video]) -> None:
        self._admit(0)
        while left and self._free:
            decoder, number = self._free.pop(), left.popleft()
            begun.append(_Video(number, decoder, _start(decoder, shared, number)))

    def _request(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options: dict[str, Any] = {"num_cpus": 1}
        if not self.own_cpus:
            here = ray.get_runtime_context().get_node_id()
            near = NodeAffinitySchedulingStrategy(node_id=here, soft=True)
            options = {"num_cpus": 0, "scheduling_strategy": near}
        decoder = ray.remote(Decoder).options(**options).remote()
        self._coming[decoder.ready.remote(self.folder, self.sample)] = decoder

    def _admit(self, seconds: float) -> None:
        """Free decoders that have come; the first is waited for so long where there is none."""
        import ray
        from ray.exceptions import RayError

        if not self._coming:
            return
        came, _ = ray.wait(list(self._coming), num_returns=len(self._coming), timeout=0)
        if not came and not self._free and seconds:
            came, _ = ray.wait(list(self._coming), timeout=seconds)
        for reference in came:
            decoder = self._coming.pop(reference)
            try:
                refusal = ray.get(reference)
            except RayError:  # it died as it came
                self._request()
                continue
            if refusal is not None:
                raise UsageError(refusal)
            self._free.append(decoder)

    def _replace(self) -> Any:
        """A decoder for one that died; None where none comes."""
        self._request()
        self._admit(_START_SECONDS)
        return self._free.pop() if self._free else None

    def _receive(self, dataset: VideoDataset, shared: Any, video: _Video) -> Iterator[Decoded]:
        """Pieces of a video; where its decoder dies another one makes the rest."""
        import ray

        while True:
            piece = _take(video)
            if piece == "stalled":
                ray.kill(video.decoder)
                seconds = read_patience().busy_seconds
                reason = f"no frame came for {seconds:.0f} s: given up ({VARIABLE})"
                video.decoder = self._replace()
                piece = dataset.failed(video.number, reason)
            elif piece == "dead":
                video.deaths += 1
                video.decoder = self._replace()
                if video.deaths == MOST_KILLS:
                    piece = dataset.failed(video.number, _DEATH)
                elif video.decoder is None:
                    yield from _decode(dataset, video.number, video.came)
                    return
                else:
                    video.pieces = _start(video.decoder, shared, video.number, skip=video.came)
                    continue
            assert not isinstance(piece, str)
            video.came += 1
            yield piece
            if isinstance(piece, FailedVideo) or not piece.unread:
                return


def _take(video: _Video) -> Decoded | Literal["stalled", "dead"]:
    """The next piece of a video."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        ready, _ = ray.wait([video.pieces], timeout=read_patience().busy_seconds)
        if not ready:
            return "stalled"
        piece: Decoded = ray.get(next(video.pieces))
        return piece
    except RayTaskError:
        raise
    except RayError:
        return "dead"  # or its node is, and the memory in which the piece was
    except OSError:
        # The connection to this node's own Ray: the node is lost, and this process with it.
        os._exit(1)


def _decode(dataset: VideoDataset, number: int, skip: int = 0) -> Iterator[Decoded]:
    """Pieces of a video but for the first ones, decoded here."""
    pieces = dataset.stream(number) if isinstance(dataset, WindowDataset) else [dataset[number]]
    yield from islice(pieces, skip, None)


def _start(decoder: Any, shared: Any, number: int, *, skip: int = 0) -> Any:
    """Generator of references to the pieces of a video."""
    decode = decoder.decode.options(
        num_returns="streaming", _generator_backpressure_num_objects=_PIECES_AHEAD
    )
    return decode.remote(shared, number, skip)
