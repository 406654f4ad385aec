"""Annotation lists: which videos, and the class of each. The only parser of them.

A list is told by its content: `path label`; `id frames label` (OpenMMLab's Kinetics lists); CSV
with a header (Kinetics's own among them); a JSON list of objects (Something-Something V2); split
files of UCF101 and HMDB51; paths alone; or a folder with one subfolder a class. Columns may be
separated by commas, tabs or spaces, and paths may hold spaces: lines are read from the right.
"""

import csv
import glob
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args

from videoswin_cli.class_names import fold_name
from videoswin_cli.data.video_files import VIDEO_SUFFIXES
from videoswin_cli.errors import UsageError
from videoswin_cli.records import Segment

ListFormat = Literal[
    "paths", "path-label", "path-labels", "id-frames-label", "csv", "json", "ucf101", "hmdb51"
]
LIST_FORMATS: tuple[ListFormat, ...] = get_args(ListFormat)

_EXTENSIONS = "|".join(re.escape(suffix) for suffix in sorted(VIDEO_SUFFIXES))
_GAP = r"(?:\s*[,\t]\s*|\s+)"  # between columns
_NUMBERED = re.compile(rf"(?P<name>.+?){_GAP}(?P<label>-?\d+)")
_COUNTED = re.compile(rf"(?P<name>.+?){_GAP}\d+{_GAP}(?P<label>-?\d+)")
_NAMED = re.compile(
    rf"(?P<name>.+?(?:{_EXTENSIONS})){_GAP}(?P<label>.+)|(?P<id>[^\t,]+?)\s*[\t,]\s*(?P<word>.+)"
    r"|(?P<first>\S+)\s+(?P<last>\S+)",
    re.IGNORECASE,
)
_MANY = re.compile(rf"(?P<name>.+?(?:{_EXTENSIONS}))(?P<labels>(?:{_GAP}\d+)+)", re.IGNORECASE)
_PATH_ALONE = re.compile(rf".*(?:{_EXTENSIONS})|\S+", re.IGNORECASE)
_UCF101 = re.compile(r"(?P<name>(?P<label>[^/\s]+)/v_(?P=label)_g\d+_c\d+\.\w+)(?:\s+\d+)?")
_HMDB51_FILE = re.compile(r"(?P<label>.+)_test_split\d\.txt")
_HMDB51 = re.compile(rf"(?P<name>\S.*(?:{_EXTENSIONS}))\s+(?P<part>[012])", re.IGNORECASE)
_HMDB51_TEST = "2"  # 1 is for training, 0 for neither

# Columns of CSV headers and keys of JSON objects, in order of preference. Case does not matter.
_NAME_COLUMNS = (
    *("path", "video_path", "file_path", "filepath", "filename", "file_name", "file", "video"),
    *("video_name", "youtube_id", "video_id", "id", "name", "clip"),
)
_LABEL_COLUMNS = (
    *("label_index", "label_id", "class_index", "class_id", "target", "template", "label"),
    *("class", "class_name", "label_name", "category", "action"),
)


@dataclass(frozen=True, kw_only=True)
class ListRow:
    """One row as the list has it."""

    line: int  # from 1
    name: str  # path or id of the video
    label: int | str | None  # index or class name; None: the list has none (a test list)
    segment: Segment | None = None  # None: the whole video
    trimmed_names: tuple[str, ...] = ()  # files that are this segment already; looked for first


@dataclass(frozen=True, kw_only=True)
class VideoList:
    source: str
    format: ListFormat | Literal["folder"]
    rows: tuple[ListRow, ...]
    notices: tuple[str, ...] = ()  # what a user should know of the list


def read_list(
    path: str | Path,
    *,
    format: ListFormat | None = None,
    labelled: bool = True,
    multi_label: bool = False,
) -> VideoList:
    """Read a list of videos.

    Args:
        path: UTF-8 text, with or without byte order mark, any line ends, blank lines allowed; or a
            glob of several such files, as HMDB51 has one a class.
        format: instead of what the content looks like.
        labelled: what an ambiguous list is taken for: rows with a label, or paths alone.
        multi_label: a video may have several classes: in rows of its own, as `path 1 3 5` (as
            OpenMMLab has it), or `path 1;3;5` with `;` between indices or names. Each makes a row
            here.

    Raises:
        UsageError: the file cannot be read, or a line is not of the format; it names the line.
    """
    path = Path(path)
    if glob.has_magic(str(path)) and not path.exists():
        files = sorted(path.parent.glob(path.name))
        lists = [
            read_list(file, format=format, labelled=labelled, multi_label=multi_label)
            for file in files
        ]
        if len(formats := sorted({part.format for part in lists})) != 1:
            raise UsageError(f"{path}: expected files of one format, found {formats or 'none'}")
        rows = tuple(row for part in lists for row in part.rows)
        return VideoList(source=str(path), format=lists[0].format, rows=rows)
    return _read_file(path, format, labelled=labelled, multi_label=multi_label)


