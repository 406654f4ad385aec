"""A list from its file: text, format, rows, and what is to be said about them."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from videoswin_cli.data.lists.columns import Entry, read_entries
from videoswin_cli.data.lists.elan import is_elan, read_elan
from videoswin_cli.data.lists.formats import (
    HMDB51_FILE,
    guess_format,
    is_json_lines,
    most,
    reader_of,
)
from videoswin_cli.data.lists.json_forms import json_entries, read_json_lines
from videoswin_cli.data.lists.lines import EXPECTED, Line, has_label_first
from videoswin_cli.data.lists.names import check_name
from videoswin_cli.data.lists.rows import ListRow, VideoList, split_labels, to_label
from videoswin_cli.data.lists.splits import choose_split, count_splits
from videoswin_cli.data.lists.tables import find_delimiter, read_table
from videoswin_cli.data.lists.webdataset import read_shards
from videoswin_cli.data.shards import find_labelled_shards, find_shards
from videoswin_cli.errors import DatasetError, MissingInputError, UsageError, raised_as
from videoswin_cli.io.text_files import begins_as_json, parse_json, read_text, shorten, split_lines
from videoswin_cli.options.source import ListFormat
from videoswin_cli.records import Segment

_HMDB51_SPLITS = {"1": "train", "2": "test"}  # 0 is for neither
_TABLES = ("csv", "json", "jsonl", "elan")
_SAMPLE = 2000  # lines that are looked at
_COMMENTS = ("# ", "#\t")

Lines = Sequence[tuple[int, str]]  # with their numbers from 1, without the blanks around them


def read_list(
    path: str | Path,
    *,
    format: ListFormat | None = None,
    labelled: bool = True,
    multi_label: bool = False,
    split: str | None = None,
    label_column: str | None = None,
) -> VideoList:
    """Read a list of videos.

    Args:
        path: UTF-8 text, or what a byte order mark says; or a glob of several such files, as
            HMDB51 has one per class; or tar shards (see
            `find_labelled_shards`), whose samples are the rows.
        format: instead of what the content looks like.
        labelled: what an ambiguous list is taken for: rows with a label, or paths alone.
        multi_label: a video may have several classes: in rows of its own, as `path 1 3 5` (as
            OpenMMLab has it), or `path 1;3;5` with `;` between indices or names. Each makes a row
            here.
        split: the rows of this split only, of a list that names splits; of HMDB51's, which do, test
            by default.
        label_column: of a table or of JSON objects that names the class; where it is None, the
            one that is usually called so.

    Raises:
        DatasetError: the file cannot be read, or a line is not of the format; it names the line.
    """
    path = Path(path)
    read = partial(
        _read_file,
        format=format,
        labelled=labelled,
        multi_label=multi_label,
        label_column=label_column,
    )
    shards = find_labelled_shards([str(path)]) if format in (None, "webdataset") else []
    if shards:
        videos = read_shards(
            shards,
            source=str(path),
            labelled=labelled,
            multi_label=multi_label,
            label_column=label_column,
        )
    elif format == "webdataset":
        raise DatasetError(
            f"{path} is no tar file",
            hint="expected FILE.tar, shards/{000000..000127}.tar or a glob of them",
        )
    elif glob.has_magic(str(path)) and not os.path.lexists(path):
        videos = _join(path, [read(file) for file in _matching(path)])
    else:
        videos = read(path)
    if split is None and videos.format == "hmdb51":
        test = tuple(row for row in videos.rows if row.split == "test")
        videos = replace(videos, rows=test, splits={})
    if not videos.rows:
        raise DatasetError(f"the list {path} ({videos.format}) names no video")
    if split is None:
        return videos
    return replace(
        videos, rows=choose_split(videos.rows, videos.splits, split, source=videos.source)
    )


def check_list(path: Path) -> None:
    """Raises UsageError where there is no such list; nothing is read."""
    if not os.path.lexists(path) and not _matching(path) and not find_shards(str(path)):
        raise MissingInputError(f"cannot read the list {path}: no such file")


def _matching(pattern: Path) -> list[Path]:
    """Files of one folder. Path.glob would refuse `a**b` with an error of its own."""
    inside = f"{glob.escape(str(pattern.parent))}{os.sep}{pattern.name}"
    return sorted(map(Path, glob.glob(inside)))  # noqa: PTH207


def _join(path: Path, lists: Sequence[VideoList]) -> VideoList:
    if len(formats := sorted({part.format for part in lists})) != 1:
        raise DatasetError(f"{path}: expected files of one format, found {formats or 'none'}")
    splits: Counter[str] = Counter()
    for part in lists:
        splits.update(part.splits)
    return VideoList(
        source=str(path),
        format=lists[0].format,
        rows=tuple(row for part in lists for row in part.rows),
        columns=tuple(dict.fromkeys(name for part in lists for name in part.columns)),
        splits=splits,
        notices=tuple(dict.fromkeys(text for part in lists for text in part.notices)),
    )


@raised_as(DatasetError)
def _read_file(
    path: Path,
    *,
    format: ListFormat | None,
    labelled: bool,
    multi_label: bool,
    label_column: str | None,
) -> VideoList:
    text = read_text(path, what="list")
    in_elan = format == "elan" or (format is None and is_elan(text))
    data, lines = (None, ()) if in_elan else _read_json(path, text, format)
    notices: list[str] = []
    columns: tuple[str, ...] = ()
    if in_elan:
        chosen: ListFormat = "elan"
    elif data is not None:
        chosen = "json"
    else:
        lines = _leave_out_comments(path, lines, notices)
        chosen = format or _guess(path, lines, notices, labelled=labelled, multi_label=multi_label)
    if chosen in _TABLES:
        if in_elan:
            entries = read_elan(text, path, notices)
        elif data is not None:
            entries = json_entries(data, path, notices)
        elif chosen == "jsonl":
            entries = read_json_lines(lines, path)
        else:
            entries = _read_csv(path, text, lines)
        rows, columns, said = read_entries(
            entries,
            source=str(path),
            multi_label=multi_label,
            labelled=labelled,
            label_column=label_column,
        )
        notices.extend(said)
    elif label_column is not None:
        raise DatasetError(
            f"--label-column {label_column}: {path} ({chosen}) has no columns with names",
            hint="a table needs a header line; --list-format csv reads the first line as one",
        )
    else:
        rows = list(_read_lines(path, lines, chosen, notices))
    if multi_label:
        rows = [part for row in rows for part in split_labels(row, f"{path}:{row.line}")]
    return VideoList(
        source=str(path),
        format=chosen,
        rows=tuple(rows),
        columns=columns,
        splits=count_splits(rows),
        notices=tuple(notices),
    )


def _read_json(path: Path, text: str, format: ListFormat | None) -> tuple[object, Lines]:
    """The value of a JSON file; of any other None and its lines."""
    if format == "json":
        return parse_json(text, source=str(path)), ()
    lines = split_lines(text, source=str(path))
    if not lines:
        raise DatasetError(f"the list {path} is empty")
    plain = [line for _, line in lines[:_SAMPLE]]
    if format is None and plain[0][0] in "[{" and not is_json_lines(plain):
        try:
            return parse_json(text, source=str(path)), ()
        except UsageError as error:
            if begins_as_json(text):
                raise DatasetError(
                    error.message,
                    hint=error.hint or "if it is not JSON, set its format with --list-format",
                ) from error
    return None, lines


_SEPARATOR_LINES = ("sep=;", "sep=,", "sep=\t", "sep=|")  # Excel's word to itself


def _leave_out_comments(path: Path, lines: Lines, notices: list[str]) -> Lines:
    """Lines that do not begin with `#` and a blank; a name may begin with a `#` alone.

    A first line that is the header of a table stays.
    """
    if lines[0][1].lower() in _SEPARATOR_LINES and len(lines) > 1:
        lines = lines[1:]
    first, *others = (line for _, line in lines)
    header = first[0] == "#" and find_delimiter(first, others[:_SAMPLE]) is not None
    kept: list[tuple[int, str]] = []
    comments: list[tuple[int, str]] = []
    for place, (number, line) in enumerate(lines):
        is_comment = line == "#" or line.startswith(_COMMENTS)
        (comments if is_comment and not (header and place == 0) else kept).append((number, line))
    if not kept:
        raise DatasetError(f"the list {path} names no video: all its lines are comments")
    if comments:
        notices.append(_describe_comments(len(comments), *comments[0]))
    return kept


def _describe_comments(count: int, number: int, line: str) -> str:
    what = "line that begins with # is" if count == 1 else "lines that begin with # are"
    return f"{count} {what} left out as a comment, such as line {number}: {shorten(line)}"


def _guess(
    path: Path, lines: Lines, notices: list[str], *, labelled: bool, multi_label: bool
) -> ListFormat:
    plain = [line for place, (_, line) in enumerate(lines) if place == 0 or line[0] != "#"]
    if is_json_lines(plain):
        return "jsonl"
    format = guess_format(path, plain, labelled=labelled, multi_label=multi_label)
    if format == "paths" and most(plain, has_label_first):
        notices.append(
            "the numbers at the start of the lines are read as parts of the paths; a label "
            "follows the path"
        )
    return format


def _read_csv(path: Path, text: str, lines: Lines) -> Iterator[Entry]:
    number, header = lines[0]
    delimiter = find_delimiter(header, [line for _, line in lines[1:_SAMPLE]] or [""])
    if delimiter is None:
        raise DatasetError(
            f"{path}: no column for the video in the header {shorten(header)}",
            hint="expected a column such as path, video, file_name or id, and for the class one "
            "such as label or class",
        )
    comments = {number for number, _ in lines}
    whole = enumerate(text.split("\n"), start=1)
    kept = ((n, line) for n, line in whole if n >= number and (n in comments or line[:1] != "#"))
    return read_table(kept, delimiter, source=str(path))


_UNNAMED_COLUMNS: Mapping[ListFormat, str] = {
    "id-frames-label": (
        "the number before the label is read as the number of frames, to which frame folders are "
        "held"
    ),
    "moments": "columns not used: the two numbers after the label",
    "path-start-count-label": (
        "the numbers before the label are read as the first frame, counted from 0, and the "
        "number of frames; -1 or 0 frames are the whole video"
    ),
}


def _read_lines(
    path: Path, lines: Lines, format: ListFormat, notices: list[str]
) -> Iterator[ListRow]:
    """Rows of the formats that have a row per line, those that are to be scored."""
    read = reader_of(format, [line for _, line in lines])
    file = HMDB51_FILE.fullmatch(path.name)
    if format == "hmdb51" and file is None:
        raise DatasetError(f"{path}: an HMDB51 list is called CLASS_test_splitN.txt")
    if (said := _UNNAMED_COLUMNS.get(format)) is not None:
        notices.append(said)
    marked, comments = [], []
    for number, line in lines:
        where = f"{path}:{number}"
        if (parsed := read(line)) is None:
            if line[0] == "#":
                comments.append((number, line))
                continue
            raise DatasetError(
                f"{where}: expected {EXPECTED[format]}, found {shorten(line)}",
                hint="fix the line, or set another format with --list-format",
            )
        label, split = parsed.label, None
        if format == "hmdb51" and file is not None:
            if (split := _HMDB51_SPLITS.get(label or "")) is None:
                continue
            label = file["label"]
        if line[0] == "#":
            marked.append((number, line))
        yield ListRow(
            line=number,
            split=split,
            name=check_name(parsed.name, where=where),
            label=to_label(label, where=where),
            segment=_count_frames(parsed),
            frames=parsed.frames,
        )
    if comments:
        notices.append(_describe_comments(len(comments), *comments[0]))
    if marked:
        number, line = marked[0]
        notices.append(
            f"line {number} begins with # and is read as a row: {shorten(line)}; a comment has a "
            "blank after the #"
        )


def _count_frames(line: Line) -> Segment | None:
    if line.start is None or line.count is None or (line.count < 1 and not line.start):
        return None
    end = line.start + line.count if line.count > 0 else None
    return Segment(start=line.start, end=end, unit="frames")
