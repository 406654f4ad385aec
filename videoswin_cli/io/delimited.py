"""Records of cells: CSV and its relatives, in lists and label files.

For files that others write; `csv_text` reads back what this program writes, blanks included.

Not Python's reader: that one takes a carriage return for a line end and refuses long cells.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from videoswin_cli.errors import UsageError


@lru_cache(maxsize=4096)
def fold_column(name: str) -> str:
    """The form in which two spellings of one column name are equal."""
    return "".join(c for c in name.lower() if c.isalnum())


def split_records(
    lines: Iterable[tuple[int, str]], delimiter: str, *, source: str
) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line, and cells, of every record that is not empty.

    Blanks around a cell do not count. A cell in quotes may hold the delimiter, line ends and, each
    doubled, quotes.

    Raises:
        UsageError: a quote that is never closed.
    """
    numbered = iter(lines)
    for number, raw in numbered:
        line = raw.strip(" \r\ufeff" if delimiter == "\t" else " \t\r\ufeff")
        if not line:
            continue
        if '"' in line:
            cells = _split_quoted(line, delimiter, numbered, where=f"{source}:{number}")
        elif delimiter == " ":
            cells = line.split(" ")
            cells = [cell for cell in cells if cell]
        else:
            cells = [cell.strip(" \t") for cell in line.split(delimiter)]
        if any(cells):
            yield number, cells


def _split_quoted(
    line: str, delimiter: str, following: Iterator[tuple[int, str]], *, where: str
) -> list[str]:
    cells, place = [], 0
    while True:
        while line[place : place + 1] == " ":
            place += 1
        parts = []
        if line[place : place + 1] == '"':
            place += 1
            while True:
                end = line.find('"', place)
                if end < 0:  # the cell goes on in the next line
                    parts.append(line[place:])
                    if (more := next(following, None)) is None:
                        raise UsageError(f"{where}: a quote that is never closed")
                    parts.append("\n")
                    line, place = more[1], 0
                    continue
                parts.append(line[place:end])
                place = end + 1
                if line[place : place + 1] != '"':
                    break
                parts.append('"')
                place += 1
        end = line.find(delimiter, place)
        parts.append(line[place : None if end < 0 else end].strip(" \t\r"))
        cells.append("".join(parts))
        if end < 0:
            return cells
        place = end + 1
