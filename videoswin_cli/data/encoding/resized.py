"""A smaller copy of a video: H.264 in mp4, with the frames and the times of the video."""

from dataclasses import dataclass, replace
from pathlib import Path

from videoswin_cli.data.batches import batches
from videoswin_cli.data.decoding.open import Video, open_as
from videoswin_cli.data.decoding.original import open_original
from videoswin_cli.data.encoding.mp4 import Coding, open_mp4
from videoswin_cli.data.segments import find_span
from videoswin_cli.errors import VideoError
from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import VideoPart

_SAME_TIME = 0.001  # s


@dataclass(frozen=True, kw_only=True)
class CopyFacts:
    """Facts of a copy that was written."""

    frames: int
    fps: float  # frames per second on average
    notes: tuple[str, ...]  # what a user should know about it


def copy_size(width: int, height: int, *, short_side: int, upscale: bool) -> tuple[int, int]:
    """(width, height) in px of a copy: its sides are even, unless they are those of the video."""
    short = min(width, height)
    if short == short_side or (short < short_side and not upscale):
        return width, height
    long = max(2 * round(max(width, height) * short_side / short / 2), short_side)
    return (short_side, long) if width <= height else (long, short_side)


def from_start_to_end(opening: OpenOptions) -> OpenOptions:
    """Opening of a file that is read once: what PyAV does faster."""
    return replace(opening, decoder="pyav") if opening.decoder == "auto" else opening


def write_resized(
    part: VideoPart,
    out: Path,
    *,
    short_side: int,
    upscale: bool,
    crf: int,
    opening: OpenOptions,
) -> CopyFacts:
    """Write a copy of a video, or of a part of it, without its sound.

    It is upright, and begins at time 0. It was decoded again, and has the number of frames and the
    times that it should have, before it takes its place.

    Args:
        part: what is copied.
        out: an mp4, which is there when it is whole.
        short_side: of the copy in px, even.
        upscale: enlarge smaller videos; else they keep their size, up to an even one.
        crf: quality of H.264, 0 to 51.
        opening: of the video.

    Raises:
        VideoError: the video cannot be read to its end.
        VideoSwinError: the file cannot be written.
    """
    opening = from_start_to_end(opening)
    with open_as(part.path, opening) as video, open_original(video.index, opening) as original:
        span = find_span(video, part.segment)
        bounds = video.bounds()[span.first : span.first + span.count + 1]
        info = video.info
        size = copy_size(info.width, info.height, short_side=short_side, upscale=upscale)
        with atomic_write(out, tidy=False) as draft:
            with open_mp4(
                draft,
                size,
                fps=info.fps,
                original=replace(original, sound=None, lost_sound=None),
                zero=bounds[0],
                end=None,
                coding=Coding(crf=crf, preset="fast", threads=1),
            ) as copy:
                for numbers in batches(span.numbers, pixels=info.width * info.height):
                    for number, image in zip(numbers, video.read_frames(numbers), strict=True):
                        place = number - span.first
                        copy.add(image, bounds[place], bounds[place + 1])
            wanted = [time - bounds[0] for time in bounds]
            with open_as(draft, OpenOptions(decoder="pyav")) as written:
                _check(written, wanted, size)
        notes = (*video.notes, *span.notes)
        if part.segment is None and bounds[0] > _SAME_TIME:
            notes += (f"its first frame is shown at {bounds[0]:.3f} s, that of the copy at 0",)
        return CopyFacts(frames=span.count, fps=info.fps, notes=notes)


def _check(copy: Video, wanted: list[float], size: tuple[int, int]) -> None:
    """Raises VideoError where a copy has not the frames, times and size that it should have."""
    info, bounds = copy.info, copy.bounds()
    if len(bounds) != len(wanted):
        raise VideoError(f"the copy holds {info.frames} frames, expected {len(wanted) - 1}")
    places = zip(bounds, wanted, strict=True)
    off = next((n for n, (own, time) in enumerate(places) if abs(own - time) > _SAME_TIME), None)
    if off is not None:
        raise VideoError(
            f"frame {off} of the copy is shown at {bounds[off]:.4f} s, expected {wanted[off]:.4f} s"
        )
    width, height = (side + side % 2 for side in size)
    if (info.width, info.height) != (width, height):
        raise VideoError(f"the copy is {info.width}x{info.height}, expected {width}x{height}")
