"""Frames of a long video, some at a time."""

from collections.abc import Iterator, Sequence
from typing import TypeVar, cast

Numbers = TypeVar("Numbers", bound=Sequence[int])

_BYTES_AT_ONCE = 48 << 20  # of decoded frames
_MOST_AT_ONCE = 16  # frames


def batches(numbers: Numbers, *, pixels: int) -> Iterator[Numbers]:
    """Frames that are decoded at once.

    Args:
        numbers: of all frames to read.
        pixels: of a frame, width x height.
    """
    step = min(max(_BYTES_AT_ONCE // (pixels * 3), 1), _MOST_AT_ONCE)
    for begin in range(0, len(numbers), step):
        yield cast("Numbers", numbers[begin : begin + step])
