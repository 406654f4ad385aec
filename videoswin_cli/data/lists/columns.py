"""Meaning of the columns of a table and the keys of JSON objects: entries to rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from videoswin_cli.data.lists import column_names
from videoswin_cli.data.lists.label_columns import LabelColumns, find_label_columns
from videoswin_cli.data.lists.names import check_name, trimmed_names
from videoswin_cli.data.lists.parts import (
    PERSONS,
    find_boxes,
    find_moments,
    refuse_unclear_parts,
    refuse_unread_parts,
)
from videoswin_cli.data.lists.rows import ListRow, to_frame_count, to_label
from videoswin_cli.data.lists.splits import name_split
from videoswin_cli.data.lists.times import make_segment
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.delimited import fold_column
from videoswin_cli.io.text_files import shorten
from videoswin_cli.io.visible import name_some
from videoswin_cli.records import Segment

_MOST_NAMED = 12  # columns in a notice


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One record of a table or a JSON list."""

    line: int  # from 1; of a JSON list the number of the entry
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Columns by their meaning. Several may name the video or the class: the first filled."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    frames: tuple[str, ...]  # of the whole video
    span: tuple[str, ...]  # one column of pairs, or one or two of times or frames
    unit: Literal["seconds", "frames"]
    has_start: bool = True  # where the span has one column
    is_pair: bool = False
    moments: tuple[str, ...] = ()  # where there is no span
    boxes: tuple[str, ...] = ()
    persons: tuple[str, ...] = ()


def read_entries(
    entries: Iterable[Entry],
    *,
    source: str,
    multi_label: bool,
    labelled: bool = True,
    label_column: str | None = None,
) -> tuple[list[ListRow], tuple[str, ...], tuple[str, ...]]:
    """Rows of all entries; the columns that there are; the notices about them.

    Args:
        entries: of a table or a JSON list.
        source: of the list, for messages.
        multi_label: a video may have several classes.
        labelled: the classes are of interest, so columns that contradict each other are refused.
        label_column: that names the class, instead of those that are usually called so.

    Raises:
        DatasetError: an entry without a video, or with a value that is none; it names the line.
    """
    resolved: dict[tuple[str, ...], _Columns] = {}
    rows = []
    filled: dict[str, None] = {}  # columns that hold something anywhere, in order
    used: set[str] = set()
    labels = LabelColumns(source)
    persons: dict[tuple[str, Segment | None], str] = {}
    for entry in entries:
        keys = tuple(entry.values)
        if (columns := resolved.get(keys)) is None:
            columns = resolved[keys] = _resolve(keys, label_column)
            refuse_unclear_parts(keys, columns.span, f"{source}:{entry.line}")
            used.update(columns.span, columns.splits)
        filled.update((key, None) for key, value in entry.values.items() if not _is_empty(value))
        row = _read_entry(entry, columns, used, source=source, multi_label=multi_label)
        if labelled and label_column is None:
            labels.compare(entry.line, entry.values, columns.labels)
        if columns.persons:
            _refuse_second_person(row, entry, columns.persons[0], persons, source)
        rows.append(row)
    names = tuple(dict.fromkeys(key for keys in resolved for key in keys))
    if label_column is not None and not any(columns.labels for columns in resolved.values()):
        raise DatasetError(
            f"{source} has no column {label_column!r} (--label-column)",
            hint=f"its columns: {name_some(list(map(_show, names)), _MOST_NAMED)}",
        )
    labels.check()
    spans = {(c.span, c.has_start) for c in resolved.values() if c.span and c.unit == "frames"}
    notices = [_describe_frames(span, has_start) for span, has_start in sorted(spans)[:1]]
    idle = [key for key in filled if key not in used]
    idle = [_show(key) for key in idle if fold_column(key) not in column_names.INDICES]
    if idle:
        notices.append(f"columns not used: {name_some(idle, _MOST_NAMED)}")
    return rows, names, tuple(notices)


def _show(name: str) -> str:
    return name if name.isprintable() and len(name) < 100 else shorten(name)


def _describe_frames(span: Sequence[str], has_start: bool) -> str:
    if fold_column(span[0]) in column_names.SUPPORTS:
        return f"{span[0]} is read as the first and the last frame, counted from 1"
    if len(span) == 2:
        return (
            f"{span[0]} and {span[1]} are read as frames counted from 0, the last one not included"
        )
    if has_start:
        return (
            f"{span[0]} is read as the first frame, counted from 0; without a column for the "
            "end each part goes to the end of its video"
        )
    return (
        f"{span[0]} is read as the frame after the last one, counted from 0; without a column "
        "for the start each part begins where its video begins"
    )


def _resolve(keys: Sequence[str], label_column: str | None) -> _Columns:
    known = {fold_column(key): key for key in reversed(keys)}  # of two spellings the first

    def present(candidates: Sequence[str]) -> tuple[str, ...]:
        return tuple(known[name] for name in candidates if name in known)

    pairs = present(column_names.PAIRS)[:1]
    starts, ends = present(column_names.STARTS)[:1], present(column_names.ENDS)[:1]
    seconds = pairs or (*starts, *ends)
    first = present(column_names.FRAME_STARTS)[:1]
    last = present(column_names.FRAME_ENDS)[:1]
    supports = present(column_names.SUPPORTS)
    frames = supports or (*first, *last)
    span = seconds or frames
    return _Columns(
        names=present(column_names.NAMES),
        labels=find_label_columns(keys, label_column),
        splits=present(column_names.SPLITS)[:1],
        frames=present(column_names.FRAME_COUNTS)[:1],
        span=span,
        unit="seconds" if seconds else "frames",
        has_start=bool(pairs or starts or (not seconds and (supports or first))),
        is_pair=span in (pairs, supports) and bool(span),
        moments=() if span else find_moments(keys),
        boxes=find_boxes(keys),
        persons=present(PERSONS),
    )


