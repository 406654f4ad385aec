"""Stamps of weight files: a training may write over a file while a run computes with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from videoswin_cli.errors import CheckpointError
from videoswin_cli.io.fetch import hash_file


@dataclass(frozen=True)
class Stamp:
    """State of a file, which tells it from others, and from itself before it was written to."""

    path: Path
    inode: int
    size: int  # bytes
    mtime_ns: int
    ctime_ns: int  # no program can set it


def take_stamp(path: Path) -> Stamp:
    """The stamp of a file as it is now. Raises OSError if there is none."""
    found = path.stat()
    return Stamp(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def check_unchanged(stamps: Sequence[Stamp]) -> None:
    """Raises CheckpointError where a file is not as it was when it was read."""
    for stamp in stamps:
        try:
            now = take_stamp(stamp.path)
        except OSError as error:
            raise _changed(stamp, error.strerror or str(error)) from error
        if now.inode != stamp.inode:
            raise _changed(stamp, "another file has its name now")
        if now != stamp:
            size = f", {stamp.size} bytes then, {now.size} now" if now.size != stamp.size else ""
            raise _changed(stamp, f"it was written to{size}")


def hash_unchanged(stamps: Sequence[Stamp]) -> str:
    """SHA-256 of a file in hex; of several that of their hashes.

    Raises:
        CheckpointError: they are not as they were when they were read.
    """
    assert stamps, "a model of no file has no hash"
    check_unchanged(stamps)
    hashes = [hash_file(stamp.path) for stamp in stamps]
    check_unchanged(stamps)
    return hashes[0] if len(hashes) == 1 else sha256("".join(hashes).encode()).hexdigest()


def _changed(stamp: Stamp, what: str) -> CheckpointError:
    return CheckpointError(
        f"{stamp.path} has changed since it was read: {what}",
        hint="load the model again from a file that stays as it is, such as a copy",
    )
