"""Option records: dataclasses whose fields say all that a command line and a check need.

A record is one group of options. The command line, the Python functions and the checks are made
from its fields, so a new option is one field here and its use.
"""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from videoswin_cli.errors import UsageError
from videoswin_cli.ranges import shown

Record = TypeVar("Record")

_KEY = "option"


@dataclass(frozen=True, kw_only=True)
class About:
    """Facts of an option beside its name, type and default."""

    help: str
    metavar: str | None = None
    flags: tuple[str, ...] = ()  # on the command line; without any, `--` and the name
    least: float | None = None
    most: float | None = None
    shown_default: str | None = None  # in help, where the default itself says nothing
    parse: Callable[[str], Any] | None = None  # from text; raises UsageError
    in_python: bool = True  # whether the Python functions have it too
    required: bool = False  # on the command line
    place: Literal["read", "write"] | None = None  # of a file, whose address may be given too


def option(default: Any, help: str, **facts: Any) -> Any:
    """A field of an option record; `facts` are those of `About`."""
    about = About(help=help, **facts)
    return field(default=default, metadata={_KEY: about})


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a record."""

    name: str
    type: Any  # with None where it may be
    default: Any
    about: About


def list_options(record: Any) -> list[Option]:
    """Options of a record and of the records in it, in order.

    Args:
        record: an instance, whose values are the defaults.
    """
    hints = get_type_hints(type(record))
    found = []
    for each in fields(record):
        value = getattr(record, each.name)
        if is_dataclass(hints[each.name]) and _KEY not in each.metadata:
            found += list_options(value)
            continue
        if _KEY not in each.metadata:  # settled by the engine, not by a user
            continue
        about = each.metadata[_KEY]
        found.append(Option(name=each.name, type=hints[each.name], default=value, about=about))
    return found


def fill(record: Record, values: Mapping[str, Any]) -> Record:
    """The record with those of `values` that are options of it; text is parsed.

    Raises:
        UsageError: a value out of range, or none of the choices.
    """
    hints = get_type_hints(type(record))
    own: dict[str, Any] = {}
    for each in fields(record):  # type: ignore[arg-type]
        value = getattr(record, each.name)
        if is_dataclass(hints[each.name]) and _KEY not in each.metadata:
            own[each.name] = fill(value, values)
        elif _KEY not in each.metadata:
            own[each.name] = value
        else:
            given = values.get(each.name, value)
            parse = each.metadata[_KEY].parse
            if isinstance(given, str) and get_origin(hints[each.name]) is tuple and parse is None:
                given = (given,)  # one value of several
            if isinstance(given, Path) and Path not in (hint := hints[each.name], *get_args(hint)):
                given = str(given)
            if parse is not None and isinstance(given, str | int | float):
                given = parse(str(given))
            kinds = (hints[each.name], *get_args(hints[each.name]))
            if isinstance(given, str) and Path in kinds and not (str in kinds and "://" in given):
                given = Path(given)
            if isinstance(given, list | tuple) and Path in kinds:
                given = map(Path, given)
            own[each.name] = tuple(given) if isinstance(given, list | map) else given
    return type(record)(**own)


def check_options(record: Any) -> None:
    """Check the values of a record against its ranges and choices; for `__post_init__`.

    Raises:
        UsageError: names the option, what was found and what is expected.
    """
    for each in list_options(record):
        about, value = each.about, each.default
        if value is None:
            continue
        choices = choices_of(each.type)
        if not choices:
            _check_type(each)
        if choices and value not in choices:
            raise UsageError(
                f"{each.name} {shown(value)}: expected {' or '.join(map(str, choices))}"
                if len(choices) < 3
                else f"{each.name} {shown(value)}: expected one of {', '.join(map(str, choices))}"
            )
        if isinstance(value, int | float) and not isinstance(value, bool):
            _check_range(each.name, value, about)


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _check_type(option: Option) -> None:
    """Raises UsageError for a number as text, text as a number, and the like."""
    kinds = get_args(option.type) or (option.type,)
    if Path in kinds:
        return
    plain = next((kind for kind in kinds if kind in _WORDS), None)
    value, is_flag = option.default, isinstance(option.default, bool)
    if plain is None or get_origin(option.type) is tuple or option.about.parse is not None:
        return
    fits = isinstance(value, int | float if plain is float else plain)
    if not fits or is_flag != (plain is bool):
        raise UsageError(f"{option.name} {shown(value)}: expected {_WORDS[plain]}")


def _check_range(name: str, value: float, about: About) -> None:
    least, most = about.least, about.most
    too_small = least is not None and not value >= least  # also not a number
    if too_small or (most is not None and not value <= most):
        expected = f"{least:g} or more" if most is None else f"{least:g} to {most:g}"
        raise UsageError(f"{name} {value}: expected {expected}")


def choices_of(kind: Any) -> tuple[Any, ...]:
    """Values of a Literal, or of one that may be None; empty for other types."""
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    only, *others = [part for part in parts if part is not NoneType]
    return get_args(only) if get_origin(only) is Literal and not others else ()


# --- Python functions -----------------------------------------------------------------------------


def split_keywords(
    given: Mapping[str, Any],
    records: Sequence[Any],
    *,
    function: str,
    without: Collection[str] = (),
) -> tuple[Any, ...]:
    """The records with the keyword arguments of a Python function.

    Args:
        given: keyword arguments.
        records: of the options that the function takes.
        function: its name, for messages.
        without: options of the records that it does not take.

    Raises:
        TypeError: a keyword that is no option of theirs, as Python raises it.
        UsageError: a value out of range, or none of the choices.
    """
    known = [
        each.name
        for record in records
        for each in list_options(record)
        if each.about.in_python and each.name not in without
    ]
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f". Did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")
    return tuple(fill(record, given) for record in records)


def _python_type(option: Option) -> Any:
    """The type of a keyword: paths, and what is parsed, may be given as text too."""
    if option.about.parse is not None:
        return option.type | str | float
    return option.type | str if Path in (option.type, *get_args(option.type)) else option.type


def set_signature(function: Callable[..., Any], records: Sequence[Any]) -> None:
    """Let `help()` and editors show the options of the records in place of `**options`."""
    signature = inspect.signature(function)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    taken = {parameter.name for parameter in own}
    more = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=_python_type(each),
        )
        for record in records
        for each in list_options(record)
        if each.about.in_python and each.name not in taken
    ]
    function.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
