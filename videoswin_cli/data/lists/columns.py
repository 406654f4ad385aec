"""What the columns of a table and the keys of JSON objects mean: entries to rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from videoswin_cli.data.lists.names import check_name, trimmed_names
from videoswin_cli.data.lists.rows import ListRow, to_label
from videoswin_cli.data.lists.splits import name_split
from videoswin_cli.data.lists.times import make_segment
from videoswin_cli.delimited import fold_column
from videoswin_cli.errors import UsageError
from videoswin_cli.records import Segment
from videoswin_cli.text_files import shorten

# In order of preference, as `fold_column` has them: case, blanks, `_` and `-` do not matter.
NAME_COLUMNS = (
    *("path", "videopath", "filepath", "relativepath", "clippath", "filename", "file"),
    *("videofile", "video", "videoname", "vidname", "clipname", "youtubeid", "videoid", "clipid"),
    *("id", "name", "clip"),
)
LABEL_COLUMNS = (  # beside a name, a bare `label` may be a number of another kind (HACS: 1 or -1)
    *("labelindex", "labelid", "labelidx", "classindex", "classid", "classidx", "target"),
    *("template", "classname", "labelname", "label", "class", "classlabel", "category", "action"),
    *("labels", "groundtruth"),
)
SPLIT_COLUMNS = ("split", "subset", "partition")
_STARTS = (
    *("timestart", "start", "starttime", "startsec", "startsecs", "startsecond", "startseconds"),
    *("starttimestamp", "tstart", "begin", "begintime", "segmentstart", "clipstart"),
)
_ENDS = (
    *("timeend", "end", "endtime", "endsec", "endsecs", "endsecond", "endseconds", "endtimestamp"),
    *("stop", "stoptime", "stopsec", "stopsecs", "stopseconds", "stoptimestamp", "timestop"),
    *("tend", "tstop", "segmentend", "clipend"),
)
_PAIRS = ("segment", "timestamps")  # [start, end] in seconds
_FRAME_STARTS = ("startframe", "framestart", "beginframe")
_FRAME_ENDS = ("endframe", "stopframe", "frameend", "framestop")
# Beside a start without an end they may be the length of the part, or of the whole video.
_LENGTHS = (
    *("duration", "durationsec", "durationseconds", "durations", "length", "lengthsec"),
    *("lengthseconds", "numframes", "nframes", "framecount", "totalframes", "frames", "count"),
)
_THOUSANDTHS = ("ms", "msec", "msecs", "millis", "millisecond", "milliseconds")
_MEANINGS = (
    *(NAME_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS),
    *(_STARTS, _ENDS, _PAIRS, _FRAME_STARTS, _FRAME_ENDS),
)
KNOWN_COLUMNS = frozenset(name for names in _MEANINGS for name in names)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One record of a table or a JSON list."""

    line: int  # from 1; of a JSON list the number of the entry
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Which of the columns mean what. Several may name the video or the class: the first filled."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    span: tuple[str, ...]  # one column of pairs, or one or two of times or frames
    unit: Literal["seconds", "frames"]
    has_start: bool = True  # where the span has one column
    spoken: bool = False  # the class is a template: "Putting [something] onto [something]"


def read_entries(
    entries: Iterable[Entry], *, source: str, multi_label: bool
) -> tuple[list[ListRow], tuple[str, ...], tuple[str, ...]]:
    """Rows of all entries; the columns that there are; what is to be said about them.

    Raises:
        UsageError: an entry without a video, or with a value that is none; it names the line.
    """
    resolved: dict[tuple[str, ...], _Columns] = {}
    rows = []
    filled: dict[str, None] = {}  # columns that hold something anywhere, in order
    used: set[str] = set()
    for entry in entries:
        keys = tuple(entry.values)
        if (columns := resolved.get(keys)) is None:
            columns = resolved[keys] = _resolve(keys)
            _refuse_unclear_parts(keys, columns, f"{source}:{entry.line}")
            used.update(columns.span, columns.splits)
        filled.update((key, None) for key, value in entry.values.items() if not _is_empty(value))
        rows.append(_read_entry(entry, columns, used, source=source, multi_label=multi_label))
    notices = []
    if frames := sorted({c.span for c in resolved.values() if c.unit == "frames" and c.span}):
        notices.append(
            f"{' and '.join(frames[0])} are taken for frames counted from 0, the last one not "
            "included"
        )
    idle = [key for key in filled if key not in used and fold_column(key) not in _INDEX_COLUMNS]
    if idle:
        shown = ", ".join(key if key.isprintable() else shorten(key) for key in idle[:12])
        notices.append(f"columns not used: {shown}{', ...' if len(idle) > 12 else ''}")
    return rows, tuple(dict.fromkeys(key for keys in resolved for key in keys)), tuple(notices)


_INDEX_COLUMNS = ("", "index", "unnamed0")  # as pandas writes them


