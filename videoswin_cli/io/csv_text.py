"""Rows of text as CSV and back: every character of a field is read as it was written.

For the files that this program writes; `delimited` reads those of others, where blanks around a
cell do not count and any delimiter is possible.

Python's own writer leaves a bare carriage return unquoted before 3.13, which every reader takes for
the end of a row; its own reader refuses NUL before 3.11. Fields without such characters look as
Python writes them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

_QUOTED = re.compile(r'[",\r\n\0]')
_FIELD = re.compile(r'"([^"]*(?:""[^"]*)*)"|([^,\n]*)')


def to_csv(rows: Iterable[Sequence[object]]) -> str:
    """Lines, each with a line feed; None is an empty field."""
    return "".join(",".join(_to_fields(row)) + "\n" for row in rows)


def from_csv(text: str) -> list[list[str]]:
    """Fields of all rows; see `iter_csv`."""
    return list(iter_csv(text))


def iter_csv(text: str) -> Iterator[list[str]]:
    """Fields of each row; rows end in LF or CR LF, empty lines are left out.

    Raises:
        ValueError: a quote is opened and not closed, or something follows where it is closed.
    """
    row: list[str] = []
    place = count = 0
    while place < len(text) or row:
        match = _FIELD.match(text, place)
        assert match is not None  # it matches nothing, too
        quoted, plain = match.groups()
        place = match.end()
        end = text.startswith("\r\n", place) and quoted is not None
        place += end
        if (place < len(text) and text[place] not in ",\n") or (plain or "").startswith('"'):
            raise ValueError(f"row {count + 1}: quotes that do not match")
        last = place == len(text) or text[place] == "\n"
        if quoted is None:
            row.append(plain.removesuffix("\r") if last else plain)
        else:
            row.append(quoted.replace('""', '"'))
        place += 1
        if last:
            if row != [""] or quoted is not None:
                count += 1
                yield row
            row = []


def join_notes(notes: Sequence[str]) -> str:
    """Several notes as one field."""
    return "; ".join(notes)


def split_notes(text: str) -> tuple[str, ...]:
    return tuple(text.split("; ")) if text else ()


def _to_fields(row: Sequence[object]) -> list[str]:
    fields = ["" if value is None else str(value) for value in row]
    if fields == [""]:  # else an empty line
        return ['""']
    return [
        '"' + field.replace('"', '""') + '"' if _QUOTED.search(field) else field for field in fields
    ]
