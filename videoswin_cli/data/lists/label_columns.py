"""Choice of the column that holds the class, and agreement of the candidates."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from videoswin_cli.class_names import fold_name
from videoswin_cli.data.lists import column_names
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.delimited import fold_column
from videoswin_cli.io.text_files import shorten

_PART_NAMES = ("class", "label", "categor", "action", "activit", "verb", "noun", "gloss", "target")


def find_label_columns(keys: Sequence[str], chosen: str | None) -> tuple[str, ...]:
    """Columns of the class in order of preference: the chosen one, or those usually called so."""
    known = {fold_column(key): key for key in reversed(keys)}  # of two spellings the first
    candidates = column_names.LABELS if chosen is None else (fold_column(chosen),)
    return tuple(known[name] for name in candidates if name in known)


def suggest_label_columns(keys: Sequence[str]) -> tuple[str, ...]:
    """Columns that could be the class, by a part of their names."""
    return tuple(key for key in keys if any(part in fold_column(key) for part in _PART_NAMES))


class LabelColumns:
    """The columns of the class of one list, compared with each other row by row.

    Two agree where each value of one has one value of the other, as index and name have. A column
    with one value everywhere names no classes.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._values: dict[str, set[str]] = defaultdict(set)
        self._partners: dict[tuple[str, str, str], str] = {}
        self._contradictions: dict[tuple[str, str], str] = {}  # by pair of columns, the first

    def compare(self, line: int, values: Mapping[str, Any], columns: Sequence[str]) -> None:
        """Take in the row of one line."""
        if len(columns) < 2 or "template" in map(fold_column, columns):
            return  # beside a template `label` is the sentence made of it
        cells = {key: _to_text(values[key]) for key in columns}
        cells = {key: text for key, text in cells.items() if text}
        for key, text in cells.items():
            self._values[key].add(text)
        first, *others = cells or [""]
        for other in others:
            for key, partner in ((first, other), (other, first)):
                seen = self._partners.setdefault((key, partner, cells[key]), cells[partner])
                if seen != cells[partner]:
                    self._contradictions.setdefault(
                        (first, other),
                        f"{self._source}:{line}: {key} {shorten(cells[key])} has {partner} "
                        f"{shorten(cells[partner])} here and {shorten(seen)} before",
                    )

    def check(self) -> None:
        """Raises UsageError where two columns contradict each other."""
        for columns, text in self._contradictions.items():
            if all(len(self._values[key]) > 1 for key in columns):
                raise DatasetError(
                    f"{text}: which of {columns[0]} and {columns[1]} is the class?",
                    hint=f"choose with --label-column {columns[0]} or --label-column {columns[1]}",
                )


def _to_text(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("label", value.get("name"))
    text = "" if value is None else fold_name(str(value))
    return text.removesuffix(".0")
