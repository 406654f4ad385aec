"""Plain data that becomes frozen records, with every key and type checked."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from videoswin_cli.errors import ConfigError
from videoswin_cli.ranges import Range, shown

Record = TypeVar("Record")

_EXACT = 2**53  # floats up to here hold every integer
_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    NoneType: "null",
}
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}


def required_keys(kind: type[Any]) -> set[str]:
    """Names of the fields of a dataclass that have no default."""
    missing = (f for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)
    return {f.name for f in missing}


def check_keys(
    data: Mapping[str, Any], *, known: set[str], required: set[str], source: str
) -> None:
    """Refuse unknown and missing keys.

    Raises:
        ConfigError: names the file and the key, and the nearest known key.
    """
    from difflib import get_close_matches

    for key in data:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
            raise ConfigError(f"{source}: unknown key {shown(key)}", hint=hint)
    if missing := sorted(required - data.keys()):
        raise ConfigError(f"{source}: missing key {', '.join(map(repr, missing))}")


def to_record(
    kind: type[Record],
    data: Mapping[str, Any],
    *,
    source: str,
    ranges: Mapping[str, Range] = MappingProxyType({}),
    prefix: str = "",
) -> Record:
    """Build a frozen record from plain data, checking every type.

    A whole number may be written with a point or an exponent where an integer is expected: 1e3.

    Args:
        kind: a dataclass.
        data: its fields; those that it does not know are passed over.
        source: what the data are from, for messages.
        ranges: of its numbers, for messages alone.
        prefix: that the keys have in the source, for messages alone.

    Raises:
        ConfigError: names the file, the key, what was found and what is expected.
    """
    import msgspec

    hints = _hints_of(cast("Any", kind))
    if missing := sorted(required_keys(kind) - data.keys()):
        raise ConfigError(f"{source}: missing key {', '.join(map(repr, missing))}")
    whole = {key: _to_whole(value, hints.get(key)) for key, value in data.items()}
    try:
        return msgspec.convert(whole, kind)
    except msgspec.ValidationError as error:
        match = re.search(r"\$\.(\w+)[^$]*$", str(error))
        key = match[1] if match else ""
        if key not in hints or key not in data:
            raise ConfigError(f"{source}: {shown(str(error))}") from error
        expected = _describe(hints[key], f" {ranges[key]}" if key in ranges else "")
        found = "nothing" if data[key] is None else shown(data[key])
        raise ConfigError(f"{source}: {prefix}{key}: expected {expected}, found {found}") from error


@cache
def _hints_of(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)  # takes longer than a record


def _to_whole(value: Any, kind: Any) -> Any:
    """Floats that are whole, as integers where no others are expected."""
    if kind is int or (get_origin(kind) is UnionType and float not in get_args(kind)):
        kinds = (kind, *get_args(kind))
        whole = isinstance(value, float) and abs(value) <= _EXACT and value.is_integer()
        if whole and int in kinds:
            return int(value)
    if get_origin(kind) is UnionType and isinstance(value, list | tuple):
        kind = next((part for part in get_args(kind) if get_origin(part) is tuple), kind)
    if get_origin(kind) is tuple and int in get_args(kind) and isinstance(value, list | tuple):
        return [_to_whole(each, int) for each in value]
    return value


def _describe(kind: Any, allowed: str = "") -> str:
    """A type of a field in words, with the range of its numbers."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType or origin is Union:
        return " or ".join(_describe(part, allowed) for part in parts)
    if origin is Literal:
        return " or ".join(map(str, parts)) if len(parts) < 3 else f"one of {', '.join(parts)}"
    if origin in (tuple, list):
        some = _PLURALS.get(parts[0], "values")
        count = "" if origin is list or parts[-1] is Ellipsis else f"{len(parts)} "
        return f"a list of {count}{some}{allowed}"
    if origin is dict or kind is dict:
        return "keys and values"
    name = _NAMES.get(kind, getattr(kind, "__name__", str(kind)))
    return name + (allowed if kind in (int, float) else "")
