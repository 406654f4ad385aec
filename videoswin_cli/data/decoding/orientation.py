"""Rotation and mirroring of stored pictures for display: the display matrix of a file."""

import struct
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from av import VideoFrame
    from numpy.typing import NDArray


class Orientation(NamedTuple):
    """One of the eight ways to lay a picture on a screen: transpose first, then flip."""

    transposed: bool = False
    flipped_rows: bool = False  # upside down
    flipped_columns: bool = False  # left becomes right
    exact: bool = True  # the file says just this, and not nearly this

    @property
    def mirrored(self) -> bool:
        """Whether it is more than a turn."""
        return self.transposed != (self.flipped_rows != self.flipped_columns)

    def apply(self, image: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        """The picture as it is shown, a view of (height, width, channels)."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        rows = -1 if self.flipped_rows else 1
        columns = -1 if self.flipped_columns else 1
        return image[::rows, ::columns]


UPRIGHT = Orientation()
# Counterclockwise, by quarters.
_TURNS = (
    UPRIGHT,
    Orientation(True, True, False),
    Orientation(False, True, True),
    Orientation(True, False, True),
)


def read_orientation(frame: "VideoFrame") -> Orientation:
    """Orientation by the display matrix of a frame; upright where there is none.

    The matrix (a b u; c d v; x y w) maps a stored point (x, y) to (a x + c y, b x + d y). Source:
    ISO/IEC 14496-12, 6.2.2. Turns that are no quarters are taken for the nearest one.
    """
    from av.sidedata.sidedata import Type

    try:
        entries = _side_data_of(frame)
        found = next((data for data in entries if data.type == Type.DISPLAYMATRIX), None)
    except ValueError:  # PyAV meets a kind that it does not know (EXIF); what it sums up is a turn
        return _TURNS[round(frame.rotation / 90) % 4]
    if found is None:
        return UPRIGHT
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(found)[:36])
    straight, across = max(abs(a), abs(d)), max(abs(b), abs(c))
    if straight >= across:
        return Orientation(False, d < 0, a < 0, exact=not across)
    return Orientation(True, b < 0, c < 0, exact=not straight)


def _side_data_of(frame: "VideoFrame") -> "Iterator[Any]":
    """Side data in their order. A number finds each; iteration gives kinds from PyAV 19 on."""
    numbered = cast("Any", frame.side_data)
    with suppress(IndexError):
        for number in count():
            yield numbered[number]
