"""Paths on standard input, as shells, `find` and Windows write them."""

import codecs
import os
import sys
from collections.abc import Iterator

from videoswin_cli.errors import UsageError

MAX_BYTES = 256 << 20  # two million paths


def stdin_paths() -> Iterator[str]:
    """Lines of standard input; where they end in NULs (`find -print0`), what stands between these.

    Names that are no text are kept as arguments keep them. It is read when the first is asked for.

    Raises:
        UsageError: there are more than `MAX_BYTES`.
    """
    raw = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise UsageError(
            f"standard input has more than {MAX_BYTES} bytes: expected one path per line"
        )
    text = _decode(raw)
    if "\0" in text and "\0\0" not in text:  # a video has several in a row
        yield from text.split("\0")
    else:
        yield from text.split("\n")


def _decode(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace")
    return os.fsdecode(raw.removeprefix(codecs.BOM_UTF8))
