"""One forward loop that several threads share: their views travel in the same batches."""

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from videoswin_cli.data.view_dataset import FailedVideo, VideoViews
from videoswin_cli.engine.forward import Compute, Flush, ViewOutputs
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.options.run import OpenOptions

Decoded = VideoViews | FailedVideo
Output = ViewOutputs | FailedVideo

_WAIT_SECONDS = 0.004  # that the first view of a batch waits for others


@dataclass(frozen=True, kw_only=True)
class VideoLimits:
    """Limits of one video."""

    seconds: float
    views: int

    def find_excess(self, video: VideoViews) -> str | None:
        """The limit that a video is beyond, from its first piece."""
        seconds = video.info.frames / video.info.fps
        if seconds > self.seconds:
            return f"it lasts {seconds:.0f} s; the limit is {self.seconds:g} s (--max-duration)"
        views = len(video) + video.unread * len(video.corners)
        if views > self.views:
            why = f"it has {views} views; the limit is {self.views} (--max-views)"
            return f"{why}: a longer stride gives fewer"
        return None


class SharedForward:
    """The forward loop of a runner in a thread of its own, fed through a queue.

    It ends with `close`, once all that was given to it is computed.
    """

    def __init__(self, runner: Runner, monitor: Monitor) -> None:
        self._runner = runner
        self._monitor = monitor
        self._queue: SimpleQueue[tuple[Decoded, Future[Output]] | None] = SimpleQueue()
        self._waiting: deque[Future[Output]] = deque()  # of what the loop has, in its order
        self._since = 0.0  # when the first of these was given to the loop
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="forward", daemon=True)
        self._thread.start()

    def compute(self, views: Decoded) -> Output:
        """Outputs of decoded views; it returns when they are there.

        Raises:
            VideoSwinError: the network cannot compute them.
        """
        answer: Future[Output] = Future()
        self._queue.put((views, answer))
        return answer.result()

    def close(self) -> None:
        """End the loop. Nothing may be given to it any more."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._ended:
            try:
                # Batches of one size: no answer depends on what travels beside it.
                outputs = self._runner.forward(
                    self._stream(), fill_batches=True, monitor=self._monitor
                )
                with closing(outputs):
                    for output in outputs:
                        self._waiting.popleft().set_result(output)
                        self._since = time.monotonic()
            except Exception as error:  # noqa: BLE001 - the next request finds a new loop
                failed = error if isinstance(error, VideoSwinError) else _name(error)
                while self._waiting:
                    self._waiting.popleft().set_exception(failed)

    def _stream(self) -> Generator[Decoded | Flush, None, None]:
        while True:
            left = self._since + _WAIT_SECONDS - time.monotonic()
            try:
                item = self._queue.get(timeout=max(left, 0.0) if self._waiting else None)
            except Empty:
                yield Flush()
                continue
            if item is None:
                self._ended = True
                return
            if not self._waiting:
                self._since = time.monotonic()
            views, answer = item
            self._waiting.append(answer)
            del item, answer
            yield views


def _name(error: Exception) -> VideoSwinError:
    return VideoSwinError(f"the network failed: {type(error).__name__}: {error}")


class SharedRunner(Runner):
    """A runner for one of several threads, whose views are computed by a loop that all share.

    It decodes in the thread that asks: processes are not forked from a program with threads.
    """

    def __init__(
        self, runner: Runner, shared: SharedForward, opening: OpenOptions, limits: VideoLimits
    ) -> None:
        """Videos beyond the limits fail."""
        settings = replace(runner.settings, opening=opening, workers=0)
        super().__init__(runner.model, runner.network, settings)
        self._shared = shared
        self._limits = limits

    def forward(
        self,
        videos: Iterable[VideoViews | FailedVideo | Flush],
        compute: Compute | None = None,
        *,
        fill_batches: bool = False,
        monitor: Monitor,
    ) -> Generator[ViewOutputs | FailedVideo, None, None]:
        """Logits of all views; batches are those of the loop."""
        assert compute is None
        try:
            for video in videos:
                if not isinstance(video, Flush):
                    yield self._shared.compute(self._checked(video))
        finally:
            if isinstance(videos, Generator):
                videos.close()

    def _checked(self, video: Decoded) -> Decoded:
        if isinstance(video, FailedVideo):
            return video
        reason = self._limits.find_excess(video)
        return video if reason is None else FailedVideo(path=video.info.path, reason=reason)
