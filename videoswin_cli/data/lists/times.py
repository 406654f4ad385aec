"""Times and frame numbers as people write them, and the segments they make."""

import math
from typing import Any, Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.io.text_files import shorten
from videoswin_cli.options.parsers import EXPECTED_TIME, parse_seconds
from videoswin_cli.records import Segment

_MOST_CHARACTERS = 30  # of a time: what is longer is not looked at
_MOST_FRAMES = 10**12


def make_segment(
    start: object,
    end: object,
    *,
    unit: Literal["seconds", "frames"],
    first_frame: Literal[0, 1] = 0,
    columns: str,
    where: str,
) -> Segment | None:
    """The part of a video that two cells of a row name; None where both are empty.

    Args:
        start: of the part; empty: the start of the video.
        end: up to which, itself not in it; empty: the end of the video.
        unit: of both.
        first_frame: number of a video's first frame; where it is 1, the end is in the part, too.
        columns: their names, for messages.
        where: file and line, for messages.

    Raises:
        UsageError: no such times, or an end that is not after the start.
    """
    if _is_empty(start) and _is_empty(end):
        return None
    read = _read_seconds if unit == "seconds" else _read_frame
    try:
        begin = 0.0 if _is_empty(start) else read(start) - first_frame
        if begin < 0:
            raise ValueError("expected frame numbers, counted from 1")
        stop = None if _is_empty(end) else read(end)
    except ValueError as error:
        found = f"{shorten(start)} and {shorten(end)}"
        raise UsageError(f"{where}: {columns}: {error}, found {found}") from error
    if stop is not None and stop <= begin:
        raise UsageError(
            f"{where}: {columns}: the end, {stop:.10g}, is not after the start, "
            f"{begin + first_frame:.10g}"
        )
    return Segment(start=begin, end=stop, unit=unit)


def _is_empty(cell: object) -> bool:
    return cell is None or cell == ""


def _read_seconds(cell: Any) -> float:
    if isinstance(cell, str):
        text = cell.strip()
        if "e" in text.lower() and len(text) <= _MOST_CHARACTERS:  # 1e-05, as tables write it
            try:
                cell = float(text)
            except ValueError:
                raise ValueError(f"expected {EXPECTED_TIME}") from None
        else:
            return parse_seconds(text)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise ValueError(f"expected {EXPECTED_TIME}")
    if not 0 <= cell <= 10**9 or not math.isfinite(cell):
        raise ValueError("expected seconds from 0 up")
    return float(cell)


def _read_frame(cell: Any) -> float:
    if isinstance(cell, str):
        whole, _, fraction = cell.strip().partition(".")
        digits = whole.isascii() and whole.isdigit() and len(whole) <= _MOST_CHARACTERS
        cell = int(whole) if digits and not fraction.strip("0") else None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, bool) or not isinstance(cell, int) or not 0 <= cell <= _MOST_FRAMES:
        raise ValueError("expected frame numbers, counted from 0")
    return float(cell)
