"""Formats of lists, guessed from their content."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from videoswin_cli.data.lists.lines import (
    READERS,
    Line,
    has_decimals,
    has_label_first,
    has_name_first,
    is_one_path,
    read_counted,
    read_hmdb51,
    read_moments,
    read_named,
    read_numbered,
    read_semicolon,
    read_several,
    read_started,
    read_ucf101,
    split_numbers,
)
from videoswin_cli.data.lists.names import ends_as_video
from videoswin_cli.data.lists.tables import find_delimiter
from videoswin_cli.errors import UsageError
from videoswin_cli.options.source import ListFormat

HMDB51_FILE = re.compile(r"(?P<label>.+)_test_split\d\.txt")
_SAMPLE = 2000  # lines that are looked at
_BELOW_HEADER = 20  # lines


def most(lines: Sequence[str], fits: Callable[[str], object]) -> bool:
    """More than half: a list with some bad lines is still a list of its kind."""
    sample = lines[:_SAMPLE]
    return 2 * sum(bool(fits(line)) for line in sample) > len(sample)


def is_json_lines(lines: Sequence[str]) -> bool:
    return len(lines) > 1 and most(lines, lambda line: line[0] == "{" and line[-1] == "}")


def guess_format(
    path: Path, lines: Sequence[str], *, labelled: bool, multi_label: bool
) -> ListFormat:
    """The format of a list that is no JSON.

    Args:
        path: of the file; the names of HMDB51's lists have the class in it.
        lines: without blanks around them; none is empty, none a comment.
        labelled: what an ambiguous list is taken for: rows with a label, or paths alone.
        multi_label: a video may have several classes.

    Raises:
        UsageError: the label stands first.
    """
    if multi_label and most(lines, read_several):
        return "path-labels"
    if HMDB51_FILE.fullmatch(path.name) and most(lines, read_hmdb51):
        return "hmdb51"
    if most(lines, read_ucf101):
        return "ucf101"
    if find_delimiter(lines[0], lines[1 : _BELOW_HEADER + 1]) is not None:
        return "csv"
    if most(lines, has_decimals):
        raise UsageError(
            f"{path}: columns of numbers, without a header that says what they are, as in "
            f"{lines[0][:80]!r}",
            hint="add a header line, such as `path,start,end,label` for parts in seconds; boxes "
            "in the picture (AVA) are not read",
        )
    if most(lines, read_semicolon):
        return "id-label"
    if _are_started(lines):
        return "path-start-count-label"
    if most(lines, read_moments):
        return "moments"
    if most(lines, read_counted):
        return "id-frames-label"
    if most(lines, read_numbered):
        return "path-label"
    if labelled and (most(lines, has_label_first) or most(lines, has_name_first)):
        raise UsageError(
            f"{path}: the label stands before the path, as in {lines[0][:80]!r}",
            hint="expected `path label`: change the order of the columns, or add a header line "
            "such as `label path`",
        )
    return "paths" if most(lines, is_one_path) else "path-label"


def _are_started(lines: Sequence[str]) -> bool:
    """`path start count label`, not `id frames label` with ids that end with a number.

    The path has an extension, or all begin at the same frame.
    """
    if not most(lines, read_started):
        return False
    splits = [split for line in lines[:_SAMPLE] if (split := split_numbers(line, 3))]
    named = sum(ends_as_video(name.rstrip("\"'")) for name, _ in splits)
    starts = {numbers[0] for _, numbers in splits}
    return 2 * named > len(splits) or (
        len(splits) > 1 and starts <= {"0", "1"} and len(starts) == 1
    )


def reader_of(format: ListFormat, lines: Sequence[str]) -> Callable[[str], Line | None]:
    """The reader of a line; that of `path label` depends on whether most labels are numbers."""
    if format == "path-label":
        return read_numbered if most(lines, read_numbered) else read_named
    return READERS[format]
