"""Frames of a segment of a video."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.io.visible import counted
from videoswin_cli.records import Segment

if TYPE_CHECKING:
    from videoswin_cli.data.decoding.open import Video

_SLACK_SECONDS = 0.5  # by which a segment may end behind its video without a word


@dataclass(frozen=True, kw_only=True)
class Span:
    """Consecutive frames of a video."""

    first: int
    count: int
    notes: tuple[str, ...] = ()


def make_segment(start_seconds: float | None, end_seconds: float | None) -> Segment | None:
    """The segment between two times, either of which may be open.

    Raises:
        UsageError: the end is not after the start.
    """
    if start_seconds is None and end_seconds is None:
        return None
    start = start_seconds or 0.0
    if end_seconds is not None and end_seconds <= start:
        raise UsageError(f"the end {end_seconds:g} s is not after the start {start:g} s")
    return Segment(start=start, end=end_seconds)


def find_span(video: "Video", segment: Segment | None) -> Span:
    """Frames of a segment, as far as the video has them.

    A segment of seconds has the frames that start in it; where it has none, the one that is held
    all the time. One that ends behind the video ends with it, and the notes say so.

    Raises:
        VideoError: there is no frame in it.
    """
    count = video.info.frames
    if segment is None:
        return Span(first=0, count=count)
    if segment.unit == "frames":
        first = int(segment.start)
        wanted = count if segment.end is None else int(segment.end)
        there = counted(count, "frame")
        if first >= count:
            raise VideoError(f"{video.info.path}: no frame {first}: it has {there}, counted from 0")
        short = f"frame {wanted}, and the video has {there}" if wanted > count else ""
        return _span(first, min(wanted, count), short)
    times, bounds = video.timestamps(), video.bounds()
    first = bisect_left(times, segment.start)
    end = count if segment.end is None else bisect_left(times, segment.end)
    held = not video.info.constant_rate and times[0] <= segment.start < bounds[-1]
    if end <= first and held:  # one picture is shown all the time
        return Span(first=bisect_right(times, segment.start) - 1, count=1)
    if end <= first:
        raise VideoError(
            f"{video.info.path}: no frame between {segment.start:g} s and "
            f"{'the end' if segment.end is None else f'{segment.end:g} s'}: "
            f"its first frame starts at {times[0]:.2f} s, its last frame starts at "
            f"{times[-1]:.2f} s"
        )
    behind = segment.end is not None and segment.end > bounds[-1] + _SLACK_SECONDS
    short = f"{segment.end:g} s, and the video at {bounds[-1]:.2f} s" if behind else ""
    return _span(first, end, short)


def _span(first: int, end: int, short: str) -> Span:
    notes = (f"the segment ends at {short}: it is read to the end of the video",) if short else ()
    return Span(first=first, count=end - first, notes=notes)
