"""Ranges of numbers that users and files give: declared as data, checked in one place."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`. No range holds what is not a number."""

    low: float
    high: float
    without_low: bool = False
    without_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.without_low else value >= self.low
        return above and (value < self.high if self.without_high else value <= self.high)

    def __str__(self) -> str:
        begin, end = f"{self.low:.16g}", f"{self.high:.16g}"
        first = f"above {begin}" if self.without_low else f"from {begin}"
        return f"{first} to {'below ' if self.without_high else ''}{end}"


def find_outside(record: object, ranges: Mapping[str, Range]) -> Iterator[str]:
    """Fields of `record` outside their range, as key, range and value. None and words pass."""
    for key, allowed in ranges.items():
        value = getattr(record, key)
        numbers = value if isinstance(value, tuple) else (value,)
        if value is None or isinstance(value, str) or all(number in allowed for number in numbers):
            continue
        if isinstance(value, tuple):
            yield f"{key}: expected numbers {allowed}, found {shown(list(value))}"
        else:
            yield f"{key}: expected a number {allowed}, found {shown(value)}"


def shown(value: object) -> str:
    """`repr` of a value of a file, cut where it is long."""
    text = repr(value[:_SHOWN] if isinstance(value, str | bytes | list) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_bytes(text: str) -> int:
    """Bytes of `500MB`, `20GB`, `1.5T` or a plain number.

    Raises:
        ValueError: anything else.
    """
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([KMGT]?)B?", text.strip().upper())
    if match is None:
        raise ValueError("expected a size such as 500MB or 20GB")
    return int(float(match[1]) * _UNITS[match[2]])
