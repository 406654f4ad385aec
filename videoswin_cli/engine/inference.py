"""The one forward loop: videos in, logits of every view out, views batched across videos."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from videoswin_cli.data.dataset import FailedVideo, VideoViews
from videoswin_cli.data.transforms import normalise
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.records import VideoInfo


@dataclass(frozen=True, kw_only=True)
class VideoLogits:
    """What the network says of one video."""

    info: VideoInfo
    logits: Tensor  # float32 (views, classes), view = crop * clips + clip
    notes: tuple[str, ...]


def forward_videos(
    model: LoadedModel,
    videos: Iterable[VideoViews | FailedVideo],
    *,
    runtime: Runtime,
    batch_size: int,
) -> Iterator[VideoLogits | FailedVideo]:
    """Run the network over all views of all videos; results come in order, failures pass through.

    Args:
        model: its network is already on the device and of the dtype of `runtime`.
        videos: decoded, as they come.
        runtime: device and dtype.
        batch_size: views a forward pass, from several videos where one has fewer.
    """
    waiting: deque[_OpenVideo | FailedVideo] = deque()
    batch: list[tuple[_OpenVideo, int]] = []
    for video in videos:
        if isinstance(video, FailedVideo):
            waiting.append(video)
        else:
            opened = _OpenVideo(video)
            waiting.append(opened)
            for number in opened.distinct:
                batch.append((opened, number))
                if len(batch) == batch_size:
                    _forward(model, batch, runtime)
                    batch.clear()
        yield from _finished(waiting)
    if batch:
        _forward(model, batch, runtime)
    yield from _finished(waiting)


@dataclass
class _OpenVideo:
    """A video some of whose views are still to come. Equal views are computed once."""

    video: VideoViews
    logits: dict[object, Tensor] = field(default_factory=dict)  # by the key of the view

    def __post_init__(self) -> None:
        self.distinct = list({self.video.key(n): n for n in range(len(self.video))}.values())

    @property
    def complete(self) -> bool:
        return len(self.logits) == len(self.distinct)

    def result(self) -> VideoLogits:
        rows = [self.logits[self.video.key(number)] for number in range(len(self.video))]
        return VideoLogits(info=self.video.info, logits=torch.stack(rows), notes=self.video.notes)


def _finished(waiting: "deque[_OpenVideo | FailedVideo]") -> Iterator[VideoLogits | FailedVideo]:
    while waiting and (isinstance(waiting[0], FailedVideo) or waiting[0].complete):
        video = waiting.popleft()
        yield video if isinstance(video, FailedVideo) else video.result()


def _forward(model: LoadedModel, batch: list[tuple[_OpenVideo, int]], runtime: Runtime) -> None:
    protocol = model.spec.protocol
    views = torch.stack([opened.video.view(number) for opened, number in batch])
    with torch.inference_mode():
        clips = normalise(
            views.to(runtime.device), mean=protocol.mean, std=protocol.std, dtype=runtime.dtype
        )
        logits = model.network(clips).float().cpu()
    for (opened, number), row in zip(batch, logits, strict=True):
        opened.logits[opened.video.key(number)] = row
