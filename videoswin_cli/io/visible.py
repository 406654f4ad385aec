"""Text of strangers as it is shown: what would steer a terminal as an escape, long lists cut."""

import re
from collections.abc import Sequence
from typing import TextIO

_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, ESC and CSI among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of writing
    "\u2028\u2029\ufeff]"  # line and paragraph separators, byte order mark
)


def visible(text: str, *, keep: str = "") -> str:
    r"""Text whose control characters are escapes (`\x1b`, `\n`), but for those in `keep`.

    A name with such characters can clear a terminal, retitle it, or look like another line.
    """
    return _STEERING.sub(
        lambda found: _escape(found[0]) if found[0] not in keep else found[0], text
    )


def for_stream(text: str, stream: TextIO) -> str:
    """Result lines as they are to be written to `stream`: as they are, unless it is a terminal."""
    return visible(text, keep="\n\t") if stream.isatty() else text


def name_some(names: Sequence[str], most: int = 5) -> str:
    """The first names, separated by commas, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def counted(number: int, noun: str) -> str:
    """A number and what it counts: `1 video`, `2 videos`, `2 classes`."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}{'' if number == 1 else ending}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
