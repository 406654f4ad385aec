"""The forms that one line of a list can have. Columns are split off from the right, in one pass.

Columns are separated by a comma, a tab or blanks; paths may hold all of them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from videoswin_cli.data.lists.names import NAME_END, ends_as_video
from videoswin_cli.data.lists.rows import is_index, to_frame_count
from videoswin_cli.io.text_files import unquote
from videoswin_cli.options.source import ListFormat

_BLANKS = " \t"
_SEPARATORS = " \t,"
_AFTER_NAME = (" ", "\t", ",", ";")
_DECIMAL = re.compile(r"[0-9]{1,9}\.[0-9]{1,18}")
_UCF101 = re.compile(r"(?P<name>(?P<label>[^/\s]+)/v_(?P=label)_g\d+_c\d+\.\w+)(?:[ \t]+\d+)?")


@dataclass(frozen=True)
class Line:
    """The columns of a line."""

    name: str
    label: str | None = None
    start: int | None = None  # frames; this and the next of `path start count label` only
    count: int | None = None  # frames; -1 or 0: all
    frames: int | None = None  # of the whole video


def split_last(line: str) -> tuple[str, str] | None:
    """The text before the last column, and that column."""
    cut = max(map(line.rfind, _SEPARATORS))
    if cut < 0:
        return None
    rest = line[:cut].rstrip(_BLANKS)
    if line[cut] != "," and rest.endswith(","):
        rest = rest[:-1].rstrip(_BLANKS)
    return (rest, line[cut + 1 :]) if rest else None


def split_numbers(line: str, count: int) -> tuple[str, list[str]] | None:
    """The text before the last `count` columns, and those, where all of them are numbers."""
    numbers: list[str] = []
    while len(numbers) < count:
        if (split := split_last(line)) is None or not is_index(number := unquote(split[1])):
            return None
        line, numbers = split[0], [number, *numbers]
    return line, numbers


def read_path(line: str) -> Line | None:
    return Line(unquote(line))


def read_numbered(line: str) -> Line | None:
    split = split_numbers(line, 1)
    return split and Line(unquote(split[0]), split[1][0])


def read_counted(line: str) -> Line | None:
    if (split := split_numbers(line, 2)) is None:
        return None
    frames, label = split[1]
    return Line(unquote(split[0]), label, frames=to_frame_count(frames))


def read_started(line: str) -> Line | None:
    """`path start count label`, as VideoMAE has it."""
    if (split := split_numbers(line, 3)) is None:
        return None
    start, count, label = split[1]
    if max(len(start), len(count)) > 12 or start.startswith("-"):
        return None
    return Line(unquote(split[0]), label, start=int(float(start)), count=int(float(count)))


def read_moments(line: str) -> Line | None:
    """`path,label,agree,disagree`, as Moments in Time has it."""
    rest, *counts = line.rsplit(",", 2)
    if len(counts) < 2 or not all(is_index(count.strip(_BLANKS)) for count in counts):
        return None
    named = read_named(rest)
    return named if named and named.label and not is_index(named.label) else None


def read_semicolon(line: str) -> Line | None:
    """`id;label`, as Jester and Something-Something V1 have it."""
    name, _, label = line.partition(";")
    name, label = name.rstrip(_BLANKS), label.strip(_BLANKS)
    if not name or not label or ends_as_video(label) or NAME_END.search(label):
        return None
    if not ends_as_video(name) and any(separator in name for separator in _SEPARATORS):
        return None
    return Line(unquote(name), label)


def read_named(line: str) -> Line | None:
    """A class name behind a name in quotes or with an extension, behind a tab, comma, or blank."""
    end = _closing_quote(line)
    if end > 1 and line[end + 1 : end + 2] in _AFTER_NAME:
        name, label = unquote(line[: end + 1]), line[end + 1 :]
    elif found := NAME_END.search(line):
        name, label = unquote(line[: found.end()]), line[found.end() :]
    else:
        cuts = [cut for cut in map(line.find, "\t,") if cut > 0]
        cut = min(cuts) if cuts else line.find(" ")
        if cut < 1 or (not cuts and len(line[cut:].split()) != 1):
            return None
        name, label = unquote(line[:cut].rstrip(_BLANKS)), line[cut:]
    label = label.lstrip(_BLANKS)
    label = label.removeprefix(",") if label[:1] == "," else label.removeprefix(";")
    label = label.strip(_BLANKS)
    return Line(name, label) if label else None


def _closing_quote(line: str) -> int:
    """Place of the quote that closes the one that the line begins with; -1: there is none."""
    quote, place = line[0], 1
    if quote not in "'\"":
        return -1
    while (place := line.find(quote, place)) >= 0 and line[place + 1 : place + 2] == quote:
        place += 2
    return place


def read_several(line: str) -> Line | None:
    """`path 1 3 5`: a video of several classes."""
    *_, end = (0, *(found.end() for found in NAME_END.finditer(line)))
    labels = line[end:].replace("\t", " ").replace(",", " ").split(" ")
    labels = [label for label in labels if label]
    if not end or not labels or not all(label.isascii() and label.isdigit() for label in labels):
        return None
    return Line(unquote(line[:end]), ";".join(labels))


def read_ucf101(line: str) -> Line | None:
    match = _UCF101.fullmatch(line)
    return match and Line(match["name"], match["label"])


def read_hmdb51(line: str) -> Line | None:
    """The part, 0 to 2, stands in place of the label: the class is in the name of the file."""
    split = split_last(line)
    return (
        Line(*split) if split and split[1] in ("0", "1", "2") and ends_as_video(split[0]) else None
    )


def is_one_path(line: str) -> bool:
    """Nothing but a path: one word, one thing in quotes, or what ends as a video does."""
    if _closing_quote(line) == len(line) - 1:
        return True
    return ends_as_video(line) or not any(separator in line for separator in _SEPARATORS)


def has_decimals(line: str) -> bool:
    """Whether numbers with a fraction stand behind the name: times, or corners of boxes.

    `3.0` is none: labels are written so, too.
    """
    if ends_as_video(line):
        return False
    for delimiter in (",", "\t", " "):
        name, *cells = line.split(delimiter)
        if delimiter == " " and not ends_as_video(name):
            return False
        if len(cells) > 1 and any(map(_is_decimal, cells[:-1])):
            return True
    return False


def _is_decimal(cell: str) -> bool:
    return _DECIMAL.fullmatch(cell.strip(_BLANKS)) is not None and not is_index(cell.strip(_BLANKS))


def has_label_first(line: str) -> bool:
    """`0 path`."""
    cut = min((cut for cut in map(line.find, " \t,;") if cut > 0), default=0)
    rest = line[cut + 1 :].strip(_BLANKS)
    path = ends_as_video(rest) or ("/" in rest and " " not in rest)
    return bool(cut) and is_index(line[:cut]) and path


def has_name_first(line: str) -> bool:
    """`class,path` or the like."""
    cut = min((cut for cut in map(line.find, "\t,;") if cut > 0), default=0)
    first = line[:cut]
    return bool(cut) and ends_as_video(line) and "/" not in first and not ends_as_video(first)


READERS: Mapping[ListFormat, Callable[[str], Line | None]] = {
    "paths": read_path,
    "path-labels": read_several,
    "id-label": read_semicolon,
    "id-frames-label": read_counted,
    "path-start-count-label": read_started,
    "moments": read_moments,
    "ucf101": read_ucf101,
    "hmdb51": read_hmdb51,
}
EXPECTED: Mapping[ListFormat, str] = {
    "paths": "a path",
    "path-label": "`path label`",
    "path-labels": "`path label label ...`",
    "id-label": "`id;label`",
    "id-frames-label": "`id frames label`",
    "path-start-count-label": "`path start count label`",
    "moments": "`path,label,number,number`",
    "ucf101": "`Class/v_Class_gNN_cNN.avi`",
    "hmdb51": "`video.avi` and 0, 1 or 2",
}
