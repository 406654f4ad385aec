"""Columns that make a row a part of a video, or of its pictures, in a way that is not read."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from videoswin_cli.data.lists import column_names
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.delimited import fold_column
from videoswin_cli.io.text_files import shorten
from videoswin_cli.io.visible import name_some

_LONGEST = 40  # characters of a name that is looked at
_WHEN = "timestamps?|timecode|time|keyframe|frame|seconds?|secs?|ts|pts|moment|instant"
_BOUNDS = "start|end|begin|stop|onset|offset|from|to"
_OF_WHAT = (
    "video|clip|segment|action|activity|event|annotation|annotated|label|query|target|key|middle|"
    "mid|center|center|central|peak|apex|anchor|current|first|last|gt"
)
_TAIL = "index|idx|id|number|num|nr|no|position|pos|in|ms|msecs?|milliseconds?|s"
_MOMENT = re.compile(rf"(?:{_OF_WHAT})*(?:{_WHEN}|{_BOUNDS})(?:{_WHEN}|{_BOUNDS})*(?:{_TAIL})*")
_PLAIN = re.compile(r".*(?:timestamp|timecode|keyframe|frame(?:idx|index|id|number|no|nr))")
_MOMENTS = ("t", "t0", "t1", "t2", "tmin", "tmax", "apex", "span", "interval", "timespan", "window")
_DATE = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d|\d\d?[-/.]\d\d?[-/.]\d{4}")
_UNIX_TIME = 1e8  # seconds; no video is that long

_BOXES = (
    *("bbox", "bboxes", "box", "boxes", "boundingbox", "boundingboxes", "bndbox", "xyxy", "xywh"),
    *("personbox", "personbbox", "humanbox", "humanbbox", "entitybox", "roi"),
)
_CORNERS = (  # ends of names; the last one is a box only beside a size
    *(("x1", "y1"), ("x2", "y2"), ("x0", "y0"), ("xmin", "ymin"), ("xmax", "ymax")),
    *(("minx", "miny"), ("maxx", "maxy"), ("left", "top"), ("cx", "cy"), ("x", "y")),
)
_SIZES = ("w", "width")
PERSONS = ("personid", "actorid", "humanid", "entityid", "trackid", "tubeid")


def find_moments(keys: Sequence[str]) -> tuple[str, ...]:
    """Columns that say when in a video something is, and are no start or end that is read."""
    return tuple(key for key in keys if _is_moment(fold_column(key)))


def _is_moment(name: str) -> bool:
    if name in (*column_names.KNOWN, *column_names.LENGTHS) or len(name) > _LONGEST:
        return False
    forms = (_MOMENT, _PLAIN)
    return name in _MOMENTS or any(form.fullmatch(name) is not None for form in forms)


def find_boxes(keys: Sequence[str]) -> tuple[str, ...]:
    """Columns that say where in the picture something is."""
    folded = {fold_column(key): key for key in keys}
    found = [key for name, key in folded.items() if name in _BOXES]
    for x, y in _CORNERS:
        for name, key in folded.items():
            beginning = name.removesuffix(x)
            if beginning == name or beginning + y not in folded:
                continue
            if len(x) > 1 or any(beginning + size in folded for size in _SIZES):
                found += [key, folded[beginning + y]]
    return tuple(dict.fromkeys(found))


def refuse_unread_parts(
    values: Mapping[str, Any], moments: Sequence[str], boxes: Sequence[str], where: str
) -> None:
    """Refuse a row that is about a moment or an area of the picture.

    Args:
        values: of the row, by column.
        moments: columns that say when, where none says from when to when.
        boxes: columns that say where in the picture.
        where: file and line, for messages.

    Raises:
        DatasetError: one of the columns is filled; it names them.
    """
    when = [key for key in moments if _is_filled(values[key]) and not _is_date(values[key])]
    area = [key for key in boxes if _is_filled(values[key])]
    found = []
    if when:
        found.append(f"{_show(when, values)} when in the video")
    if area:
        found.append(f"{_show(area, values)} where in the picture")
    if found:
        raise DatasetError(
            f"{where}: {', and '.join(found)}: the row is not about the whole video",
            hint=(
                "a part of a video needs a start and an end, in columns such as start and end in "
                "seconds or start_frame and end_frame; "
                if when
                else ""
            )
            + ("a part of the picture must be cut out beforehand; " if area else "")
            + "where whole videos are meant, remove these columns",
        )


def refuse_unclear_parts(keys: Sequence[str], span: Sequence[str], where: str) -> None:
    """Refuse a start whose end is unclear, and milliseconds.

    Args:
        keys: all columns.
        span: those of the part.
        where: file and line, for messages.

    Raises:
        DatasetError: as said.
    """
    lengths = [key for key in keys if fold_column(key) in column_names.LENGTHS]
    starts = (*column_names.STARTS, *column_names.FRAME_STARTS)
    if lengths and len(span) == 1 and fold_column(span[0]) in starts:
        raise DatasetError(
            f"{where}: {span[0]} without an end, and {lengths[0]}: the length of the part, "
            "or of the video?",
            hint="write where the part ends, as time_end in seconds or end_frame, or remove "
            f"{lengths[0]}: then the part goes to the end of the video",
        )
    for key in keys:
        folded = fold_column(key)
        mark = next((m for m in column_names.THOUSANDTHS if folded.endswith(m)), None)
        bounds = (*column_names.STARTS, *column_names.ENDS)
        if mark is not None and folded.removesuffix(mark) in bounds:
            raise DatasetError(
                f"{where}: {key}: expected seconds, found a column of milliseconds",
                hint="divide by 1000 and call the columns time_start and time_end",
            )


def _is_filled(value: Any) -> bool:
    """Whether a cell could be a place or a time: it holds a digit."""
    return any(c.isdigit() for c in str(value)[:1000])


def _is_date(value: Any) -> bool:
    """Whether a cell says when something was recorded or written, not when in a video it is."""
    text = str(value).strip()
    if _DATE.match(text[:20]) is not None:
        return True
    try:
        return float(text[:30]) >= _UNIX_TIME
    except ValueError:
        return False


def _show(keys: Sequence[str], values: Mapping[str, Any]) -> str:
    shown = name_some([f"{shorten(key)[1:-1]} ({shorten(values[key])})" for key in keys], 4)
    return f"{shown} {'says' if len(keys) == 1 else 'say'}"
