"""Files that are whole or not there: written under another name, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from videoswin_cli.errors import UsageError, VideoSwinError


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Give a name to write to; it becomes `path` when the block ends, and goes when it fails.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise VideoSwinError(
            f"cannot write {path}: {error.strerror or error}",
            hint="check the folder and the free space, then start the same command again",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Notice before hours of work that a file cannot be written at its end.

    Raises:
        UsageError: its folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise UsageError(f"cannot write {path}: it is a folder")
        probe = path.with_name(f".{path.name}.{os.getpid()}.probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
