"""Tables with a header: CSV and its relatives."""

from collections.abc import Iterable, Iterator, Sequence

from videoswin_cli.data.lists import column_names
from videoswin_cli.data.lists.columns import Entry
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.delimited import fold_column, split_records
from videoswin_cli.io.text_files import shorten

_DELIMITERS = (",", "\t", ";", "|", " ")
NO_DELIMITER = "\n"  # of a table of one column, whose names may hold all the others
_MOST_IN_NAME = 40  # characters of a column's name


def find_delimiter(line: str, following: Sequence[str]) -> str | None:
    """Separator of the columns of a header; None where the line is no header.

    A header names the video, and the class or what else is known; or it is of words that no line
    below has in the same column.
    """
    if fold_column(line) in column_names.NAMES and following:
        return NO_DELIMITER
    for delimiter in _DELIMITERS:
        cells = [cell.strip().strip("\"'") for cell in line.split(delimiter)]
        names = [fold_column(cell) for cell in cells]
        if len(cells) < 2 or not set(names) & set(column_names.NAMES):
            continue
        if set(names) & set(column_names.LABELS) - set(column_names.NAMES):
            if delimiter != " " or set(names) <= column_names.KNOWN:
                return delimiter
        elif delimiter != " " and _are_column_names(cells, following, delimiter):
            return delimiter
    return None


def _are_column_names(cells: Sequence[str], following: Sequence[str], delimiter: str) -> bool:
    if not following or not all(_is_column_name(cell) for cell in cells if cell):
        return False
    if sum(fold_column(cell) in column_names.KNOWN for cell in cells) > 1:
        return True
    below = [[cell.strip() for cell in line.split(delimiter)] for line in following]
    return all(len(row) == len(cells) for row in below) and not any(
        own == other for row in below for own, other in zip(cells, row, strict=True)
    )


def _is_column_name(cell: str) -> bool:
    return (
        len(cell) <= _MOST_IN_NAME
        and cell[0].isalpha()
        and fold_column(cell).isalnum()
        and (not set(cell) & set("/\\."))
    )


def read_table(lines: Iterable[tuple[int, str]], delimiter: str, *, source: str) -> Iterator[Entry]:
    """Entries of a table whose first record is the header; empty records are left out.

    Args:
        lines: with their numbers, as they stand; a cell in quotes may go over several.
        delimiter: of the columns.
        source: of the table, for messages.

    Raises:
        DatasetError: a column twice, more cells than columns, or a quote that is never closed.
    """
    records = split_records(lines, delimiter, source=source)
    _, header = next(records)
    header[0] = header[0].lstrip("# ")
    named = [fold_column(name) for name in header if fold_column(name)]
    if len(set(named)) < len(named):
        twice = next(name for name in header if named.count(fold_column(name)) > 1)
        raise DatasetError(f"{source}: the header has the column {shorten(twice)} twice")
    for line, cells in records:
        while len(cells) > len(header) and not cells[-1]:
            cells.pop()
        if len(cells) > len(header):
            raise DatasetError(
                f"{source}:{line}: {len(cells)} cells, the header has {len(header)} columns",
                hint='a cell that holds the delimiter needs quotes: "sit, stand"',
            )
        cells += [""] * (len(header) - len(cells))
        yield Entry(line=line, values=dict(zip(header, cells, strict=True)))
