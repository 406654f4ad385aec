"""Pictures of heat on a video: all of its frames, some of them, a contact sheet."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from videoswin_cli.data.decoding.open import open_as
from videoswin_cli.data.encoding.annotated import write_annotated
from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import Segment, VideoPart
from videoswin_cli.report.heat import HeatMaps, draw_contact_sheet, paint_heat

_SHEET_FRAMES = 8
_GIF_SIDE = 480  # px, the longer one at most
_GIF_COLORS = 128
_GIF_STEP = 20  # ms; players show what is shorter for 100 ms


def write_gif(heat: HeatMaps, source: str, out: Path, opening: OpenOptions) -> None:
    """Write the frames that were looked at, no larger than 480 px, with heat.

    Args:
        heat: of the video.
        source: file or URL of the video.
        out: where to.
        opening: of the video.

    Raises:
        VideoError: the video cannot be read again.
        VideoSwinError: the file cannot be written.
    """
    from PIL import Image

    def draw() -> Iterator[Image.Image]:
        for seconds, frame in zip(heat.times, _read(source, heat.times, opening), strict=True):
            image = Image.fromarray(frame)
            image.thumbnail((_GIF_SIDE, _GIF_SIDE))
            small = np.array(image)
            paint_heat(heat, image.size)(small, seconds)
            yield Image.fromarray(small).quantize(_GIF_COLORS)

    frames = draw()
    with atomic_write(out) as part:
        next(frames).save(
            part,
            format="gif",
            save_all=True,
            append_images=frames,
            duration=_durations(heat),
            loop=0,
        )


def write_mp4(heat: HeatMaps, source: str, out: Path, opening: OpenOptions) -> tuple[str, ...]:
    """Write all frames from the start of the first clip to the end of the last one, with heat.

    Arguments and errors are those of `write_gif`.

    Returns:
        What a user should know about the file.
    """
    start, end = min(heat.clips)[0], max(end for _, end in heat.clips)
    return write_annotated(
        VideoPart(path=source, segment=Segment(start=start, end=end)),
        out,
        lambda canvas: paint_heat(heat, (canvas.width, canvas.height)),
        opening=opening,
    )


def write_sheet(heat: HeatMaps, source: str, out: Path, opening: OpenOptions) -> None:
    """Write up to eight of the frames that were looked at, each above its heat, as PNG.

    Arguments and errors are those of `write_gif`.
    """
    every = heat.times
    count = min(_SHEET_FRAMES, len(every))
    times = [every[(2 * n + 1) * len(every) // (2 * count)] for n in range(count)]
    sheet = draw_contact_sheet(list(_read(source, times, opening)), times, heat)
    with atomic_write(out) as part:
        sheet.save(part, format="png")


def _durations(heat: HeatMaps) -> list[int]:
    """Milliseconds that each frame of a GIF is shown: to the next one, or to the end of its clip.

    GIF counts in hundredths of a second.
    """
    edges = [0.0]
    for time, following in pairwise([*heat.times, heat.clips[-1][1]]):
        ends = [end for start, end in heat.clips if start <= time < end and end < following]
        edges.append(edges[-1] + min([following, *ends]) - time)
    steps = (10 * (round(100 * b) - round(100 * a)) for a, b in pairwise(edges))
    return [max(step, _GIF_STEP) for step in steps]


def _read(source: str, times: Sequence[float], opening: OpenOptions) -> Iterator[NDArray[np.uint8]]:
    """The frames that start at some times, one after the other."""
    with open_as(source, opening) as video:
        starts = video.timestamps()
        for seconds in times:
            yield video.read_frames([bisect_left(starts, seconds)])[0]
