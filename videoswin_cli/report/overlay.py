"""Classes and their times, drawn on the frames of a video: RGB in place, with Pillow.

White text stands on a dark panel, so that it is legible on any picture. All that is the same on
many frames is drawn once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from videoswin_cli.io.visible import visible
from videoswin_cli.records import ActionSegment, Prediction, Timeline, UnreadSpan
from videoswin_cli.report.fonts import find_font
from videoswin_cli.report.percent import percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

Color = tuple[int, int, int]  # RGB
Size = tuple[int, int]  # (width, height) in px
# Draws on a frame, (height, width, 3) RGB, that is shown from a time in seconds on.
Paint = Callable[["NDArray[np.uint8]", float], None]

# Bright enough for a dark panel, and apart for most people whatever their eyes.
_COLORS: tuple[Color, ...] = (
    *((86, 180, 233), (230, 159, 0), (0, 190, 140), (240, 228, 66), (213, 94, 0)),
    *((204, 121, 167), (120, 140, 255), (160, 220, 90), (255, 150, 150), (170, 170, 170)),
)
_GAP: Color = (110, 110, 110)
_WHITE: Color = (255, 255, 255)
_PANEL = 176  # of 255: how dark a panel is
_TROUGH: Color = (90, 90, 90)  # the part of a bar that is not filled
_MOST_ROWS = 3  # classes that are seen at once
_MOST_LINES = 3  # of a label
_MOST_TEXT = 500  # characters that are looked at
_LINE = 5  # from line to line, in quarters of the height of text
_MOST_HEIGHT = 0.62  # of a frame, for a panel


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a panel: a text, and a bar unless there is no probability."""

    text: str
    color: Color
    prob: float | None = None  # 0..1


def color_of(index: int) -> Color:
    """Color of a class; every tenth has the same."""
    return _COLORS[index % len(_COLORS)]


def paint_prediction(prediction: Prediction, size: Size) -> Paint:
    """Drawing of the top classes of a whole video, the same on each frame of `size`."""
    rows = [
        Row(text=each.label, color=color_of(each.index), prob=each.prob) for each in prediction.top
    ]
    panel = draw_panel(tuple(rows), size)
    margin = margin_of(size)

    def paint(frame: "NDArray[np.uint8]", seconds: float) -> None:
        blend(frame, panel, margin, margin)

    return paint


def paint_timeline(timeline: Timeline, size: Size, *, start: float, end: float) -> Paint:
    """Drawing of what is seen now, above a strip of the whole timeline with the position in it.

    Args:
        timeline: of the video; bars are the mean probabilities of its segments.
        size: of the frames.
        start: of the first frame, in seconds: the left end of the strip.
        end: of the last frame, in seconds: its right end.
    """
    margin = margin_of(size)
    strip = _draw_strip(timeline, size, start, end)
    width, height = strip.size
    top = size[1] - height - margin
    length = max(end - start, 1e-9)

    def paint(frame: "NDArray[np.uint8]", seconds: float) -> None:
        blend(frame, strip, margin, top)
        place = margin + round((seconds - start) / length * (width - 1))
        frame[max(top - 2, 0) : top + height + 2, max(place - 2, 0) : place + 3] = 0
        frame[max(top - 1, 0) : top + height + 1, max(place - 1, 0) : place + 2] = 255
        if rows := tuple(_seen(timeline, seconds)):
            blend(frame, draw_panel(rows, (size[0], top)), margin, margin)

    return paint


def _seen(timeline: Timeline, seconds: float) -> Sequence[Row]:
    """Rows of a panel at a time: the segments then, likeliest first, or why nothing is known."""
    for gap in timeline.gaps:
        if gap.start <= seconds < gap.end:
            return [Row(text=f"cannot be read: {gap.reason}", color=_GAP)]
    now = [each for each in timeline.segments if each.start <= seconds < each.end]
    now.sort(key=lambda each: (-each.mean, each.index))
    return [
        Row(text=each.label, color=color_of(each.index), prob=each.mean)
        for each in now[:_MOST_ROWS]
    ]


# --- pieces ---------------------------------------------------------------------------------------


def blend(frame: "NDArray[np.uint8]", image: "Image", left: int, top: int) -> None:
    """Lay an RGBA image on a frame, as far as it lies within."""
    import numpy as np

    part = frame[top : top + image.height, left : left + image.width]
    layer = np.asarray(image)[: part.shape[0], : part.shape[1]].astype(np.uint16)
    alpha = layer[..., 3:]
    part[:] = ((255 - alpha) * part + alpha * layer[..., :3] + 127) // 255


def text_height(size: Size) -> int:
    """Height of text on a frame in px."""
    return min(max(round(min(size) / 22), 10), 48)


