"""Views of several threads in the batches of one forward loop."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from queue import Empty
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny import PROTOCOL
from torch import Tensor

from videoswin_cli.data.view_dataset import FailedVideo, VideoViews
from videoswin_cli.engine import shared_forward
from videoswin_cli.engine.forward import Flush, ViewOutputs, forward_videos
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.engine.shared_forward import SharedForward
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.records import VideoInfo

BATCH = 3
FAILED = FailedVideo(path="broken.mp4", reason="no video")


class Network:
    """The brightness of each view, and the views of each batch."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.error: Exception | None = None  # that the next batch raises

    def __call__(self, clips: Tensor) -> Tensor:
        means = clips.mean(dim=(1, 2, 3, 4))
        self.batches.append(means.tolist())
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return means[:, None]


def views(*shades: int) -> VideoViews:
    """A video of gray clips of 2 frames, one view of each shade."""
    frames = torch.tensor(shades, dtype=torch.uint8).repeat_interleave(2)
    return VideoViews(
        info=VideoInfo(
            path=f"{shades[0]}.mp4",
            decoder="numpy",
            frames=len(frames),
            fps=25.0,
            height=4,
            width=4,
            constant_rate=True,
            fps_stated=True,
        ),
        frames=frames[:, None, None, None].expand(-1, 4, 4, 3),
        clips=tuple((2 * n, 2 * n + 1) for n in range(len(shades))),
        starts=tuple(n / 25 for n in range(len(frames))),
        times=tuple((2 * n / 25, 2 * (n + 1) / 25) for n in range(len(shades))),
        corners=((0, 0),),
        crop_size=4,
        notes=(),
        seconds=0.0,
        resize_seconds=0.0,
    )


def loop(network: Network) -> Callable[..., Iterator[ViewOutputs | FailedVideo]]:
    return partial(
        forward_videos,
        compute=network,
        protocol=PROTOCOL,
        runtime=Runtime(device=torch.device("cpu"), dtype=torch.float32),
        batch_size=BATCH,
    )


def alone(*shades: int) -> list[list[float]]:
    """Outputs of views that are computed one by one."""
    network = Network()
    return [next(iter(loop(network)([views(shade)]))).outputs[0].tolist() for shade in shades]


def outputs(found: ViewOutputs | FailedVideo) -> list[list[float]]:
    assert isinstance(found, ViewOutputs)
    rows: list[list[float]] = found.outputs.tolist()
    return rows


@contextmanager
def sharing(network: Network) -> Iterator[SharedForward]:
    shared = SharedForward(SimpleNamespace(forward=loop(network)), Monitor())  # type: ignore[arg-type]
    try:
        yield shared
    finally:
        shared.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only full batches are computed."""
    monkeypatch.setattr(shared_forward, "_WAIT_SECONDS", 3600.0)


@pytest.mark.parametrize(("fill", "sizes"), [(False, [3, 1, 2]), (True, [3, 3, 3])])
def test_a_flush_computes_what_waits_before_the_next_video_is_asked_for(
    fill: bool, sizes: list[int]
) -> None:
    network = Network()
    seen: list[list[list[float]]] = []

    def stream() -> Iterator[VideoViews | Flush]:
        yield views(10, 20, 30, 40)
        assert seen == []
        yield Flush()
        assert seen == [alone(10, 20, 30, 40)]
        yield Flush()  # nothing waits
        yield views(50, 60)

    for found in loop(network)(stream(), fill_batches=fill):
        seen.append(outputs(found))
    assert seen == [alone(10, 20, 30, 40), alone(50, 60)]
    assert [len(batch) for batch in network.batches] == sizes


@pytest.mark.usefixtures("patient")
def test_views_of_several_threads_travel_in_one_batch_and_each_gets_its_own() -> None:
    network = Network()
    videos = [(10,), (20, 30), (40, 50, 60)]
    with sharing(network) as shared, ThreadPoolExecutor(len(videos)) as pool:
        found = list(pool.map(lambda shades: outputs(shared.compute(views(*shades))), videos))
    assert found == [alone(*shades) for shades in videos]
    assert [len(set(batch)) for batch in network.batches] == [3, 3]


def test_a_view_that_stays_alone_is_computed_in_a_filled_batch() -> None:
    network = Network()
    with sharing(network) as shared:
        assert shared.compute(FAILED) is FAILED
        assert outputs(shared.compute(views(10))) == alone(10)
        assert outputs(shared.compute(views(20, 30))) == alone(20, 30)
    assert [len(batch) for batch in network.batches] == [3, 3]
    assert [len(set(batch)) for batch in network.batches] == [1, 2]


class Script:
    """A queue that gives its items at their times, and keeps how long it was to wait for each."""

    def __init__(self, clock: list[float], items: list[tuple[float, Any]]) -> None:
        self.clock = clock  # s, of the module
        self.items = deque(items)  # time and item
        self.waits: list[float | None] = []

    def get(self, timeout: float | None = None) -> Any:
        self.waits.append(timeout)
        now = self.clock[0]
        if timeout is not None and self.items[0][0] > now + timeout:
            self.clock[0] = now + timeout
            raise Empty
        time, item = self.items.popleft()
        self.clock[0] = max(now, time)
        return item

    def put(self, item: object) -> None:
        assert item is None  # `close`: the script has an end of its own


def test_the_first_view_of_a_batch_waits_4_ms_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    network, clock = Network(), [100.0]
    answers: list[Future[Any]] = [Future() for _ in range(4)]
    first, second, third, last = answers
    script = Script(
        clock,
        [
            (100.5, (views(10), first)),
            (100.503, (views(20), second)),
            (100.6, (views(30), third)),  # too late for the batch of those
            (100.601, (views(40), last)),
            (100.602, None),  # the end does not wait
        ],
    )
    monkeypatch.setattr(shared_forward, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(shared_forward, "SimpleQueue", lambda: script)
    with sharing(network):
        pass
    found = [outputs(answer.result(timeout=0)) for answer in answers]
    assert found == [alone(shade) for shade in (10, 20, 30, 40)]
    assert [len(set(batch)) for batch in network.batches] == [2, 2]
    waits = [None if wait is None else round(1000 * wait, 3) for wait in script.waits]  # ms
    assert waits == [None, 4, 1, None, 4, 3]


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("no such kernel"), "the network failed: RuntimeError: no such kernel"),
        (VideoSwinError("out of memory"), "out of memory"),
    ],
)
def test_an_error_of_the_network_reaches_all_that_wait_and_the_next_are_answered(
    error: Exception, message: str
) -> None:
    network = Network()
    network.error = error

    def fail(shade: int) -> str:
        with pytest.raises(VideoSwinError) as raised:
            shared.compute(views(shade))
        return raised.value.message

    with sharing(network) as shared, ThreadPoolExecutor(BATCH) as pool:
        assert list(pool.map(fail, (10, 20, 30))) == [message] * 3
        assert outputs(shared.compute(views(40, 50, 60))) == alone(40, 50, 60)
