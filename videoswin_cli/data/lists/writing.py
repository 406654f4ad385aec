"""Lists as this program writes them. Each is read back before it takes its place."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoswin_cli.data.lists.formats import HMDB51_FILE
from videoswin_cli.data.lists.labels import number_labels
from videoswin_cli.data.lists.reading import read_list
from videoswin_cli.errors import DatasetError, UsageError
from videoswin_cli.io.atomic import atomic_write, to_json
from videoswin_cli.io.text_files import shorten
from videoswin_cli.options.prepare import ListForm
from videoswin_cli.records import Segment

# Texts in quotes: those that need them as a rule; all; none, which several labels may follow.
_QUOTINGS = (re.compile(r"""[\s"',;#]"""), re.compile(""), re.compile("(?!)"))

Quoting = re.Pattern[str]
Read = tuple[str, Segment | None, str | None, int]  # name, part, split and class of a row


@dataclass(frozen=True, kw_only=True)
class NewRow:
    """A row to write."""

    name: str  # path, with /
    labels: tuple[int, ...]  # class indices, one or more
    segment: Segment | None = None
    frames: int | None = None  # of a frame folder
    split: str | None = None  # train, val or test


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Names and numbers of the classes of a list."""

    numbers: tuple[int, ...]  # of each class, as lists of numbers have it
    names: tuple[str, ...] | None  # None: they have none

    def title(self, index: int) -> str:
        """Name of a class, or its number."""
        return str(self.numbers[index]) if self.names is None else self.names[index]


@contextmanager
def new_list(path: Path, rows: Sequence[NewRow], labels: Labels, form: ListForm) -> Iterator[None]:
    """A list that takes its place when the block ends; it was read back before the block begins.

    Raises:
        DatasetError: a row that the form cannot hold, or that would be read as another.
        UsageError, VideoSwinError: the file cannot be written.
    """
    if HMDB51_FILE.fullmatch(path.name):
        raise UsageError(f"{path}: lists of this name are read as HMDB51's", hint="rename it")
    for text in (*(row.name for row in rows), *(labels.names or ())):
        _check_text(text)
    with atomic_write(path) as draft:
        for number, quoting in enumerate(_QUOTINGS, start=1):
            text = _FORMS[form](rows, labels, quoting)
            draft.write_text(text, encoding="utf-8", newline="\n")
            if (fault := _find_fault(draft, path, rows, labels, form)) is None:
                break
            if number == len(_QUOTINGS):
                raise fault
        yield


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DatasetError(
            f"no list can hold the name {shorten(text)}: it is not UTF-8", hint="rename it"
        ) from error


# --- forms ----------------------------------------------------------------------------------------


def _to_path_label(rows: Sequence[NewRow], labels: Labels, quoting: Quoting) -> str:
    return "".join(
        f"{_quote(row.name, quoting)} {' '.join(str(labels.numbers[n]) for n in row.labels)}\n"
        for row in _without_parts(rows, "path-label")
    )


def _to_frames(rows: Sequence[NewRow], labels: Labels, quoting: Quoting) -> str:
    lines = []
    for row in _without_parts(rows, "frames"):
        if row.frames is None or len(row.labels) > 1:
            raise DatasetError(
                f"{row.name}: the form frames is of frame folders with one class each",
                hint="--form path-label or csv",
            )
        lines.append(f"{_quote(row.name, quoting)} {row.frames} {labels.numbers[row.labels[0]]}\n")
    return "".join(lines)


def _to_csv(rows: Sequence[NewRow], labels: Labels, quoting: Quoting) -> str:
    parts = [row.segment for row in rows if row.segment is not None]
    columns = _time_columns(parts)
    splits = ["split"] if any(row.split for row in rows) else []
    lines = [["path", "label", *columns, *splits]]
    for row in rows:
        cells = [row.name, ";".join(labels.title(n) for n in row.labels)]
        if columns:
            cells += ["", ""] if row.segment is None else map(_number, _times(row.segment))
        if splits:
            cells.append(row.split or "")
        lines.append(cells)
    return "".join(",".join(_quote(cell, quoting) for cell in cells) + "\n" for cells in lines)


def _to_json(rows: Sequence[NewRow], labels: Labels, quoting: Quoting) -> str:
    """As ActivityNet: annotations by the path of the video."""
    database: dict[str, dict[str, Any]] = {}
    for row in rows:
        found = [labels.title(n) for n in row.labels]
        entry: dict[str, object] = {"label": found[0] if len(found) == 1 else found}
        if row.segment is not None and row.segment.unit == "seconds":
            entry["segment"] = _times(row.segment)
        elif row.segment is not None:
            entry |= dict(zip(_FRAME_COLUMNS, _times(row.segment), strict=True))
        video = database.setdefault(row.name, {"annotations": []})
        video["annotations"].append(entry)
        if row.split is not None:
            video["subset"] = row.split
    return to_json({"database": database}, indent=1) + "\n"


_FORMS: Mapping[ListForm, Callable[[Sequence[NewRow], Labels, Quoting], str]] = {
    "path-label": _to_path_label,
    "csv": _to_csv,
    "json": _to_json,
    "frames": _to_frames,
}
_FRAME_COLUMNS = ["start_frame", "end_frame"]


def _without_parts(rows: Sequence[NewRow], form: ListForm) -> Sequence[NewRow]:
    if cut := next((row for row in rows if row.segment is not None), None):
        raise DatasetError(
            f"the form {form} has no room for times: {cut.name}#{cut.segment}",
            hint="--form csv or json",
        )
    if part := next((row for row in rows if row.split is not None), None):
        raise DatasetError(
            f"the form {form} has no room for the parts of a data set, such as {part.split}",
            hint="--form csv or json; or list each part by itself",
        )
    return rows


def _time_columns(parts: Sequence[Segment]) -> list[str]:
    units = {part.unit for part in parts}
    if len(units) > 1:
        raise DatasetError("a table has parts in seconds or in frames, not both: --form json")
    if not units:
        return []
    return ["start", "end"] if units == {"seconds"} else _FRAME_COLUMNS


def _times(segment: Segment) -> list[float | None]:
    whole = [None if time is None else _whole(time) for time in (segment.start, segment.end)]
    return list(whole)


def _whole(time: float) -> float:
    return int(time) if time == int(time) else time


def _number(time: float | None) -> str:
    return "" if time is None else repr(time)


def _quote(text: str, quoting: Quoting) -> str:
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if quoting.search(text) else text


# --- check ----------------------------------------------------------------------------------------


def _find_fault(
    draft: Path, path: Path, rows: Sequence[NewRow], labels: Labels, form: ListForm
) -> DatasetError | None:
    """Error of a list that its reader takes for other rows."""
    wanted = [(row.name, row.segment, row.split, number) for row in _in_order(rows, form)
              for number in row.labels]  # fmt: skip
    try:
        found = _read(draft, labels, several=any(len(row.labels) > 1 for row in rows))
    except UsageError as error:
        message = error.message.replace(str(draft), str(path))
        found, reason = [], f": {message}"
    else:
        reason = ""
    if found == wanted:
        return None
    pairs = zip(wanted, [*found, *[None] * len(wanted)], strict=False)
    first = next((one[0] for one, other in pairs if one != other), rows[-1].name)
    return DatasetError(
        f"the form {form} cannot hold {shorten(first)}: it would be read as another row{reason}",
        hint="rename it (line ends, or blanks at its start or end?), or choose another --form",
    )


def _in_order(rows: Sequence[NewRow], form: ListForm) -> Sequence[NewRow]:
    """Rows as they are read: by video, where the names are keys."""
    if form != "json":
        return rows
    places = {name: place for place, name in enumerate(dict.fromkeys(row.name for row in rows))}
    return sorted(rows, key=lambda row: places[row.name])


def _read(draft: Path, labels: Labels, *, several: bool) -> list[Read]:
    videos = read_list(draft, multi_label=several)
    if labels.names is None:
        by_number = {number: index for index, number in enumerate(labels.numbers)}
        found = [by_number.get(row.label, -1) for row in videos.rows]  # type: ignore[arg-type]
    else:
        found = number_labels(videos, labels.names)
    return [
        (row.name, row.segment, row.split, n) for row, n in zip(videos.rows, found, strict=True)
    ]