def check_list(path: Path) -> None:
    """Raises UsageError where there is no such list; nothing is read."""
    if not path.exists() and not any(path.parent.glob(path.name)):
        raise UsageError(f"cannot read the list {path}: no such file")


def _read_file(
    path: Path, format: ListFormat | None, *, labelled: bool, multi_label: bool
) -> VideoList:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"cannot read the list {path}: {reason}") from error
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        raise UsageError(f"the list {path} is empty")
    plain = [line for _, line in lines]
    if format is None and multi_label and _most(plain, _MANY):
        format = "path-labels"
    chosen = format or _guess_format(path, plain, labelled=labelled)
    if chosen == "json":
        rows = _read_json(path, text)
    elif chosen == "csv":
        rows = _read_csv(path, text)
    else:
        rows = [row for row in _read_lines(path, lines, chosen) if row is not None]
    if multi_label:
        rows = [part for row in rows for part in _split_labels(row)]
    if not rows:
        raise UsageError(f"the list {path} ({chosen}) names no video")
    return VideoList(source=str(path), format=chosen, rows=tuple(rows))


def number_labels(videos: VideoList, classes: Sequence[str]) -> list[int]:
    """Class index of every row, by number or by name.

    Names are compared without regard to case, and `_` counts as a space.

    Raises:
        UsageError: a row without a label, out of range or of an unknown class; it names the line.
    """
    if all(_is_number(row.label) for row in videos.rows):
        return [_check_range(videos, row, int(row.label or 0), classes) for row in videos.rows]
    index = {fold_name(name): number for number, name in enumerate(classes)}
    return [_find_name(videos, row, classes, index) for row in videos.rows]


# --- telling formats apart ------------------------------------------------------------------------


def _guess_format(path: Path, lines: Sequence[str], *, labelled: bool) -> ListFormat:
    if lines[0].startswith(("[", "{")):
        return "json"
    if _HMDB51_FILE.fullmatch(path.name) and _most(lines, _HMDB51):
        return "hmdb51"
    if _most(lines, _UCF101):
        return "ucf101"
    if _header_columns(lines[0]) is not None:
        return "csv"
    if _most(lines, _COUNTED):
        return "id-frames-label"
    if _most(lines, _NUMBERED):
        return "path-label"
    ambiguous = _PATH_ALONE if not labelled else re.compile(r"\S+")
    return "paths" if _most(lines, ambiguous) else "path-label"


def _most(lines: Sequence[str], pattern: "re.Pattern[str]") -> bool:
    """More than half: a list with some bad lines is still a list of its kind."""
    sample = lines[:2000]
    return 2 * sum(pattern.fullmatch(line) is not None for line in sample) > len(sample)


# --- one reader a family --------------------------------------------------------------------------


def _read_lines(
    path: Path, lines: Sequence[tuple[int, str]], format: ListFormat
) -> Iterator[ListRow | None]:
    """Rows of the formats that have one pattern a line; None for what is not to be scored."""
    if format == "path-label":
        numbered = _most([line for _, line in lines], _NUMBERED)
        pattern = _NUMBERED if numbered else _NAMED
    else:
        patterns = {
            "path-labels": _MANY,
            "id-frames-label": _COUNTED,
            "ucf101": _UCF101,
            "hmdb51": _HMDB51,
        }
        pattern = patterns.get(format, re.compile(r"(?P<name>.+)"))
    file = _HMDB51_FILE.fullmatch(path.name)
    if format == "hmdb51" and file is None:
        raise UsageError(f"{path}: an HMDB51 list is called CLASS_test_splitN.txt")
    for number, line in lines:
        match = pattern.fullmatch(line)
        if match is None:
            raise UsageError(
                f"{path}:{number}: expected {_EXPECTED[format]}, found {line[:100]!r}",
                hint="mend the line, or name another format with --list-format",
            )
        parts = match.groupdict()
        name = parts.get("name") or parts.get("id") or parts.get("first") or ""
        label = parts.get("label") or parts.get("word") or parts.get("last")
        if format == "path-labels":
            label = ";".join(re.findall(r"\d+", parts["labels"]))
        if format == "hmdb51" and file is not None:
            label = file["label"] if parts["part"] == _HMDB51_TEST else None
            if label is None:
                yield None
                continue
        yield ListRow(line=number, name=_unquote(name), label=_to_label(label))


_EXPECTED: Mapping[ListFormat, str] = {
    "paths": "a path",
    "path-label": "`path label`",
    "path-labels": "`path label label ...`",
    "id-frames-label": "`id frames label`",
    "ucf101": "`Class/v_Class_gNN_cNN.avi`",
    "hmdb51": "`video.avi` and 0, 1 or 2",
}


