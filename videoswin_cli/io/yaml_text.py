"""YAML as plain data, read within limits. The only importer of yaml.

Values are built from the parser's events, one after the other: the loaders of PyYAML call
themselves once a level, and the one in C ends the process where a file is nested deep enough.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from videoswin_cli.errors import ConfigError, UsageError, raised_as
from videoswin_cli.io.atomic import check_no_stream
from videoswin_cli.ranges import shown

MAX_BYTES = 256 << 10  # of a file; ours have 5 KiB
MAX_DEPTH = 20  # lists and mappings in each other; ours have 2
MAX_VALUES = 10_000  # with those that aliases repeat; ours have 100
MAX_DIGITS = 100  # characters of a number

_TAG = "tag:yaml.org,2002:"
# As YAML 1.2 and people write them: PyYAML, which reads YAML 1.1, takes 1e-3 for text.
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+\Z")
_NO_KEY = object()
Event: TypeAlias = Any  # of yaml; its types have no marks


@raised_as(ConfigError)
def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        UsageError: the file is missing, is no YAML, is beyond a limit, has a key twice, or holds
            something else than a mapping.
    """
    check_no_stream(path, from_shell=True)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UsageError(f"cannot read {path}: {getattr(error, 'strerror', error)}") from error
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{path}: expected at most {MAX_BYTES} bytes of YAML, found more")
    data = _parse(raw, source=str(path), wrong=f"{path} is not valid YAML")
    if not isinstance(data, dict):
        raise UsageError(f"{path}: expected keys and values, found {type(data).__name__}")
    return data


@raised_as(ConfigError)
def parse_value(text: str, *, source: str) -> Any:
    """One value of YAML.

    Raises:
        UsageError: it is none, or beyond a limit.
    """
    raw = text.encode("utf-8", "surrogateescape")
    return _parse(raw, source=source, wrong=f"{source}: not a value")


def write_yaml(data: Mapping[str, Any]) -> str:
    """Keys in their order."""
    import yaml

    dumper = _with_floats(yaml.SafeDumper)
    return str(yaml.dump(dict(data), Dumper=dumper, sort_keys=False, allow_unicode=True))


def _with_floats(kind: Any) -> Any:
    """A loader or dumper of PyYAML for which 1e-3 is a number, and text only in quotes."""
    floats: Any = type(kind.__name__, (kind,), {})
    floats.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+.0123456789"))
    return floats


def _parse(raw: bytes, *, source: str, wrong: str) -> Any:
    import yaml

    builder = _Builder(source)
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster
        for event in yaml.parse(raw, Loader=loader):
            builder.add(event)
    except yaml.YAMLError as error:
        raise UsageError(f"{wrong}: {' '.join(str(error).split())}") from error
    return builder.root


@dataclass
class _Open:
    """A list or mapping whose end has not come yet."""

    value: "list[Any] | dict[Any, Any]"
    anchor: str | None
    begun: int  # values before it
    key: Any = _NO_KEY  # of a mapping: that of the next value


class _Builder:
    """Plain data from the events of one document."""

    def __init__(self, source: str) -> None:
        import yaml

        self.root: Any = None
        self._yaml = yaml
        self._source = source
        scalars: Any = _with_floats(yaml.SafeLoader)("")
        self._resolve, self._construct = scalars.resolve, scalars.construct_object
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}  # value and how many values it holds
        self._values = self._documents = 0

    def add(self, event: Event) -> None:
        """Take the next event.

        Raises:
            UsageError: it is beyond a limit, or something that a configuration has no use for.
        """
        yaml = self._yaml
        if isinstance(event, yaml.ScalarEvent):
            self._put(self._build(event), 1, event)
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(self._open) >= MAX_DEPTH:
                raise self._refuse(event, f"expected at most {MAX_DEPTH} levels, found more")
            mapping = isinstance(event, yaml.MappingStartEvent)
            if event.tag not in (None, "!", f"{_TAG}{'map' if mapping else 'seq'}"):
                raise self._refuse(event, f"the tag {shown(event.tag)} is not read")
            self._open.append(_Open({} if mapping else [], event.anchor, self._values))
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self._open.pop()
            self._put(done.value, 1, event, anchor=done.anchor, begun=done.begun)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise self._refuse(event, f"the alias *{event.anchor} stands before its value ends")
            value, size = self._anchors[event.anchor]
            self._put(value, size, event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._refuse(event, "expected one document, found another")

    def _put(
        self, value: Any, size: int, event: Event, *, anchor: str | None = None, begun: int = -1
    ) -> None:
        """Put a finished value where it belongs."""
        begun = self._values if begun < 0 else begun
        self._values += size
        if self._values > MAX_VALUES:
            raise self._refuse(event, f"expected at most {MAX_VALUES} values, found more")
        if anchor := anchor or getattr(event, "anchor", None):
            self._anchors[anchor] = value, self._values - begun
        if not self._open:
            self.root = value
            return
        place = self._open[-1]
        if isinstance(place.value, list):
            place.value.append(value)
        elif place.key is not _NO_KEY:
            place.value[place.key] = value
            place.key = _NO_KEY
        elif isinstance(value, list | dict):
            raise self._refuse(event, "expected a key, found a list or mapping")
        elif value in place.value:  # YAML would let the last one win
            line = event.start_mark.line + 1
            raise UsageError(
                f"{self._source}: key {shown(value)} is there twice, again in line {line}"
            )
        else:
            place.key = value

    def _build(self, event: Any) -> Any:
        """The value of a scalar: text, a number, a date, nothing."""
        node = self._yaml.ScalarNode(
            event.tag, event.value, event.start_mark, event.end_mark, style=event.style
        )
        if event.tag in (None, "!"):
            node.tag = self._resolve(self._yaml.ScalarNode, event.value, event.implicit)
        kind = node.tag.removeprefix(_TAG)
        if kind in ("int", "float"):
            if len(event.value) > MAX_DIGITS:
                raise self._refuse(
                    event,
                    f"a number of {len(event.value)} characters, expected at most {MAX_DIGITS}",
                )
            if ":" in event.value or re.fullmatch(r"[-+]?0[0-7_]+", event.value):
                raise self._refuse(
                    event,
                    f"{event.value} is a number to the base {60 if ':' in event.value else 8} in "
                    "YAML: write it to the base 10, or in quotes",
                )
        try:
            return self._construct(node)
        except self._yaml.MarkedYAMLError as error:
            raise self._refuse(event, str(error.problem)) from error
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            # As PyYAML fails on a month 99, a truth of "maybe", a time stamp that is none
            raise self._refuse(event, f"{shown(event.value)} is no valid {kind}") from error

    def _refuse(self, event: Event, problem: str) -> UsageError:
        keys = [place.key for place in self._open if place.key is not _NO_KEY]
        key = f", key {shown(keys[-1])}" if keys else ""
        line = event.start_mark.line + 1
        return UsageError(f"{self._source}: line {line}{key}: {problem}")
