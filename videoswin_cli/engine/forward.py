"""The one forward loop: videos in, what the network says of every view out."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field

import torch
from torch import Tensor

from videoswin_cli.data.transforms import normalize
from videoswin_cli.data.view_dataset import FailedVideo, Gap, VideoViews
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.io.visible import counted
from videoswin_cli.model.exported.engines import open_exported
from videoswin_cli.model.exported.reading import ExportedFile
from videoswin_cli.model.network import TrainableNetwork, VideoNetwork, plan_on_cpu
from videoswin_cli.model.openvino.network import open_openvino
from videoswin_cli.records import InputProtocol, VideoInfo

_NOT_FINITE = "the network answers with NaN or infinity: broken weights, or too much for fp16"

Compute = Callable[[Tensor], Tensor]  # normalized clips (B, 3, T, H, W) -> (B, ...)


@dataclass(frozen=True)
class Flush:
    """Marker between the videos of a stream: what waits for a full batch is computed now."""


@dataclass(frozen=True, kw_only=True)
class ViewOutputs:
    """Outputs of the network for the views of one video."""

    info: VideoInfo
    outputs: Tensor  # float32 (views, ...), view = crop * clips + clip; (views, classes) for logits
    times: tuple[tuple[float, float], ...]  # start and end of each clip in seconds
    notes: tuple[str, ...]
    gaps: tuple[Gap, ...]  # clips between these that cannot be read
    unread: int  # clips of this video that come after these
    until: float = 0.0  # s, end of the last window of the video


def prepare(network: TrainableNetwork | ExportedFile, runtime: Runtime) -> VideoNetwork:
    """The network as it shall compute: where, how precisely, by which engine.

    On a CPU torch follows its plan. An exported file is opened by its engine. A network is copied
    where torch shall compute with it in another place or dtype; that of the caller stays as it is.

    Raises:
        DeviceError: the engine cannot compute it.
    """
    if isinstance(network, ExportedFile):
        return open_exported(network, runtime.device)
    if runtime.engine == "openvino":
        return open_openvino(network, runtime.precision)
    here, ready = next(network.parameters()), network
    if (here.device, here.dtype) != (runtime.device, runtime.dtype):
        ready = deepcopy(network).to(device=runtime.device, dtype=runtime.dtype)
    return plan_on_cpu(ready) if runtime.on_cpu else ready


def forward_videos(
    videos: Iterable[VideoViews | FailedVideo | Flush],
    compute: Compute,
    *,
    protocol: InputProtocol,
    runtime: Runtime,
    batch_size: int,
    fill_batches: bool = False,
    monitor: Monitor | None = None,
) -> Generator[ViewOutputs | FailedVideo, None, None]:
    """Compute all views of all videos; results come in order, failures pass through.

    Args:
        videos: decoded, as they come. A generator is closed with this one, and so are its workers.
        compute: the network, or a part of it; already on the device and of the dtype of `runtime`.
        protocol: mean and standard deviation of what the network is fed with.
        runtime: device and dtype.
        batch_size: views per forward pass, from several videos where one has fewer. Halved where
            the memory does not suffice.
        fill_batches: repeat a view where the last batch is not full. Batches of one size are
            computed alike, so equal views give equal bits whatever travels beside them.
        monitor: of the run.

    Raises:
        VideoSwinError: no memory even for one view at a time.
    """
    monitor = monitor or Monitor()
    batches = _Batches(compute, protocol, runtime, batch_size, fill_batches, monitor)
    waiting: deque[_OpenVideo | FailedVideo] = deque()
    with closing(_time_waiting(videos, monitor)) as decoded:
        for video in decoded:
            if isinstance(video, Flush):
                batches.flush()
            elif isinstance(video, FailedVideo):
                waiting.append(video)
            else:
                monitor.decode_seconds += video.seconds
                monitor.resize_seconds += video.resize_seconds
                opened = _OpenVideo(video)
                waiting.append(opened)
                for number in opened.distinct:
                    batches.add(opened, number)
            yield from _finished(waiting)
    batches.flush()
    yield from _finished(waiting)


def _time_waiting(
    videos: Iterable[VideoViews | FailedVideo | Flush], monitor: Monitor
) -> Generator[VideoViews | FailedVideo | Flush, None, None]:
    begun = time.perf_counter()
    try:
        for video in videos:
            monitor.wait_seconds += time.perf_counter() - begun
            yield video
            begun = time.perf_counter()
    finally:
        if isinstance(videos, Generator):  # an error that is kept would keep the workers
            videos.close()


@dataclass
class _OpenVideo:
    """A video some of whose views are still to come. Equal views are computed once."""

    video: VideoViews
    outputs: dict[object, Tensor] = field(default_factory=dict)  # by the key of the view

    def __post_init__(self) -> None:
        self.distinct = list({self.video.key(n): n for n in range(len(self.video))}.values())

    @property
    def complete(self) -> bool:
        return len(self.outputs) == len(self.distinct)

    def result(self) -> ViewOutputs | FailedVideo:
        """Outputs of all its views, once it is complete; a failure where one is not finite."""
        video = self.video
        views = [self.outputs[video.key(n)] for n in range(len(video))]
        outputs = torch.stack(views) if views else torch.empty(0)
        if not outputs.isfinite().all():
            return FailedVideo(path=video.info.path, reason=_NOT_FINITE, unread=video.unread)
        return ViewOutputs(
            info=video.info,
            outputs=outputs,
            times=video.times,
            notes=video.notes,
            gaps=video.gaps,
            unread=video.unread,
            until=video.until,
        )


def _finished(waiting: "deque[_OpenVideo | FailedVideo]") -> Iterator[ViewOutputs | FailedVideo]:
    while waiting and (isinstance(waiting[0], FailedVideo) or waiting[0].complete):
        video = waiting.popleft()
        yield video if isinstance(video, FailedVideo) else video.result()


class _Batches:
    """Views that wait for a full batch, whatever video they are from."""

    def __init__(
        self,
        compute: Compute,
        protocol: InputProtocol,
        runtime: Runtime,
        size: int,
        fill: bool,
        monitor: Monitor,
    ) -> None:
        self._compute = compute
        self._protocol = protocol
        self._runtime = runtime
        self._size = size
        self._fill = fill
        self._monitor = monitor
        self._views: list[tuple[_OpenVideo, int]] = []

    def add(self, opened: _OpenVideo, number: int) -> None:
        self._views.append((opened, number))
        if len(self._views) >= self._size:
            self.flush()

    def flush(self) -> None:
        """Compute all views that wait, so many at once as fit."""
        begun = time.perf_counter()
        while self._views:
            batch = self._views[: self._size]
            try:
                outputs = self._forward(batch)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(error)
                continue
            for (opened, number), output in zip(batch, outputs, strict=True):
                opened.outputs[opened.video.key(number)] = output
            del self._views[: len(batch)]
        self._monitor.model_seconds += time.perf_counter() - begun

    def _forward(self, batch: list[tuple[_OpenVideo, int]]) -> Tensor:
        views = torch.stack([opened.video.view(number) for opened, number in batch])
        if self._fill and len(batch) < self._size:
            views = torch.cat([views, views[-1:].expand(self._size - len(batch), *views.shape[1:])])
        mean, std = self._protocol.mean, self._protocol.std
        with torch.inference_mode(), full_float32():
            views = views.to(self._runtime.device)
            begun = time.perf_counter()
            clips = normalize(views, mean=mean, std=std, dtype=self._runtime.dtype)
            self._monitor.normalize_seconds += time.perf_counter() - begun
            return self._compute(clips)[: len(batch)].float().cpu()

    def _halve(self, error: RuntimeError) -> None:
        if self._size == 1:
            raise VideoSwinError(
                "out of memory with one view at a time",
                hint="close other programs, or use a smaller model, --precision bf16 or another "
                "--device",
            ) from error
        self._size //= 2
        self._monitor.notice(
            f"out of memory: continuing with {counted(self._size, 'view')} per forward pass "
            "(--batch-size)"
        )
        if not self._runtime.on_cpu:
            torch.cuda.empty_cache()


def is_out_of_memory(error: RuntimeError) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error)  # the CPU's allocator has no class of its own
