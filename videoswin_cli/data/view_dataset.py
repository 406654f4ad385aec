"""One video becomes its views: open, sample, decode, resize. A failure is a value."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.data.decoding.in_part import open_in_part
from videoswin_cli.data.decoding.open import Video, describe_damage, open_as
from videoswin_cli.data.decoding.picture_index import RATELESS_KINDS
from videoswin_cli.data.failures import name_reason
from videoswin_cli.data.rates import check_rate
from videoswin_cli.data.sampling import Bounds, loops, resamples, sample_clips
from videoswin_cli.data.segments import find_span
from videoswin_cli.data.transforms import Box, crop_corners, resize, resized_size
from videoswin_cli.errors import VideoError
from videoswin_cli.io.addresses import is_url
from videoswin_cli.io.visible import counted
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import InputProtocol, VideoInfo, VideoPart, Views

Corners = tuple[tuple[int, int], ...]  # (top, left) in px

_BYTES_AT_ONCE = 256 << 20  # of frames before they are resized, or after: 43 of 1920x1080
_FAST_FPS = 40  # above it a clip of fixed stride covers much less time than in training


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A clip of a video that cannot be read, among others that can."""

    place: int  # among the clips of its `VideoViews`, the unreadable ones counted
    start: float  # s
    end: float  # s
    missing: tuple[int, ...]  # frames of it that cannot be decoded
    why: str  # they cannot

    @property
    def reason(self) -> str:
        return describe_damage(self.missing, self.why)


@dataclass(frozen=True, kw_only=True)
class VideoViews:
    """A decoded video, ready to be cut into views. View number = crop * clips + clip."""

    info: VideoInfo
    frames: Tensor  # uint8 (distinct frames, height, width, 3) RGB, resized, all crops of it
    clips: tuple[tuple[int, ...], ...]  # rows of `frames`
    starts: tuple[float, ...]  # s, of each of `frames`
    times: tuple[tuple[float, float], ...]  # start and end of each clip in seconds
    corners: Corners  # of each crop in `frames`
    crop_size: int  # px
    notes: tuple[str, ...]
    seconds: float  # that opening, decoding and resizing took
    resize_seconds: float  # of them
    gaps: tuple[Gap, ...] = ()  # clips between these that cannot be read
    unread: int = 0  # clips of this video that come after these
    until: float = 0.0  # s, end of the last window of the video

    def __len__(self) -> int:
        return len(self.clips) * len(self.corners)

    def key(self, number: int) -> tuple[tuple[int, ...], tuple[int, int]]:
        """Identity of view `number`: equal keys are equal views, as in a video that loops."""
        crop, clip = divmod(number, len(self.clips))
        return self.clips[clip], self.corners[crop]

    def view(self, number: int) -> Tensor:
        """uint8 (clip frames, crop size, crop size, 3)."""
        rows, (top, left) = self.key(number)
        side = self.crop_size
        return self.frames[:, top : top + side, left : left + side][list(rows)]


def _lay_out(corners: Corners, crop_size: int) -> tuple[tuple[Box, ...], Corners]:
    """Parts of a resized frame with all crops in them, and the corners where these stand in a row.

    One part is the smallest box around the crops, unless the crops apart are smaller.
    """
    tops, lefts = zip(*corners, strict=True)
    top, left = min(tops), min(lefts)
    height, width = max(tops) + crop_size - top, max(lefts) + crop_size - left
    if height * width <= len(corners) * crop_size**2:
        box = (slice(top, top + height), slice(left, left + width))
        return (box,), tuple((y - top, x - left) for y, x in corners)
    boxes = tuple((slice(y, y + crop_size), slice(x, x + crop_size)) for y, x in corners)
    return boxes, tuple((0, number * crop_size) for number in range(len(corners)))


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
        parts: Sequence[VideoPart],
        *,
        protocol: InputProtocol,
        views: Views,
        opening: OpenOptions = OpenOptions(),  # noqa: B008 - frozen
    ) -> None:
        self.parts = list(parts)
        self.protocol = protocol
        self.views = views
        self.opening = opening

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> VideoViews | FailedVideo:
        part = self.parts[number]
        return read_video(part.path, partial(self._read, part), opening=self.opening)

    def failed(self, number: int, reason: str) -> FailedVideo:
        return FailedVideo(path=hide_credentials(self.parts[number].path), reason=reason)

    def _read(self, part: VideoPart, video: Video) -> VideoViews:
        check_rate(video, self.protocol)
        span = find_span(video, part.segment, part.frames)
        first, count = span.first, span.count
        bounds = varying_bounds(video, first, count)
        numbers = sample_clips(
            self.protocol,
            frames=count,
            fps=video.info.fps,
            clips=self.views.clips,
            bounds=bounds,
        )
        clips = [[first + number for number in clip] for clip in numbers]
        frames = ResizedFrames(video, protocol=self.protocol, views=self.views)
        frames.read(sorted({number for clip in clips for number in clip}))
        if frames.damaged:
            raise VideoError(f"{video.info.path}: {frames.describe_damage()}")
        notes = describe_sampling(
            self.protocol, video, frames=count, bounds=bounds, opening=self.opening
        )
        return frames.make_views(clips, notes=(*span.notes, *notes))


