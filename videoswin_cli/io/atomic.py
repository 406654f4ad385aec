"""Files that are whole or not there: written under another name, then renamed."""

import codecs
import errno
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.io.csv_text import iter_csv, to_csv
from videoswin_cli.io.locks import is_file_of, keep_to_this_process, lock_descriptor, release

FILE_NAMES = "videoswin-file-names"  # how texts with bytes of file names are encoded

_OLD = 24 * 3600  # s; where the file system has no locks, a draft of this age is nobody's
_REFUSED = {  # a name or a folder that cannot be written to, however much room there is
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL, errno.EILSEQ, errno.ELOOP),
}


@contextmanager
def atomic_write(path: Path, *, keep: bool = False, tidy: bool = True) -> Iterator[Path]:
    """Give a name to write to; it becomes `path` when the block ends, and goes when it fails.

    A link stays and what it names is written; devices and pipes are written as they are. Drafts
    that killed processes left of the same file are removed.

    Args:
        path: where to.
        keep: leave what was written so far, as `path` with `.PID.part`, when the block fails; it
            goes once `path` has been written.
        tidy: look for such drafts; it lists the folder, which takes time where that has many files.

    Raises:
        UsageError: there is no such folder, or it cannot be written to.
        VideoSwinError: the file cannot be written, as on a full disk.
    """
    if is_stream(path):
        yield path
        return
    try:
        path = path.resolve()
        if tidy:
            remove_drafts(path.parent, path.name, kept=keep)
        part, descriptor = _make_draft(path)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield part
        part.replace(path)
        if keep:
            remove_drafts(path.parent, path.name)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        if not keep or not part.exists() or not part.stat().st_size:
            with suppress(OSError):
                part.unlink()
        release(descriptor)


def write_error(path: Path, error: OSError) -> VideoSwinError:
    """System error as one of `errors`, with the name of the file."""
    message = f"cannot write {path}: {error.strerror or error}"
    if is_refusal(error):
        return UsageError(message, hint="check the name and the folder, or choose another")
    return VideoSwinError(
        message, hint="free some space, then run the same command again to resume"
    )


def is_refusal(error: OSError) -> bool:
    """Whether this name or folder cannot be written to; else the disk is full or broken."""
    return error.errno in _REFUSED


def check_writable(
    path: Path, *, inputs: Iterable[str | Path | None] = (), display: Path | None = None
) -> None:
    """Notice before hours of work that a file cannot be written at its end.

    Args:
        path: where to.
        inputs: files that are read and must not be written over.
        display: what the user said, where that is not `path`.

    Raises:
        UsageError: there is no such folder, it cannot be written to, or `path` is a folder or an
            input.
    """
    if path.is_dir():
        raise UsageError(f"cannot write {path}: it is a folder")
    if is_stream(path):
        return
    for name in inputs:
        with suppress(OSError):  # too long a name, say: no file
            if name is not None and path.exists() and path.samefile(name):
                raise UsageError(f"cannot write {path}: it is an input", hint="choose another name")
    try:
        _try_writing(path.resolve())
    except OSError as error:
        raise UsageError(f"cannot write {display or path}: {error.strerror or error}") from error


def check_no_stream(path: Path, *, from_shell: bool = False) -> None:
    """Refuse a pipe, socket or device, which might be waited for without end.

    Args:
        path: of a file that is to be read.
        from_shell: allow the pipes that a shell makes for `<(command)`, which end.

    Raises:
        UsageError: it is one.
    """
    if from_shell and str(path).startswith(("/dev/fd/", "/proc/self/fd/")):
        return
    with suppress(OSError, ValueError):  # no such name: whoever opens it says so
        if is_stream(path):
            raise UsageError(f"{path}: a pipe, socket or device", hint="give a file")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table; see `read_csv`.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    with (
        atomic_write(path) as part,
        part.open("w", encoding="utf-8", errors=FILE_NAMES, newline="") as stream,
    ):
        stream.write(to_csv([header]))
        for row in rows:
            stream.write(to_csv([row]))


def read_csv(path: Path) -> list[dict[str, str]]:
    """All rows of a table; see `iter_rows`."""
    return list(iter_rows(path))


def iter_rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a table by its header, every text as it was given to `write_csv`.

    Raises:
        UsageError: it cannot be read, or is no table.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            rows = iter_csv(stream.read())
        header = next(rows, [])
        for row in rows:
            if len(row) != len(header):
                raise ValueError("its rows have different numbers of columns")
            yield dict(zip(header, row, strict=True))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"cannot read {path}: {error}") from error


_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON as people read it; what is no UTF-8, or ends a line for some readers, is an escape."""
    text = json.dumps(value, ensure_ascii=False, indent=indent).translate(_LINE_ENDS)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _encode_name(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes of a file name as they are on disk; other halves of characters, as of JSON, escaped."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


codecs.register_error(FILE_NAMES, _encode_name)


def _try_writing(path: Path) -> None:
    """Raises OSError where no file of that name can be made. A kill leaves nothing on Linux."""
    with suppress(FileNotFoundError):
        path.with_name(f"{path.name}.{os.getpid()}.part").lstat()  # is the name too long?
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):  # also of a file system without files that have no name
            os.close(os.open(path.parent, os.O_TMPFILE | os.O_WRONLY))
            return
    draft, descriptor = _make_draft(path)
    draft.unlink()
    release(descriptor)


def _make_draft(path: Path) -> tuple[Path, int]:
    """A new empty file beside `path`, and its descriptor, locked for as long as we live."""
    for number in count():
        again = f"-{number}" if number else ""  # in containers process numbers come again
        draft = path.with_name(f"{path.name}.{os.getpid()}{again}.part")
        try:
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        lock_descriptor(descriptor)
        if is_file_of(descriptor, draft):
            keep_to_this_process(descriptor)
            return draft, descriptor
        os.close(descriptor)  # taken for a leftover before it was locked
    raise AssertionError


def remove_drafts(folder: Path, name: str | None = None, *, kept: bool = False) -> None:
    """Remove what killed processes left of files in a folder.

    Args:
        folder: where; drafts below it are left.
        name: of the file they are drafts of; None: of any.
        kept: leave those that are not empty.
    """
    which = ".+" if name is None else re.escape(name)
    pattern = re.compile(which + r"\.[0-9]+(-[0-9]+)?\.part", re.DOTALL)
    for found in folder.iterdir():
        if pattern.fullmatch(found.name):
            with suppress(OSError):
                _remove_if_left(found, kept=kept)


def _remove_if_left(draft: Path, *, kept: bool) -> None:
    descriptor = os.open(draft, os.O_RDWR)
    try:
        state = os.fstat(descriptor)
        free = lock_descriptor(descriptor)
        dead = time.time() - state.st_mtime > _OLD if free is None else free
        if dead and is_file_of(descriptor, draft) and not (kept and state.st_size):
            draft.unlink()
    finally:
        os.close(descriptor)


def is_stream(path: Path) -> bool:
    """Whether a path is a device, pipe or socket."""
    return path.exists() and not path.is_file() and not path.is_dir()