def _resolve(keys: Sequence[str]) -> _Columns:
    known = {fold_column(key): key for key in reversed(keys)}  # of two spellings the first

    def present(candidates: Sequence[str]) -> tuple[str, ...]:
        return tuple(known[name] for name in candidates if name in known)

    pairs, starts, ends = present(_PAIRS)[:1], present(_STARTS)[:1], present(_ENDS)[:1]
    frames = present(_FRAME_STARTS)[:1], present(_FRAME_ENDS)[:1]
    seconds = pairs or (*starts, *ends)
    return _Columns(
        names=present(NAME_COLUMNS),
        labels=present(LABEL_COLUMNS),
        splits=present(SPLIT_COLUMNS)[:1],
        span=seconds or (*frames[0], *frames[1]),
        unit="seconds" if seconds else "frames",
        has_start=bool(pairs or starts or (not seconds and frames[0])),
        spoken="template" in known,
    )


def _refuse_unclear_parts(keys: Sequence[str], columns: _Columns, where: str) -> None:
    """Raises UsageError for columns that cut a video in a way that is not read."""
    lengths = [key for key in keys if fold_column(key) in _LENGTHS]
    if lengths and len(columns.span) == 1 and columns.has_start and not _is_pair(columns):
        raise UsageError(
            f"{where}: {columns.span[0]} without an end, and {lengths[0]}: the length of the part, "
            "or of the video?",
            hint="write where the part ends, as time_end in seconds or end_frame, or take "
            f"{lengths[0]} out: then the part goes to the end of the video",
        )
    for key in keys:
        folded = fold_column(key)
        mark = next((mark for mark in _THOUSANDTHS if folded.endswith(mark)), None)
        if mark is not None and folded.removesuffix(mark) in (*_STARTS, *_ENDS):
            raise UsageError(
                f"{where}: {key}: expected seconds, found a column of milliseconds",
                hint="divide by 1000 and call the columns time_start and time_end",
            )


def _is_pair(columns: _Columns) -> bool:
    return fold_column(columns.span[0]) in _PAIRS


def _read_entry(
    entry: Entry, columns: _Columns, used: set[str], *, source: str, multi_label: bool
) -> ListRow:
    values, where = entry.values, f"{source}:{entry.line}"
    name_key = next((key for key in columns.names if not _is_empty(values[key])), None)
    if name_key is None:
        raise UsageError(f"{where}: no video named in {shorten(dict(values))}")
    label_key = next((key for key in columns.labels if not _is_empty(values[key])), None)
    used.update(key for key in (name_key, label_key) if key is not None)
    name = _read_name(values[name_key], where)
    label = None if label_key is None else _read_label(values[label_key], where, multi_label)
    for key in columns.labels:
        if key != label_key and str(values[key]).strip() in ("-1", "-1.0"):
            raise UsageError(
                f"{where}: {key} is -1 beside {label_key}: a part in which the class is not to be "
                "seen, as HACS has them",
                hint="take such rows out of the list",
            )
    if columns.spoken and isinstance(label, str):
        label = label.replace("[", "").replace("]", "")
    segment = _read_segment(values, columns, where)
    split = values[columns.splits[0]] if columns.splits else None
    return ListRow(
        line=entry.line,
        name=name,
        label=label,
        segment=segment,
        trimmed_names=trimmed_names(name, segment),
        split=None if _is_empty(split) else name_split(str(split)),
    )


def _read_name(value: Any, where: str) -> str:
    if isinstance(value, dict):  # {"video": {"path": ...}}, as Hugging Face has it
        value = next((value[key] for key in ("path", "filename", "file_name") if key in value), "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(f"{where}: expected the name of a video, found {shorten(value)}")
    return check_name(str(value).strip(" \t\r\n"), where=where)


def _read_label(value: Any, where: str, multi_label: bool) -> int | str | None:
    if isinstance(value, dict):  # {"ground_truth": {"label": ...}}, as FiftyOne has it
        value = value.get("label", value.get("name"))
    if isinstance(value, list):
        if len(value) > 1 and not multi_label:
            raise UsageError(
                f"{where}: {len(value)} classes for one video, {shorten(value)}",
                hint="this needs a model of several classes a video; finetune has --multi-label",
            )
        value = ";".join(str(each) for each in value if not isinstance(each, list | dict))
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{where}: expected a class, by name or number, found {shorten(value)}")
    return to_label(str(value), where=where)


def _read_segment(values: Mapping[str, Any], columns: _Columns, where: str) -> Segment | None:
    if not columns.span:
        return None
    cells = [values[key] for key in columns.span]
    named = ", ".join(columns.span)
    if _is_pair(columns):
        (pair,) = cells
        if _is_empty(pair):
            return None
        if isinstance(pair, str):  # a list that a table holds as text
            pair = pair.strip("[]() ").split(",", 2)
        if not isinstance(pair, list) or len(pair) != 2:
            raise UsageError(f"{where}: {named}: expected [start, end], found {shorten(pair)}")
        cells = pair
    elif len(cells) == 1:
        cells = [*cells, None] if columns.has_start else [None, *cells]
    return make_segment(*cells, unit=columns.unit, columns=named, where=where)


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}