def read_video(
    path: str, read: Callable[[Video], VideoViews], *, opening: OpenOptions
) -> VideoViews | FailedVideo:
    """Views that `read` makes of the opened video, or the reason why it cannot be read."""
    if is_url(path):
        begun = time.perf_counter()
        with suppress(Exception), open_in_part(path, opening) as video:
            views = read(video)
            return replace(views, seconds=time.perf_counter() - begun)
        # Whatever it was: the whole file tells.
    with closing(iter_video(path, lambda video: iter([read(video)]), opening=opening)) as pieces:
        return next(pieces)


def iter_video(
    path: str, read: Callable[[Video], Iterator[VideoViews]], *, opening: OpenOptions
) -> Generator[VideoViews | FailedVideo, None, None]:
    """Views that `read` makes of the opened video, piece by piece; a failure in place of the rest.

    Raises:
        MachineError: the machine is to blame.
    """
    begun = time.perf_counter()
    try:
        with open_as(path, opening) as video:
            for views in read(video):
                yield replace(views, seconds=time.perf_counter() - begun)
                begun = time.perf_counter()
    except Exception as error:  # noqa: BLE001 - of a million videos one may be stranger than we know
        yield FailedVideo(path=hide_credentials(path), reason=name_reason(error, path))


def varying_bounds(video: Video, first: int, count: int) -> Bounds | None:
    """Bounds of some frames of a video, where its frame rate is not constant."""
    if video.info.constant_rate:
        return None
    return video.bounds()[first : first + count + 1]


