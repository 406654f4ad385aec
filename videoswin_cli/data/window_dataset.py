"""Clips that slide over whole videos, a few at a time, so that memory is bounded.

A video is opened once, and each of its frames is decoded and resized once, however much its
windows overlap.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, takewhile

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.data.decoding.open import Video
from videoswin_cli.data.rates import check_rate, require_rate
from videoswin_cli.data.sampling import slide_windows
from videoswin_cli.data.segments import find_span
from videoswin_cli.data.view_dataset import (
    FailedVideo,
    ResizedFrames,
    VideoViews,
    describe_sampling,
    iter_video,
    varying_bounds,
)
from videoswin_cli.data.workers import Notice, load_streams_in_workers, quiet
from videoswin_cli.errors import VideoError
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import InputProtocol, Stride, VideoPart, Views

WINDOWS_AT_ONCE = 8  # of 32 frames: 256 frames, 60 MB of 340x256


@dataclass(frozen=True, kw_only=True)
class Begun:
    """Progress of an earlier run in a video: a whole number of pieces from its start."""

    windows: int = 0
    readable: bool = False  # whether any of them is


class WindowDataset:
    """Pieces of videos or of segments of them, in order, by the number of the video."""

    def __init__(
        self,
        parts: Sequence[VideoPart],
        *,
        protocol: InputProtocol,
        views: Views,
        stride: Stride | None,
        opening: OpenOptions,
        begun: Begun = Begun(),
        timed: bool = False,
    ) -> None:
        """`begun` is of the first video, whose other pieces are read.

        `timed`: the times of windows are what is asked for, so a video must have a frame rate.
        """
        self.begun = begun
        self.parts = list(parts)
        self.protocol = protocol
        self.views = views
        self.stride = stride
        self.timed = timed
        # From start to end PyAV reads a file once; decord reads it to index it, too.
        self.opening = replace(opening, decoder="pyav") if opening.decoder == "auto" else opening

    def stream(self, number: int) -> Iterator[VideoViews | FailedVideo]:
        """All pieces of a video; the last one has nothing `unread`, or is a failure."""
        part, begun = self.parts[number], Begun() if number else self.begun
        read = partial(self._read, part, begun)
        return iter_video(part.path, read, opening=self.opening)

    def failed(self, number: int, reason: str) -> FailedVideo:
        return FailedVideo(path=hide_credentials(self.parts[number].path), reason=reason)

    def _read(self, part: VideoPart, begun: Begun, video: Video) -> Iterator[VideoViews]:
        check_rate(video, self.protocol)
        if self.timed or (self.stride is not None and self.stride.seconds is not None):
            require_rate(video, "windows are at times in seconds")
        span = find_span(video, part.segment, part.frames)
        times = video.timestamps()[span.first : span.first + span.count]
        bounds = varying_bounds(video, span.first, span.count)
        windows = [
            tuple(span.first + number for number in window)
            for window in slide_windows(
                self.protocol, times=times, stride=self.stride, bounds=bounds
            )
        ]
        said = describe_sampling(
            self.protocol, video, frames=span.count, bounds=bounds, opening=self.opening
        )
        notes = (*span.notes, *said)
        frames = ResizedFrames(video, protocol=self.protocol, views=self.views)
        found = begun.readable  # a window that can be read
        if begun.windows >= len(windows):
            raise VideoError(
                f"{video.info.path}: {begun.windows} windows of it were done before, and it has "
                f"{len(windows)}: the file has changed"
            )
        for first in range(begun.windows, len(windows), WINDOWS_AT_ONCE):
            piece = windows[first : first + WINDOWS_AT_ONCE]
            frames.forget_before(min(map(min, piece)))
            frames.read(_list_frames(windows, first))
            good = [window for window in piece if frames.damaged.keys().isdisjoint(window)]
            found = found or bool(good)
            unread = len(windows) - first - len(piece)
            if not found and not unread:
                raise VideoError(f"{video.info.path}: {frames.describe_damage()}")
            yield frames.make_views(
                good,
                gaps=tuple(filter(None, map(frames.find_gap, count(), piece))),
                notes=() if first else notes,
                unread=unread,
                until=frames.span(windows[-1])[1],
            )


def _list_frames(windows: Sequence[Sequence[int]], first: int) -> list[int]:
    """Frames of a piece, and those of later windows that lie between them.

    Coming back for the latter would mean to decode what is before them again.
    """
    piece = windows[first : first + WINDOWS_AT_ONCE]
    last = max(map(max, piece))
    begun = takewhile(lambda window: window[0] <= last, windows[first:])
    return sorted({number for window in begun for number in window if number <= last})


def read_windows(
    dataset: WindowDataset, *, workers: int, notice: Notice = quiet
) -> Generator[VideoViews | FailedVideo, None, None]:
    """All pieces of all videos in order; the last piece of each has nothing `unread`.

    A video that cannot be read to its end is a `FailedVideo` there, and its other pieces are left.
    """
    numbers = range(len(dataset.parts))
    with closing(
        load_streams_in_workers(dataset, numbers, workers=workers, notice=notice)
    ) as pieces:
        yield from pieces
