"""Where our files lie, and strict checks of plain data that becomes frozen records."""

import os
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from videoswin_cli.errors import UsageError
from videoswin_cli.ranges import shown

Record = TypeVar("Record")


def configs_folder() -> Path:
    """Folder of `models` and `labels`: in the package when installed, beside it in a clone."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def home() -> Path:
    """Return the directory of everything that videoswin keeps; it need not exist."""
    if own := os.environ.get("VIDEOSWIN_HOME"):
        return Path(own).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "videoswin"


def offline() -> bool:
    """Tell whether VIDEOSWIN_OFFLINE forbids the network."""
    return os.environ.get("VIDEOSWIN_OFFLINE", "").lower() in ("1", "true", "yes")


def private_redirects() -> bool:
    """Tell whether VIDEOSWIN_PRIVATE_REDIRECTS lets a public server redirect to a private one."""
    return os.environ.get("VIDEOSWIN_PRIVATE_REDIRECTS", "").lower() in ("1", "true", "yes")


def required_keys(kind: type[Any]) -> set[str]:
    """Names of the fields of a dataclass that have no default."""
    missing = (f for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING)
    return {f.name for f in missing}


def check_keys(
    data: Mapping[str, Any], *, known: set[str], required: set[str], source: str
) -> None:
    """Refuse unknown and missing keys.

    Raises:
        UsageError: names the file and the key, and the nearest known key.
    """
    from difflib import get_close_matches

    for key in data:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
            raise UsageError(f"{source}: unknown key {shown(key)}", hint=hint)
    if missing := sorted(required - data.keys()):
        raise UsageError(f"{source}: missing key {', '.join(map(repr, missing))}")


def to_record(kind: type[Record], data: Mapping[str, Any], *, source: str) -> Record:
    """Build a frozen record from plain data, checking every type.

    Raises:
        UsageError: names the file, the key, the type found and the type expected.
    """
    import msgspec

    try:
        return msgspec.convert(dict(data), kind)
    except msgspec.ValidationError as error:
        text = str(error)  # may hold a text of the file, and ends in the key
        short = text if len(text) < 300 else f"{text[:150]}...{text[-100:]}"
        raise UsageError(f"{source}: {short}") from error
