"""Clips that slide over whole videos, a few at a time, so that memory is bounded.

A video is opened once, and each of its frames is decoded and resized once, however much its
windows overlap.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import takewhile

from videoswin_cli.data.dataset import (
    FailedVideo,
    Gap,
    ResizedFrames,
    VideoViews,
    describe_sampling,
    iter_video,
    varying_bounds,
)
from videoswin_cli.data.decoding.open import OpenOptions, Video
from videoswin_cli.data.feeding import feed_streams
from videoswin_cli.data.sampling import Stride, slide_windows
from videoswin_cli.data.segments import find_span
from videoswin_cli.errors import VideoError
from videoswin_cli.records import Protocol, Segment, VideoPart, Views

WINDOWS_AT_ONCE = 8  # of 32 frames: 256 frames, 60 MB of 340x256


class WindowDataset:
    """Pieces of videos or of segments of them, in order, by the number of the video."""

    def __init__(
        self,
        parts: Sequence[VideoPart],
        *,
        protocol: Protocol,
        views: Views,
        stride: Stride | None,
        opening: OpenOptions,
    ) -> None:
        self.parts = list(parts)
        self.protocol = protocol
        self.views = views
        self.stride = stride
        # From start to end PyAV reads a file once; decord reads it to index it, too.
        self.opening = replace(opening, decoder="pyav") if opening.decoder == "auto" else opening

    def stream(self, number: int) -> Iterator[VideoViews | FailedVideo]:
        """All pieces of a video; the last one has nothing `unread`, or is a failure."""
        part = self.parts[number]
        return iter_video(part.path, partial(self._read, part.segment), opening=self.opening)

    def failed(self, number: int, reason: str) -> FailedVideo:
        return FailedVideo(path=self.parts[number].path, reason=reason)

    def _read(self, segment: Segment | None, video: Video) -> Iterator[VideoViews]:
        span = find_span(video, segment)
        times = video.timestamps()[span.first : span.first + span.count]
        bounds = varying_bounds(video, span.first, span.count)
        windows = [
            tuple(span.first + number for number in window)
            for window in slide_windows(
                self.protocol, times=times, stride=self.stride, bounds=bounds
            )
        ]
        said = describe_sampling(self.protocol, video, frames=span.count, bounds=bounds)
        notes = (*span.notes, *said)
        frames = ResizedFrames(video, protocol=self.protocol, views=self.views)
        found = False  # a window that can be read
        for first in range(0, len(windows), WINDOWS_AT_ONCE):
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
                gaps=tuple(_find_gaps(frames, piece)),
                notes=() if first else notes,
                unread=unread,
            )


def _list_frames(windows: Sequence[Sequence[int]], first: int) -> list[int]:
    """Frames of a piece, and those of later windows that lie between them.

    Coming back for the latter would mean to decode what is before them again.
    """
    piece = windows[first : first + WINDOWS_AT_ONCE]
    last = max(map(max, piece))
    begun = takewhile(lambda window: window[0] <= last, windows[first:])
    return sorted({number for window in begun for number in window if number <= last})


def _find_gaps(frames: ResizedFrames, windows: Sequence[Sequence[int]]) -> Iterator[Gap]:
    for place, window in enumerate(windows):
        if not frames.damaged.keys().isdisjoint(window):
            start, end = frames.span(window)
            yield Gap(place=place, start=start, end=end, reason=frames.describe_damage(window))


def read_windows(
    dataset: WindowDataset, *, workers: int
) -> Generator[VideoViews | FailedVideo, None, None]:
    """All pieces of all videos in order; the last piece of each has nothing `unread`.

    A video that cannot be read to its end is a `FailedVideo` there, and its other pieces are left.
    """
    with closing(feed_streams(dataset, range(len(dataset.parts)), workers=workers)) as pieces:
        yield from pieces
