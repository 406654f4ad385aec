"""Locks on files. The system releases them when their holder ends, however it ends.

World that a holder forks do not inherit its locks: a worker may outlive it by seconds.
"""

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

_BUSY = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK}
_held: set[int] = set()


def take_lock(file: Path, *, wait: bool = False) -> int | None:
    """Descriptor of a lock file, which is made; None where somebody else holds it.

    Where the file system has no locks, nobody is kept out.

    Raises:
        OSError: the file cannot be made.
    """
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        if lock_descriptor(descriptor, wait=wait) is False:
            os.close(descriptor)
            return None
        if is_file_of(descriptor, file):
            keep_to_this_process(descriptor)
            return descriptor
        os.close(descriptor)  # who held it before removed it: the next one makes another


def is_locked(file: Path) -> bool:
    """Whether somebody holds a lock file."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        return False
    try:
        return lock_descriptor(descriptor) is False
    finally:
        os.close(descriptor)


def lock_descriptor(descriptor: int, *, wait: bool = False) -> bool | None:
    """Whether the lock was got; None where the file system has no locks."""
    try:
        _lock(descriptor, wait)
    except OSError as error:
        return False if error.errno in _BUSY else None
    return True


def share(descriptor: int) -> None:
    """Hold a file together with others, until it is closed; on Windows any open file is held."""
    with suppress(OSError):  # a file system without locks
        _share(descriptor)


def is_file_of(descriptor: int, file: Path) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def keep_to_this_process(descriptor: int) -> None:
    """Close the descriptor in every process that this one forks."""
    _held.add(descriptor)


def release(descriptor: int) -> None:
    _held.discard(descriptor)
    os.close(descriptor)


def _close_inherited() -> None:
    for descriptor in _held:
        os.close(descriptor)  # the lock stays with the parent
    _held.clear()


if sys.platform == "win32":
    import msvcrt

    def _share(descriptor: int) -> None:
        pass

    def _lock(descriptor: int, wait: bool) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        while True:
            try:
                return msvcrt.locking(
                    descriptor, msvcrt.LK_NBLCK if not wait else msvcrt.LK_LOCK, 1
                )
            except OSError:  # LK_LOCK gives up after ten seconds
                if not wait:
                    raise
else:
    import fcntl

    def _share(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_SH)

    def _lock(descriptor: int, wait: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))

    os.register_at_fork(after_in_child=_close_inherited)
