"""Spellings of one path: `./a`, `b/../a`, `b//a`, absolute ones, Windows's, Unicode forms."""

import os
import re
import unicodedata
from pathlib import Path

_DRIVE_OR_SHARE = re.compile(r"[A-Za-z]:/|//[^/]")


def same_spelling(path: str) -> str:
    """Absolute form that the spellings of one path share.

    Links keep their own names: a file that two names lead to is two files to the user. A `..`
    behind a link leads where the system says, not where the text does.
    """
    plain = os.path.abspath(path)  # noqa: PTH100 - Path.absolute keeps `..`
    if ".." not in path:
        return plain
    given = Path(path)
    if ".." not in given.parts or given.name == "..":
        return plain
    try:
        there = os.path.realpath(given.parent)
        straight = os.path.realpath(Path(plain).parent)
    except ValueError:  # no file can have this name
        return plain
    return plain if there == straight else str(Path(there, given.name))


def with_slashes(name: str) -> str:
    r"""A name of a list with `/` between folders; Windows has `\` there."""
    return name.replace(os.sep, "/").replace("\\", "/")


def is_absolute(name: str) -> bool:
    """Whether a name with slashes is an absolute path, of this system or of Windows."""
    return name.startswith("/") or _DRIVE_OR_SHARE.match(name) is not None


def compose(name: str) -> str:
    """The form in which names that look alike are equal: NFC. Macs write the other, NFD."""
    return unicodedata.normalize("NFC", name)


def decompose(name: str) -> str:
    """The other Unicode form, NFD."""
    return unicodedata.normalize("NFD", name)
