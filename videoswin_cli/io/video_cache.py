"""The cache of videos behind addresses: bounded, and never emptied of what somebody reads.

Whoever reads a file holds a shared lock on it; whoever removes one takes it alone. A file that was
used is touched, and the one that was not for the longest time goes first.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from videoswin_cli.errors import UsageError
from videoswin_cli.io.locks import is_file_of, keep_to_this_process, lock_descriptor, release, share
from videoswin_cli.io.paths import cache_dir
from videoswin_cli.ranges import parse_bytes, shown

SIZE_VARIABLE = "VIDEOSWIN_CACHE_SIZE"
DEFAULT_SIZE = "20GB"

_RECENT = 24 * 3600  # s; where the file system has no locks, a file used since may be in use
_SIDE_SUFFIXES = (".lock", ".part", ".part.json")


def videos_folder() -> Path:
    return cache_dir() / "videos"


def default_cache_size() -> int:
    """Bytes that the cache of videos may take where nobody says otherwise.

    Raises:
        UsageError: the environment holds no size.
    """
    text = os.environ.get(SIZE_VARIABLE) or DEFAULT_SIZE
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"{SIZE_VARIABLE} is {shown(text)}: {error}") from error


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Keep a file of the cache from being removed. Gives False where it was, meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    share(descriptor)
    keep_to_this_process(descriptor)
    try:
        with suppress(OSError):  # a cache of somebody else, which is only read
            os.utime(path)
        yield is_file_of(descriptor, path)
    finally:
        release(descriptor)


def make_room(limit: int, *, keep: Path | None = None) -> None:
    """Remove videos until the others have no more than `limit` bytes, least recently used first.

    What cannot be removed, as it is in use, stays, and the cache is larger for that time.
    """
    found = []
    with suppress(FileNotFoundError), os.scandir(videos_folder()) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False) and not entry.name.endswith(_SIDE_SUFFIXES):
                state = entry.stat(follow_symlinks=False)
                found.append((state.st_mtime, state.st_size, Path(entry.path)))
    total = sum(size for _, size, _ in found)
    for used, size, path in sorted(found):
        if total <= limit:
            return
        if path != keep and _remove_unused(path, used):
            total -= size


def _remove_unused(path: Path, used: float) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:  # gone, or not ours
        return False
    try:
        free = lock_descriptor(descriptor)
        if free is None:
            free = time.time() - used > _RECENT
        if not free or not is_file_of(descriptor, path):
            return False
        if os.name == "nt":  # has no name to lose while it is open
            os.close(descriptor)
            descriptor = -1
        path.unlink()
    except OSError:
        return False
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return True
