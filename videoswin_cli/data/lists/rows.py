"""Rows of a list, and their labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from videoswin_cli.errors import DatasetError
from videoswin_cli.io.text_files import unquote
from videoswin_cli.options.source import ListFormat
from videoswin_cli.records import Segment

LIST_FORMATS: tuple[ListFormat, ...] = get_args(ListFormat)

MOST_DIGITS = 18  # of a label


@dataclass(frozen=True, kw_only=True, slots=True)  # there may be a million
class ListRow:
    """One row as the list has it."""

    line: int  # from 1
    name: str  # path or id of the video
    label: int | str | None  # index or class name; None: the list has none (a test list)
    segment: Segment | None = None  # None: the whole video
    trimmed_names: tuple[str, ...] = ()  # files that are this segment already; looked for first
    frames: int | None = None  # of the whole video
    split: str | None = None  # train, val, test or as written; None: the list does not say


@dataclass(frozen=True, kw_only=True)
class VideoList:
    source: str
    format: ListFormat | Literal["folder"]
    rows: tuple[ListRow, ...]
    root: Path | str | None = None  # that the names are relative to; None: the folder of the list
    columns: tuple[str, ...] = ()  # of a table or of JSON objects, as written
    splits: Mapping[str, int] = field(default_factory=dict)  # rows of each, also those not chosen
    notices: tuple[str, ...] = ()  # what the reader left out or took for granted
    lost: tuple[tuple[str, str], ...] = ()  # damaged files, and why: videos of them are no rows


def to_label(text: str | None, *, where: str) -> int | str | None:
    """A class index or a class name; None where there is none, or -1 as in test lists.

    `3.0`, as tables of floating point numbers write it, is 3.

    Raises:
        DatasetError: a number that no class could have.
    """
    text = unquote(text.strip()) if text is not None else ""
    if not is_index(text):
        return text or None
    digits = text.partition(".")[0]
    if digits.startswith("-"):
        return None
    if len(digits) > MOST_DIGITS:
        raise DatasetError(f"{where}: a label of {len(digits)} digits", hint="fix the line")
    return int(digits)


def split_labels(row: ListRow, where: str) -> list[ListRow]:
    """A row for each class of one that names several, with `;` between them."""
    if not isinstance(row.label, str):
        return [row]
    labels = [part.strip() for part in row.label.split(";")]
    return [replace(row, label=to_label(label, where=where)) for label in labels if label]


def is_index(text: str) -> bool:
    """Whether a label is a number: `3`, `-1` or `3.0`."""
    whole, point, fraction = text.removeprefix("-").partition(".")
    if not (whole.isascii() and whole.isdigit()):
        return False
    return not point or not fraction.strip("0")


def to_frame_count(value: object) -> int | None:
    """Number of frames of a video; None for what is none, such as -1 or 0."""
    text = str(value).strip()
    if isinstance(value, bool) or not is_index(text) or len(text) > MOST_DIGITS:
        return None
    count = int(text.partition(".")[0])
    return count if count > 0 else None
