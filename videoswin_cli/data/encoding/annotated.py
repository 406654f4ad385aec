"""A copy of a video with something drawn on each frame: H.264 in mp4, its sound as it is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from videoswin_cli.data.decoding.open import Video, open_as
from videoswin_cli.data.decoding.original import open_original
from videoswin_cli.data.encoding.mp4 import open_mp4
from videoswin_cli.data.segments import find_span
from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.io.visible import counted
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import VideoPart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Draws on (height, width, 3) RGB, the picture that is shown from a time in seconds on.
Paint = Callable[["NDArray[np.uint8]", float], None]

_BYTES_AT_ONCE = 48 << 20  # of decoded frames
_MOST_AT_ONCE = 16  # frames


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Frames to draw on. Times are in seconds, as `Video.timestamps` has them."""

    width: int  # px, as shown
    height: int  # px, as shown
    start: float  # of the first frame
    end: float  # of the last frame


def write_annotated(
    part: VideoPart,
    out: Path,
    make_paint: Callable[[Canvas], Paint],
    *,
    opening: OpenOptions = OpenOptions(),  # noqa: B008 - frozen
) -> tuple[str, ...]:
    """Write a copy of a video, or of a segment of it, with each frame drawn on.

    It has the frames of the video at their times, whether their rate is constant or not, upright
    and of their size; where that is odd, with one more column or row, as H.264 needs it. A few
    frames are held at once. One that cannot be decoded is the one before it once more.

    Args:
        part: what is copied.
        out: an mp4, which is there when it is whole.
        make_paint: gives what draws; called once.
        opening: of the video.

    Returns:
        What a user should know about the copy.

    Raises:
        VideoError: the video cannot be read.
        VideoSwinError: the file cannot be written.
    """
    if opening.decoder == "auto":  # from start to end PyAV reads a file once
        opening = replace(opening, decoder="pyav")
    with open_as(part.path, opening) as video, open_original(video.index, opening) as original:
        span = find_span(video, part.segment)
        bounds = video.bounds()[span.first : span.first + span.count + 1]
        info = video.info
        canvas = Canvas(width=info.width, height=info.height, start=bounds[0], end=bounds[-1])
        paint = make_paint(canvas)
        zero, end = (0.0, None) if part.segment is None else (canvas.start, canvas.end)
        reader = _Reader(video)
        with (
            atomic_write(out) as draft,
            open_mp4(
                draft,
                (info.width, info.height),
                fps=info.fps,
                original=original,
                zero=zero,
                end=end,
            ) as copy,
        ):
            for numbers in _batches(span.first, span.count, info.width * info.height):
                for number, image in zip(numbers, reader.read(numbers), strict=True):
                    place = number - span.first
                    paint(image, bounds[place])
                    copy.add(image, bounds[place], bounds[place + 1])
        return (*span.notes, *copy.notes, *reader.notes)


def _batches(first: int, count: int, pixels: int) -> Iterator[range]:
    """Numbers of frames that are decoded at once."""
    step = min(max(_BYTES_AT_ONCE // (pixels * 3), 1), _MOST_AT_ONCE)
    for begin in range(first, first + count, step):
        yield range(begin, min(begin + step, first + count))


class _Reader:
    """Frames in order, damaged ones replaced by the picture before them."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._last: NDArray[np.uint8] | None = None
        self._damaged = 0

    def read(self, numbers: Sequence[int]) -> "NDArray[np.uint8]":
        images, missing = self._video.read_whole_frames(numbers)
        self._damaged += len(missing)
        for number in missing:
            row = number - numbers[0]
            images[row] = images[row - 1] if row else 0 if self._last is None else self._last
        self._last = images[-1].copy()  # before it is drawn on
        return images

    @property
    def notes(self) -> Iterator[str]:
        if self._damaged:
            yield (
                f"{counted(self._damaged, 'frame')} cannot be decoded: in the annotated video the "
                "picture before is shown"
            )