def _read_entry(
    entry: Entry, columns: _Columns, used: set[str], *, source: str, multi_label: bool
) -> ListRow:
    values, where = entry.values, f"{source}:{entry.line}"
    name_key = next((key for key in columns.names if not _is_empty(values[key])), None)
    if name_key is None:
        raise DatasetError(
            f"{where}: no video named in {shorten(dict(values))}",
            hint="expected a column such as path, video, file_name or id",
        )
    refuse_unread_parts(values, columns.moments, columns.boxes, where)
    label_key = next((key for key in columns.labels if not _is_empty(values[key])), None)
    used.update(key for key in (name_key, label_key) if key is not None)
    name = _read_name(values[name_key], where)
    label = None if label_key is None else read_label(values[label_key], where, multi_label)
    for key in columns.labels:
        if key != label_key and str(values[key]).strip() in ("-1", "-1.0"):
            raise DatasetError(
                f"{where}: {key} is -1 beside {label_key}: a part in which the class is not to be "
                "seen, as HACS has them",
                hint="remove such rows from the list",
            )
    if "template" in map(fold_column, columns.labels) and isinstance(label, str):
        label = label.replace("[", "").replace("]", "")  # "Putting [something] onto [something]"
    segment = _read_segment(values, columns, where)
    frames = None
    if columns.frames and segment is None:  # else it may be the length of the part
        frames = to_frame_count(values[columns.frames[0]])
        used.update(columns.frames)
    split = values[columns.splits[0]] if columns.splits else None
    return ListRow(
        line=entry.line,
        name=name,
        label=label,
        segment=segment,
        trimmed_names=trimmed_names(name, segment),
        split=None if _is_empty(split) else name_split(str(split)),
        frames=frames,
    )


def _refuse_second_person(
    row: ListRow,
    entry: Entry,
    column: str,
    persons: dict[tuple[str, Segment | None], str],
    source: str,
) -> None:
    person = str(entry.values[column])
    first = persons.setdefault((row.name, row.segment), person)
    if person != first:
        raise DatasetError(
            f"{source}:{entry.line}: {shorten(row.name)} again, for another {column} "
            f"({shorten(person)} after {shorten(first)}): the rows are about persons in a picture",
            hint="a class belongs to the whole picture: cut the persons out beforehand, or keep "
            "one row for each video or part",
        )


def _read_name(value: Any, where: str) -> str:
    if isinstance(value, dict):  # {"video": {"path": ...}}, as Hugging Face has it
        value = next((value[key] for key in ("path", "filename", "file_name") if key in value), "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DatasetError(f"{where}: expected the name of a video, found {shorten(value)}")
    return check_name(str(value).strip(" \t\r\n"), where=where)


def read_label(value: Any, where: str, multi_label: bool) -> int | str | None:
    """The class that a cell or a value of JSON names; None where it is empty.

    Raises:
        DatasetError: it is nothing of the kind, or several classes without `multi_label`.
    """
    if isinstance(value, dict):  # {"ground_truth": {"label": ...}}, as FiftyOne has it
        value = value.get("label", value.get("name"))
    if isinstance(value, list):
        if len(value) > 1 and not multi_label:
            raise DatasetError(
                f"{where}: {len(value)} classes for one video, {shorten(value)}",
                hint="this needs a model with several classes per video (finetune --multi-label)",
            )
        value = ";".join(str(each) for each in value if not isinstance(each, list | dict))
    if value is None:
        return None
    if isinstance(value, str) and value.startswith("[{"):  # regions of a task in one cell
        raise DatasetError(
            f"{where}: expected a class, found JSON: {shorten(value)}",
            hint="from Label Studio export JSON or JSON-MIN, not CSV or TSV",
        )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DatasetError(f"{where}: expected a class, by name or number, found {shorten(value)}")
    return to_label(str(value), where=where)


def _read_segment(values: Mapping[str, Any], columns: _Columns, where: str) -> Segment | None:
    if not columns.span:
        return None
    cells = [values[key] for key in columns.span]
    named = ", ".join(columns.span)
    if columns.is_pair:
        (pair,) = cells
        if _is_empty(pair):
            return None
        if isinstance(pair, str):  # a list that a table holds as text
            pair = pair.strip("[]() ").split(",", 2)
        if not isinstance(pair, list) or len(pair) != 2:
            raise DatasetError(f"{where}: {named}: expected [start, end], found {shorten(pair)}")
        cells = pair
    elif len(cells) == 1:
        cells = [*cells, None] if columns.has_start else [None, *cells]
    first_frame: Literal[0, 1] = 1 if fold_column(columns.span[0]) in column_names.SUPPORTS else 0
    return make_segment(
        *cells, unit=columns.unit, first_frame=first_frame, columns=named, where=where
    )


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}
