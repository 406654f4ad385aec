"""Sheet of clips: a row of frames under the name of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.io.visible import visible
from videoswin_cli.report.fonts import find_font

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FRAMES = 8  # of a clip
_SIDE = 112  # px of a frame
_GAP = 4  # px
_TEXT = 13  # px
_MOST_TEXT = 200  # characters of a title


@dataclass(frozen=True, kw_only=True)
class ShownClip:
    """A clip and what is written above it."""

    title: str
    frames: "NDArray[np.uint8]"  # (T, side, side, 3) RGB; none of a clip that cannot be read


def write_clip_sheet(path: Path, clips: Sequence[ShownClip]) -> None:
    """Write a PNG with eight frames of each clip, spread over it, or all where it has fewer.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    from PIL import Image, ImageDraw

    row = 2 * _TEXT + _SIDE + _GAP
    size = (_GAP + _FRAMES * (_SIDE + _GAP), _GAP + len(clips) * row)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for number, clip in enumerate(clips):
        top = _GAP + number * row
        title = visible(clip.title)[:_MOST_TEXT]
        draw.text(
            (_GAP, top + _TEXT), title, fill="black", font=find_font(title, _TEXT), anchor="lm"
        )
        count = len(clip.frames)
        shown = min(count, _FRAMES)
        for place in range(shown):
            frame = clip.frames[place * (count - 1) // max(shown - 1, 1)]
            small = Image.fromarray(frame).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
            sheet.paste(small, (_GAP + place * (_SIDE + _GAP), top + 2 * _TEXT))
    with atomic_write(path) as part:
        sheet.save(part, format="PNG")
