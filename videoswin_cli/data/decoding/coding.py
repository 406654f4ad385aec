"""Coding of the pictures of a file, as far as it matters to those who see them as plain RGB."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream

_TRANSFERS: dict[int, Literal["PQ", "HLG"]] = {16: "PQ", 18: "HLG"}  # of ITU-T H.273


@dataclass(frozen=True, kw_only=True)
class Coding:
    """Coding of the first picture."""

    pixel_format: str = "rgb24"  # FFmpeg's name of what its decoder gives
    full_range: bool = False  # of the brightness that this format can hold, as the file says
    bits: int = 8  # per sample
    transfer: Literal["PQ", "HLG"] | None = None  # of a high dynamic range
    interlaced: bool = False  # its lines are of two moments
    pixel_aspect: Fraction = Fraction(1)  # width / height of a pixel as stored


PLAIN = Coding()


def read_coding(frame: "VideoFrame", stream: "VideoStream") -> Coding:
    """Coding of a decoded picture and of the stream that it is from."""
    from av.video.reformatter import ColorRange

    return Coding(
        pixel_format=frame.format.name,
        full_range=frame.color_range == ColorRange.JPEG,
        bits=max((component.bits for component in frame.format.components), default=8),
        transfer=_TRANSFERS.get(int(frame.color_trc)),
        interlaced=bool(frame.interlaced_frame),
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
    )
