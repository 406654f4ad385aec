"""Files that are whole or not there: written under another name, then renamed."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from videoswin_cli.errors import UsageError, VideoSwinError


@contextmanager
def write_whole(path: Path, *, keep: bool = False) -> Iterator[Path]:
    """Give a name to write to; it becomes `path` when the block ends, and goes when it fails.

    A link stays and what it names is written; devices and pipes are written as they are.

    Args:
        path: where to.
        keep: leave what was written so far, as `path` with `.PID.part`, when the block fails.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    if _is_stream(path):
        yield path
        return
    path = path.resolve()
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise VideoSwinError(
            f"cannot write {path}: {error.strerror or error}",
            hint="check the folder and the free space, then start the same command again",
        ) from error
    finally:
        if not keep:
            with suppress(OSError):
                part.unlink()


def check_writable(
    path: Path, *, inputs: Iterable[str | Path | None] = (), named: Path | None = None
) -> None:
    """Notice before hours of work that a file cannot be written at its end.

    Args:
        path: where to.
        inputs: files that are read and must not be written over.
        named: what the user said, where that is not `path`.

    Raises:
        UsageError: there is no such folder, it cannot be written to, or `path` is a folder or an
            input.
    """
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder")
    if _is_stream(path):
        return
    for name in inputs:
        with suppress(OSError):  # too long a name, say: no file
            if name is not None and path.exists() and path.samefile(name):
                raise UsageError(f"cannot write {path}: it is an input", hint="choose another name")
    target = path.resolve()
    probe = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"cannot write {named or path}: {error.strerror or error}") from error


def check_no_stream(path: Path) -> None:
    """Refuse a pipe, socket or device, which might be waited for without end.

    Raises:
        UsageError: it is one.
    """
    with suppress(OSError):  # no such file, or a name too long: whoever opens it says so
        if _is_stream(path):
            raise UsageError(f"{path}: a pipe, socket or device", hint="give a file")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON as people read it. Bytes of a file name that are no UTF-8 become escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _is_stream(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()
