"""Heat maps of evidence, drawn on the frames of a video: RGB, with Pillow."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from videoswin_cli.io.visible import visible
from videoswin_cli.records import ClassProbability
from videoswin_cli.report.fonts import find_font
from videoswin_cli.report.overlay import (
    Paint,
    Row,
    Size,
    blend,
    color_of,
    draw_panel,
    margin_of,
)
from videoswin_cli.report.percent import percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Frame = NDArray[np.uint8]

_OPACITY = 0.7  # of the most heat; none at all leaves the picture as it is
_UNSEEN = 0.45  # brightness of what no crop of the network has seen
_SHEET_HEIGHT = 160  # px of a frame in a contact sheet
_SHEET_TEXT = 14  # px
_SHEET_GAP = 4  # px
# Red, green and blue of Turbo by powers of a share, from the constant on (Anton Mikhailov, Google).
_TURBO = (
    (0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943),
    (0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604),
    (0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973),
)


@dataclass(frozen=True, kw_only=True)
class HeatMaps:
    """Evidence for a class over time."""

    explained: ClassProbability
    maps: "NDArray[np.float32]"  # (T, H, W), NaN where nobody looked
    times: Sequence[float]  # s, start of each of T
    clips: Sequence[tuple[float, float]]  # s, start and end of each clip
    peak: float  # evidence that is drawn as the most heat

    def at(self, seconds: float) -> "NDArray[np.float32] | None":
        """The map of the last frame that was looked at, (H, W); None between the clips."""
        if not any(start <= seconds < end for start, end in self.clips):
            return None
        found: NDArray[np.float32] = self.maps[max(bisect_right(self.times, seconds) - 1, 0)]
        return found


def paint_heat(heat: HeatMaps, size: Size) -> Paint:
    """Drawing of the heat on each frame of `size`, under the name of the class."""
    each = heat.explained
    row = Row(text=each.label, color=color_of(each.index), prob=each.prob)
    panel, margin = draw_panel((row,), size), margin_of(size)

    def paint(frame: "Frame", seconds: float) -> None:
        if (found := heat.at(seconds)) is not None:
            glow(frame, found, heat.peak)
        blend(frame, panel, margin, margin)

    return paint


def glow(frame: "Frame", evidence: "NDArray[np.float32]", peak: float) -> None:
    """Draw a map (H, W), of any size, over all of a frame; what nobody has seen gets darker."""
    import numpy as np

    seen = np.isfinite(evidence).astype(np.float32)
    share = np.nan_to_num(evidence).clip(0) / np.float32(peak or 1)
    weight = _resize(seen, frame)
    heat = (_resize(share, frame) / weight.clip(1e-6)).clip(0, 1)
    colors = _color_table()[(heat * 255).astype(np.uint8)]
    mixed = frame + (_OPACITY * heat)[..., None] * (colors - frame.astype(np.float32))
    mixed[weight < 0.5] = frame[weight < 0.5] * _UNSEEN
    frame[:] = mixed.round()


def _resize(picture: "NDArray[np.float32]", frame: "Frame") -> "NDArray[np.float32]":
    """A picture (H, W) at the size of a frame."""
    import numpy as np
    from PIL import Image

    size, how = (frame.shape[1], frame.shape[0]), Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(picture.astype(np.float32)).resize(size, how))


@lru_cache(maxsize=1)
def _color_table() -> "NDArray[np.float32]":
    """Colors from cold to hot, (256, 3): Turbo by its published polynomials."""
    import numpy as np

    shares = np.linspace(0, 1, 256)
    table = np.stack([np.polynomial.polynomial.polyval(shares, row) for row in _TURBO], axis=1)
    return (255 * table.clip(0, 1)).astype(np.float32)


def draw_contact_sheet(
    frames: Sequence["Frame"], times: Sequence[float], heat: HeatMaps
) -> "Image":
    """Frames in a row, each above itself with its heat and its time, under the name of the class.

    Args:
        frames: (height, width, 3) RGB, of one size, within the clips.
        times: start of each in seconds.
        heat: of the video.
    """
    from PIL import Image, ImageDraw

    height, width = frames[0].shape[:2]
    size = max(round(width * _SHEET_HEIGHT / height), 1), _SHEET_HEIGHT
    right, below = size[0] + _SHEET_GAP, size[1] + _SHEET_GAP
    top = 2 * _SHEET_TEXT
    sheet = Image.new(
        "RGB", (len(frames) * right + _SHEET_GAP, top + 2 * below + 2 * _SHEET_TEXT), "white"
    )
    draw = ImageDraw.Draw(sheet)

    def write(place: tuple[int, int], text: str, anchor: str) -> None:
        draw.text(place, text, fill="black", font=find_font(text, _SHEET_TEXT), anchor=anchor)

    each = heat.explained
    write((_SHEET_GAP, top // 2), f"{visible(each.label)[:200]}  {percent(each.prob)}%", "lm")
    for column, (frame, seconds) in enumerate(zip(frames, times, strict=True)):
        left = _SHEET_GAP + column * right
        hot = frame.copy()
        if (found := heat.at(seconds)) is not None:
            glow(hot, found, heat.peak)
        for row, picture in enumerate((frame, hot)):
            small = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
            sheet.paste(small, (left, top + row * below))
        write((left + size[0] // 2, sheet.height - _SHEET_TEXT), f"{seconds:.2f} s", "mm")
    return sheet