def margin_of(size: Size) -> int:
    """Distance of panels from the edges of a frame in px."""
    return max(text_height(size) // 2, 2)


@lru_cache(maxsize=64)
def draw_panel(rows: tuple[Row, ...], size: Size) -> "Image":
    """RGBA image of rows, so many as fit into a frame of a size, the first one at least."""
    from PIL import Image, ImageDraw

    em, margin = text_height(size), margin_of(size)
    width = max(min(size[0] - 2 * margin, 20 * em), 3 * margin)
    inner = width - 2 * margin
    wrapped = [_wrap_row(row, em, inner) for row in rows]
    heights = [_row_height(row, lines, em) for row, lines in zip(rows, wrapped, strict=True)]
    most = _MOST_HEIGHT * size[1] - 2 * margin
    shown = max((n for n in range(1, len(rows) + 1) if sum(heights[:n]) <= most), default=1)
    image = Image.new("RGBA", (width, sum(heights[:shown]) + margin), (0, 0, 0, _PANEL))
    draw = ImageDraw.Draw(image)
    top = margin // 2
    for row, lines, height in list(zip(rows, wrapped, heights, strict=True))[:shown]:
        _draw_row(draw, row, lines, box=(margin, top, inner), em=em)
        top += height
    return image


def _figure_width(row: Row, em: int, inner: int) -> float:
    """Width of a probability in px; 0 where there is none, or no room beside the text."""
    width = find_font("100.0%", em).getlength("100.0% ")
    return 0 if row.prob is None or inner < width + 4 * em else width


def _wrap_row(row: Row, em: int, inner: int) -> list[str]:
    text = visible(row.text)[:_MOST_TEXT]
    lines = wrap(text, find_font(text, em), inner - em - _figure_width(row, em, inner))
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]}\u2026"]
    return lines


def _row_height(row: Row, lines: Sequence[str], em: int) -> int:
    """Of its lines, and of a bar with some room below it."""
    return _LINE * em // 4 * len(lines) + (0 if row.prob is None else max(em // 3, 3) + em // 2)


def _draw_row(
    draw: "ImageDraw", row: Row, lines: Sequence[str], *, box: tuple[int, int, int], em: int
) -> None:
    """Draw a row; `box` is its left and top edge and its width."""
    left, top, inner = box
    right, line, bar = left + inner, _LINE * em // 4, max(em // 3, 3)
    chip = top + (line - em // 2) // 2
    draw.rectangle((left, chip, left + em // 2, chip + em // 2), fill=row.color)
    font = find_font(visible(row.text)[:_MOST_TEXT], em)
    for number, text in enumerate(lines):
        place = (left + em, top + number * line + line // 2)
        draw.text(place, text, fill=_WHITE, font=font, anchor="lm")
    if row.prob is None:
        return
    if _figure_width(row, em, inner):
        figure = f"{percent(row.prob)}%"
        place, font = (right, top + line // 2), find_font(figure, em)
        draw.text(place, figure, fill=_WHITE, font=font, anchor="rm")
    edge = top + line * len(lines)
    draw.rectangle((left, edge, right, edge + bar), fill=_TROUGH)
    if (filled := round(row.prob * inner)) > 0:
        draw.rectangle((left, edge, left + filled, edge + bar), fill=row.color)


def wrap(text: str, font: "FreeTypeFont", width: float) -> list[str]:
    """Lines of a text that are no wider than `width` px, broken between words where that works."""
    lines: list[str] = []
    rest = text.strip()
    while rest:
        fits = min(len(rest), max(int(width), 1))  # no character is narrower than a pixel
        while fits > 1 and font.getlength(rest[:fits]) > width:
            fits -= 1
        space = rest.rfind(" ", 0, fits + 1) if fits < len(rest) else -1
        cut = space if space > 0 else fits
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return lines or [""]


def _draw_strip(timeline: Timeline, size: Size, start: float, end: float) -> "Image":
    """RGBA image of all segments and gaps; those at one time lie above each other."""
    from PIL import Image, ImageDraw

    margin = margin_of(size)
    width, height = max(size[0] - 2 * margin, 1), max(text_height(size), 8)
    image = Image.new("RGBA", (width, height), (0, 0, 0, _PANEL))
    draw = ImageDraw.Draw(image)
    length = max(end - start, 1e-9)

    def columns(part: ActionSegment | UnreadSpan) -> tuple[int, int]:
        left, right = ((time - start) / length * width for time in (part.start, part.end))
        return max(round(left), 0), max(min(round(right), width) - 1, round(left))

    lanes = _stack(timeline.segments)
    count = max(lanes, default=0) + 1
    for part, lane in zip(timeline.segments, lanes, strict=True):
        left, right = columns(part)
        top, bottom = lane * height // count, (lane + 1) * height // count - 1
        draw.rectangle((left, top, right, bottom), fill=(*color_of(part.index), 235))
        if right - left > 2:  # neighbors of one color are seen to be two
            draw.line((right, top, right, bottom), fill=(0, 0, 0, 255))
    for gap in timeline.gaps:
        left, right = columns(gap)
        draw.rectangle((left, 0, right, height - 1), fill=(*_GAP, 235))
        for x in range(left, right + 1, 4):
            draw.line((x, height - 1, min(x + 3, right), 0), fill=(0, 0, 0, 255))
    return image


def _stack(segments: Sequence[ActionSegment]) -> list[int]:
    """Lane of each segment, from 0: the first one that is free when it starts."""
    ends: list[float] = []
    lanes = []
    for part in segments:
        lane = next((n for n, end in enumerate(ends) if end <= part.start), len(ends))
        ends[lane : lane + 1] = [part.end]
        lanes.append(lane)
    return lanes
