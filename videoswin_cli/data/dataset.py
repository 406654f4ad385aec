"""One video becomes its views: open, sample, decode, resize. A failure is a value."""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from videoswin_cli.data.decoding.open import DecoderChoice, Video, open_video
from videoswin_cli.data.remote import local_copy
from videoswin_cli.data.sampling import loops, sample_clips
from videoswin_cli.data.sources import is_url
from videoswin_cli.data.transforms import Box, crop_corners, resize, resized_size
from videoswin_cli.errors import VideoError, VideoSwinError
from videoswin_cli.records import Protocol, VideoInfo, Views

Corners = tuple[tuple[int, int], ...]  # (top, left) in px

_BYTES_AT_ONCE = 256 << 20  # of frames at full size, before they are resized: 43 of 1920x1080
_FAST_FPS = 40  # above it a clip of fixed stride covers much less time than in training


@dataclass(frozen=True, kw_only=True)
class VideoViews:
    """A decoded video, ready to be cut into views. View number = crop * clips + clip."""

    info: VideoInfo
    frames: Tensor  # uint8 (distinct frames, height, width, 3) RGB, resized, all crops in it
    clips: tuple[tuple[int, ...], ...]  # rows of `frames`
    times: tuple[tuple[float, float], ...]  # start and end of each clip in seconds
    corners: Corners  # of each crop in `frames`
    crop_size: int  # px
    notes: tuple[str, ...]
    seconds: float  # that opening, decoding and resizing took
    resize_seconds: float  # of them
    unread: int = 0  # clips of this video that come after these

    def __len__(self) -> int:
        return len(self.clips) * len(self.corners)

    def key(self, number: int) -> tuple[tuple[int, ...], tuple[int, int]]:
        """What view `number` shows: equal keys are equal views, as in a video that loops."""
        crop, clip = divmod(number, len(self.clips))
        return self.clips[clip], self.corners[crop]

    def view(self, number: int) -> Tensor:
        """uint8 (clip frames, crop size, crop size, 3)."""
        rows, (top, left) = self.key(number)
        side = self.crop_size
        return self.frames[:, top : top + side, left : left + side][list(rows)]


def _enclose(corners: Corners, crop_size: int) -> tuple[Box, Corners]:
    """The smallest box around all crops, and their corners within it."""
    tops, lefts = zip(*corners, strict=True)
    top, left = min(tops), min(lefts)
    box = (slice(top, max(tops) + crop_size), slice(left, max(lefts) + crop_size))
    return box, tuple((y - top, x - left) for y, x in corners)


@dataclass(frozen=True, kw_only=True)
class FailedVideo:
    """A video that could not be read, and why."""

    path: str
    reason: str
    unread: int = 0  # clips of this video that still come, as they were on their way


