"""Class names: their spellings, which differ in case, spaces, `_`, `-` and Unicode form; order."""

import re
import unicodedata
from collections.abc import Iterable

_MOST_DIGITS = 18
_WHOLE_NUMBER = re.compile(rf"[+-]?\d{{1,{_MOST_DIGITS}}}")
_SIGNED = re.compile(r"[+-][\d.]+")


def fold_name(name: str) -> str:
    """The form in which two spellings of one class name are equal."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    if _SIGNED.fullmatch(folded.strip()):
        return folded.strip()  # -1 is a number, not 1 with a dash before it
    return " ".join(folded.replace("_", " ").replace("-", " ").split())


def whole_number(name: str) -> int | None:
    """The number that a name such as `7`, `007` or `-7` writes; None for any other name."""
    return int(name) if _WHOLE_NUMBER.fullmatch(name) else None


def sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in the order of class indices: as numbers where all are whole, else as text.

    So 10 comes behind 2, as in every list of such classes.
    """
    numbers = {name: whole_number(name) for name in names}
    if any(number is None for number in numbers.values()):
        return tuple(sorted(numbers))
    return tuple(sorted(numbers, key=lambda name: (numbers[name], name)))