def _read_csv(path: Path, text: str) -> list[ListRow]:
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.strip())
    delimiter = _header_columns(lines[first])
    if delimiter is None:
        raise UsageError(
            f"{path}: no column for the video in the header {lines[first][:100]!r}",
            hint=f"expected one of {', '.join(_NAME_COLUMNS)}; and of {', '.join(_LABEL_COLUMNS)}",
        )
    reader = csv.DictReader(lines[first:], delimiter=delimiter, skipinitialspace=True)
    rows = []
    for entry in reader:
        values = {str(key).strip().lower(): value for key, value in entry.items() if key}
        if any(values.values()):
            rows.append(_entry_row(path, first + reader.line_num, values))
    return rows


def _header_columns(line: str) -> str | None:
    """The delimiter of a CSV header; None where the line is no header."""
    for delimiter in (",", "\t", ";"):
        names = {name.strip().strip('"').lower() for name in line.split(delimiter)}
        if len(names) > 1 and names & set(_NAME_COLUMNS) and names & set(_LABEL_COLUMNS):
            return delimiter
    return None


def _read_json(path: Path, text: str) -> list[ListRow]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(
            f"{path}: expected a list of objects like {{'id': ..., 'template': ...}}",
            hint="a map from class name to index is for --labels",
        )
    return [
        _entry_row(path, number, {str(key).lower(): value for key, value in entry.items()})
        for number, entry in enumerate(entries, start=1)
    ]


def _entry_row(path: Path, line: int, values: Mapping[str, Any]) -> ListRow:
    name = next((values[key] for key in _NAME_COLUMNS if values.get(key)), None)
    if name is None:
        raise UsageError(f"{path}:{line}: no video named in {dict(values)!r:.100}")
    label = next((values[key] for key in _LABEL_COLUMNS if values.get(key) not in (None, "")), None)
    if isinstance(label, str) and "template" in values:  # "Putting [something] onto [something]"
        label = label.replace("[", "").replace("]", "")
    segment: Segment | None = None
    trimmed: tuple[str, ...] = ()
    if values.get("time_start") not in (None, "") and values.get("time_end") not in (None, ""):
        begin, end = (float(values[key]) for key in ("time_start", "time_end"))
        segment = Segment(start=begin, end=end)
        # Kinetics's downloaders add the times to the id.
        trimmed = (f"{name}_{int(begin):06d}_{int(end):06d}",)
    text = None if label is None else str(label)
    return ListRow(
        line=line,
        name=str(name).strip(),
        label=_to_label(text),
        segment=segment,
        trimmed_names=trimmed,
    )


def _split_labels(row: ListRow) -> list[ListRow]:
    if not isinstance(row.label, str):
        return [row]
    labels = [part.strip() for part in row.label.split(";")]
    return [replace(row, label=_to_label(label)) for label in labels if label]


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _to_label(text: str | None) -> int | str | None:
    if text is None:
        return None
    text = _unquote(text.strip())
    if re.fullmatch(r"-?\d+", text):
        return None if text.startswith("-") else int(text)  # -1 stands in test lists
    return text


# --- labels ---------------------------------------------------------------------------------------


def _is_number(label: int | str | None) -> bool:
    return label is None or isinstance(label, int) or label.isdecimal()


def _check_label(videos: VideoList, row: ListRow) -> None:
    if row.label is None:
        raise UsageError(
            f"{videos.source}:{row.line}: {row.name} has no label ({videos.format} list)",
            hint="accuracy needs the class of every video; for videos alone use predict or extract",
        )


def _check_range(videos: VideoList, row: ListRow, label: int, classes: Sequence[str]) -> int:
    _check_label(videos, row)
    if label < len(classes):
        return label
    numbers = [int(other.label) for other in videos.rows if other.label is not None]
    from_one = min(numbers) == 1 and max(numbers) == len(classes)
    raise UsageError(
        f"{videos.source}:{row.line}: label {label} of {row.name} is out of range: the model has "
        f"{len(classes)} classes, 0 to {len(classes) - 1}",
        hint="the labels of this list seem to be counted from 1: subtract 1 from each"
        if from_one
        else f"its labels go from {min(numbers)} to {max(numbers)}: choose a model of that data "
        "set with --model, or mend the list",
    )


def _find_name(
    videos: VideoList, row: ListRow, classes: Sequence[str], index: Mapping[str, int]
) -> int:
    _check_label(videos, row)
    name = str(row.label)
    if (number := index.get(fold_name(name))) is not None:
        return number
    names = Counter(str(other.label) for other in videos.rows)
    unknown = sum(fold_name(other) not in index for other in names)
    near = get_close_matches(fold_name(name), [fold_name(c) for c in classes], n=3)
    raise UsageError(
        f"{videos.source}:{row.line}: the model has no class {name!r} "
        f"({unknown} of {len(names)} class names of this list are unknown)",
        hint=(f"nearest: {', '.join(near)}; " if near else "")
        + "class names can be given with --labels, another model with --model",
    )