class ViewDataset:
    """Videos by number. Each is opened by whoever asks for it: decoders do not survive a fork."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        protocol: Protocol,
        views: Views,
        decoder: DecoderChoice = "auto",
        start_seconds: float | None = None,
        end_seconds: float | None = None,
    ) -> None:
        self.paths = list(paths)
        self.protocol = protocol
        self.views = views
        self.decoder = decoder
        self.start_seconds = start_seconds
        self.end_seconds = end_seconds

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> VideoViews | FailedVideo:
        return read_video(self.paths[number], self._read, decoder=self.decoder)

    def failed(self, number: int, reason: str) -> FailedVideo:
        return FailedVideo(path=self.paths[number], reason=reason)

    def _read(self, video: Video) -> VideoViews:
        first, count = self._span(video)
        numbers = sample_clips(
            self.protocol, frames=count, fps=video.info.fps, clips=self.views.clips
        )
        clips = [[first + number for number in clip] for clip in numbers]
        return read_views(video, clips, protocol=self.protocol, views=self.views, frames=count)

    def _span(self, video: Video) -> tuple[int, int]:
        """First frame and number of frames between the start and the end that were asked for."""
        if self.start_seconds is None and self.end_seconds is None:
            return 0, video.info.frames
        times = video.timestamps()
        first = bisect_left(times, self.start_seconds or 0.0)
        end = len(times) if self.end_seconds is None else bisect_left(times, self.end_seconds)
        if end <= first:
            raise VideoError(
                f"{video.info.path}: no frame from {self.start_seconds or 0.0:g} s to "
                f"{'the end' if self.end_seconds is None else f'{self.end_seconds:g} s'}: "
                f"its last frame starts at {times[-1]:.2f} s"
            )
        return first, end - first


def read_video(
    path: str, read: Callable[[Video], VideoViews], *, decoder: DecoderChoice
) -> VideoViews | FailedVideo:
    """What `read` makes of the opened video; why there is nothing, where it cannot be read."""
    begun = time.perf_counter()
    try:
        file = local_copy(path) if is_url(path) else Path(path)
        with open_video(file, decoder=decoder) as video:
            views = read(video)
    except VideoSwinError as error:
        reason = error.message.removeprefix(f"{path}: ")  # the path stands beside it
        return FailedVideo(path=path, reason=reason)
    except OSError as error:
        return FailedVideo(path=path, reason=error.strerror or str(error))
    except Exception as error:  # noqa: BLE001 - of a million videos one may be stranger than we know
        return FailedVideo(path=path, reason=f"{type(error).__name__}: {error}")
    return replace(views, seconds=time.perf_counter() - begun)


def read_views(
    video: Video,
    clips: Sequence[Sequence[int]],
    *,
    protocol: Protocol,
    views: Views,
    frames: int,
    unread: int = 0,
) -> VideoViews:
    """Decode the frames of `clips`, each once, and resize them.

    Args:
        video: opened.
        clips: frame numbers of each clip.
        protocol: size and resize rule.
        views: crops and short side.
        frames: of the part of the video that the clips are taken from.
        unread: clips of this video that somebody else reads.
    """
    distinct = sorted({number for clip in clips for number in clip})
    images, corners, resize_seconds = _read_frames(video, distinct, protocol, views)
    row = {number: i for i, number in enumerate(distinct)}
    return VideoViews(
        info=video.info,
        frames=images,
        clips=tuple(tuple(row[number] for number in clip) for clip in clips),
        times=tuple(_span_seconds(video, clip) for clip in clips),
        corners=corners,
        crop_size=protocol.crop_size,
        notes=tuple(_notes(protocol, frames, video.info.fps)),
        seconds=0.0,
        resize_seconds=resize_seconds,
        unread=unread,
    )


def _span_seconds(video: Video, clip: Sequence[int]) -> tuple[float, float]:
    """From the start of a clip's first frame to the end of its last, by the file's timestamps."""
    times, last = video.timestamps(), max(clip)
    end = times[last + 1] if last + 1 < len(times) else times[last] + 1 / video.info.fps
    return times[min(clip)], end


def _read_frames(
    video: Video, numbers: list[int], protocol: Protocol, views: Views
) -> tuple[Tensor, Corners, float]:
    info, rule = video.info, protocol.resize
    size = resized_size(info.height, info.width, short_side=views.short_side, rule=rule)
    corners = crop_corners(*size, crop_size=protocol.crop_size, crops=views.crops, rule=rule)
    box, corners = _enclose(corners, protocol.crop_size)
    at_once = max(1, _BYTES_AT_ONCE // (info.height * info.width * 3))
    parts, seconds = [], 0.0
    for first in range(0, len(numbers), at_once):
        frames = video.read_frames(numbers[first : first + at_once])
        begun = time.perf_counter()
        parts.append(resize(torch.from_numpy(frames), size, rule=rule, box=box))
        seconds += time.perf_counter() - begun
    return torch.cat(parts), corners, seconds


def _notes(protocol: Protocol, frames: int, fps: float) -> Iterator[str]:
    if loops(protocol, frames=frames, fps=fps):
        yield f"only {frames} frames: shorter than a clip, so it loops as in training"
    if fps > _FAST_FPS and protocol.sampling in ("official", "mmaction2"):
        yield (
            f"{fps:.0f} frames a second: a clip covers less time than in training, "
            "where videos had about 30"
        )