def frames_at_once(pixels: int) -> int:
    """Number of frames of so many pixels that are decoded before they are resized."""
    return max(1, _BYTES_AT_ONCE // (pixels * 3))


class Resizer:
    """Resize of the frames of one size to what views need of them, all crops."""

    def __init__(self, height: int, width: int, protocol: InputProtocol, views: Views) -> None:
        self._rule = protocol.resize
        self._size = resized_size(height, width, short_side=views.short_side, rule=self._rule)
        corners = crop_corners(
            *self._size, crop_size=protocol.crop_size, crops=views.crops, rule=self._rule
        )
        self._boxes, self.corners = _lay_out(corners, protocol.crop_size)
        self.pixels = len(self._boxes) * protocol.crop_size**2  # of a result, about

    def resize(self, frames: Tensor) -> Tensor:
        """Uint8 (T, height, width, 3) to (T, height, width, 3) with the crops at `corners`."""
        parts = [resize(frames, self._size, rule=self._rule, box=box) for box in self._boxes]
        return torch.cat(parts, dim=2)  # a copy, or the whole frames would be kept


class ResizedFrames:
    """Frames of one video at the size that views need, all crops of them; each read once."""

    def __init__(self, video: Video, *, protocol: InputProtocol, views: Views) -> None:
        self._video = video
        self._protocol = protocol
        self._resizer = Resizer(video.info.height, video.info.width, protocol, views)
        self._bounds = video.bounds()
        self._kept: dict[int, Tensor] = {}
        self._resize_seconds = 0.0
        self.damaged: dict[int, None] = {}  # frames that cannot be decoded, in order

    def read(self, numbers: Sequence[int]) -> None:
        """Decode and resize those of `numbers` (ascending) that are not at hand."""
        info = self._video.info
        wanted = [n for n in numbers if n not in self._kept and n not in self.damaged]
        at_once = frames_at_once(max(info.height * info.width, self._resizer.pixels))
        for first in range(0, len(wanted), at_once):
            part = wanted[first : first + at_once]
            frames, missing = self._video.read_whole_frames(part)
            begun = time.perf_counter()
            resized = self._resizer.resize(torch.from_numpy(frames))
            self._resize_seconds += time.perf_counter() - begun
            self.damaged |= dict.fromkeys(missing)
            self._kept |= dict(zip(part, resized, strict=True))

    def forget_before(self, number: int) -> None:
        """Drop frames that no later clip needs."""
        self._kept = {n: image for n, image in self._kept.items() if n >= number}

    def make_views(
        self,
        clips: Sequence[Sequence[int]],
        *,
        gaps: tuple[Gap, ...] = (),
        notes: tuple[str, ...] = (),
        unread: int = 0,
        until: float = 0.0,
    ) -> VideoViews:
        """Views of clips whose frames are all at hand."""
        distinct = sorted({number for clip in clips for number in clip})
        row = {number: i for i, number in enumerate(distinct)}
        resize_seconds, self._resize_seconds = self._resize_seconds, 0.0
        images = [self._kept[number] for number in distinct]
        return VideoViews(
            info=self._video.info,
            frames=torch.stack(images) if images else torch.empty(0, dtype=torch.uint8),
            clips=tuple(tuple(row[number] for number in clip) for clip in clips),
            starts=tuple(self._bounds[number] for number in distinct),
            times=tuple(map(self.span, clips)),
            corners=self._resizer.corners,
            crop_size=self._protocol.crop_size,
            notes=notes,
            seconds=0.0,
            resize_seconds=resize_seconds,
            gaps=gaps,
            unread=unread,
            until=until,
        )

    def span(self, clip: Sequence[int]) -> tuple[float, float]:
        """Seconds from the start of a clip's first frame to the end of its last one."""
        return self._bounds[min(clip)], self._bounds[max(clip) + 1]

    def describe_damage(self) -> str:
        """Frames that cannot be decoded, in words, of all that were read."""
        return self._video.describe_damage(self.damaged)

    def find_gap(self, place: int, clip: Sequence[int]) -> Gap | None:
        """The gap that a clip is, if any of its frames cannot be decoded."""
        missing = tuple(sorted(self.damaged.keys() & set(clip)))
        if not missing:
            return None
        start, end = self.span(clip)
        why = self._video.why_damaged(missing)
        return Gap(place=place, start=start, end=end, missing=missing, why=why)


def describe_sampling(
    protocol: InputProtocol,
    video: Video,
    *,
    frames: int,
    bounds: Bounds | None,
    opening: OpenOptions = OpenOptions(),  # noqa: B008 - frozen
) -> Iterator[str]:
    """Notes on a video and the clips that were taken from it, for the user."""
    fps, by_rate = video.info.fps, resamples(protocol)
    yield from video.notes
    if opening.fps_for_both and video.index.container in RATELESS_KINDS:
        yield (
            f"--fps {fps:g} is taken for the rate of its frames, too: all are sampled, not at the "
            "rate of the model; --frames-fps N states the rate of its frames alone"
        )
    if loops(protocol, frames=frames, fps=fps, bounds=bounds):
        few = counted(frames, "frame")
        yield f"only {few}, fewer than one clip: frames are repeated, as in training"
    if bounds is not None and protocol.sampling != "uniform":
        how = "by their time stamps" if by_rate else "by their numbers, as in training"
        yield f"the frame rate varies ({fps:.3g} per second on average): frames are taken {how}"
    elif fps > _FAST_FPS and not by_rate and protocol.sampling != "uniform":
        yield (
            f"{fps:.0f} frames per second: a clip covers less time than in training, "
            "where videos had about 30"
        )
