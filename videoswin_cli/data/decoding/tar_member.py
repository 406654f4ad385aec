"""A video in a tar file, as a file of its own for as long as it is open.

Its bytes are copied: FFmpeg, decord and the check of a file's end each open a path, and a clip of
some megabytes is copied in a millisecond, which no reading through Python would be.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from videoswin_cli.errors import VideoError
from videoswin_cli.io.tar_files import index_tar, is_tar, open_member, split_member

_LONGEST_SUFFIX = 12  # characters
_BLOCK = 1 << 20  # bytes


def is_member(ref: str) -> bool:
    """Whether a reference is that of a file in an archive, or of an archive, which is no video."""
    return is_tar(ref) or split_member(ref) is not None


@contextmanager
def copy_member(ref: str) -> Iterator[str]:
    """Path of a temporary copy of a member, in TMPDIR; its name ends as that of the member.

    Raises:
        VideoError: there is no such member, the archive is damaged, or no copy can be written.
    """
    if is_tar(ref):
        raise VideoError(_describe(ref), hint="a video in it is named FILE.tar/NAME")
    path = _copy(ref)
    try:
        yield path
    finally:
        _remove(path)


def _copy(ref: str) -> str:
    suffix = Path(ref).suffix[:_LONGEST_SUFFIX]
    path = None
    try:
        with open_member(ref) as source:
            number, path = tempfile.mkstemp(prefix="videoswin-", suffix=suffix)
            with os.fdopen(number, "wb", buffering=0) as copy:
                shutil.copyfileobj(source, copy, _BLOCK)
    except OSError as error:
        if path is not None:
            _remove(path)
        raise VideoError(
            f"{ref}: cannot be copied to {tempfile.gettempdir()}: {error.strerror or error}"
        ) from error
    return path


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def _describe(file: str) -> str:
    """What is wrong with an archive in place of a video."""
    damage = index_tar(file).damage
    if damage is None:
        return f"{file}: a tar file, not a video"
    return f"{file}: damaged, its further videos are lost: {damage}"
