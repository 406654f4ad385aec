"""Journals of a long run on disk: one line per finished video, so that nothing is done twice.

A run keeps a folder beside its output, with a description of the run and a journal for each process
that works on it. Killed at any moment, a journal loses at most the line being written.

Whatever is decided from what is there, and changes it, happens within `guarded`: to begin a run, to
join it, to finish it or to remove it.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, TypeVar

from videoswin_cli.engine.provenance import (
    Description,
    check_description,
    read_description,
    write_description,
)
from videoswin_cli.errors import ResumeError, UsageError
from videoswin_cli.io.atomic import to_json, write_error
from videoswin_cli.io.locks import is_locked, release, take_lock

Entry = dict[str, Any]  # of one video; has its "path"
Kept = TypeVar("Kept")

_DESCRIPTION = "run.json"


class Line(NamedTuple):
    """Place of an entry in the journals of a run."""

    part: str
    start: int  # bytes of its journal before it


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Let no other process begin, join, finish or remove the run of a folder meanwhile.

    Raises:
        UsageError: the lock beside the folder cannot be written.
    """
    file = folder.with_name(f"{folder.name}.lock")
    try:
        descriptor = take_lock(file, wait=True)
    except OSError as error:
        raise write_error(file, error) from error
    assert descriptor is not None
    try:
        _remove_contents(_leftover(folder))
        yield
    finally:
        if not folder.exists():
            with suppress(OSError):
                file.unlink()
        release(descriptor)


class Journal(AbstractContextManager["Journal"]):
    """Lines of one process, and those of all others that work or worked on the same output."""

    def __init__(self, folder: Path, description: Description, *, part: str) -> None:
        """Open or resume the journal `part` of the run in `folder`; within `guarded`.

        Raises:
            UsageError: the folder belongs to a run of another description, or another process
                writes this part just now.
        """
        self.folder = folder
        self.file = folder / f"{part}.jsonl"
        keep_description(folder, description)
        check_description(folder / _DESCRIPTION, description)
        try:
            lock = take_lock(Path(f"{self.file}.lock"))
            if lock is None:
                raise UsageError(
                    f"another process is writing {self.file}", hint="wait for it, or end it"
                )
            self._lock: int | None = lock
            self._stream = self.file.open("ab", buffering=0)  # close() must not write once more
            os.ftruncate(self._stream.fileno(), sum(map(len, _lines(self.file))))
        except OSError as error:
            raise write_error(self.file, error) from error

    def append(self, entry: Entry) -> None:
        """Add a line; it is in the file when this returns.

        Raises:
            VideoSwinError: the disk is full.
        """
        try:
            write_all(self._stream.fileno(), f"{to_json(entry)}\n".encode())
        except OSError as error:
            raise write_error(self.file, error) from error

    def entries(self) -> dict[str, tuple[str, Entry]]:
        """Path -> (part, last entry) over all parts; a failed entry replaces no good one."""
        return read_journals(self.folder, lambda line, entry: (line.part, entry))

    def own_entries(self) -> Iterator[Entry]:
        """All lines of this part."""
        return map(json.loads, _lines(self.file))

    def close(self) -> None:
        """Let others write this part."""
        self._stream.close()
        if self._lock is not None:
            release(self._lock)
        self._lock = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def keep_description(folder: Path, description: Description) -> Description:
    """Say which run a folder is of, which is made. Gives what another process said before.

    Raises:
        UsageError: the folder cannot be written or is not of a run, or what it says cannot be read.
    """
    file = folder / _DESCRIPTION
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            if others := sorted(folder.glob("*.jsonl")):
                raise ResumeError(
                    f"{others[0]} is there, but no {file.name} that says of which run it is",
                    hint=f"remove {folder}, or choose another output",
                )
            write_description(file, description)
    except OSError as error:
        raise write_error(folder, error) from error
    return read_description(file)


def kept_description(folder: Path) -> Description | None:
    """Description that `keep_description` left; None where there is nothing."""
    file = folder / _DESCRIPTION
    return read_description(file) if file.exists() else None


def is_worked_on(folder: Path) -> bool:
    """Whether a process has a journal of the run open."""
    return any(is_locked(file) for file in folder.glob("*.jsonl.lock"))


def check_idle(folder: Path, out: Path) -> None:
    """Raises UsageError where another process is writing the output of a run."""
    if is_worked_on(folder):
        raise UsageError(f"another process is writing {out}", hint="wait for it, or end it")


def read_journals(folder: Path, take: Callable[[Line, Entry], Kept]) -> dict[str, Kept]:
    """Facts taken from the last entry of each video, by path, over all journals of a folder.

    A failed entry counts against a good one only if the file was replaced in between.

    Args:
        folder: of the run.
        take: what is needed of an entry, or its line: all entries together may take gigabytes.
    """
    taken: dict[str, Kept] = {}
    good: dict[str, str] = {}  # stamps of the files of what is not failed
    for line, entry in _entries(folder):
        path, stamp = entry["path"], entry.get("file_stamp") or ""
        if not entry.get("error"):
            good[path] = stamp
        elif path in good:
            if not stamp or good[path] in ("", stamp):
                continue
            del good[path]
        taken[path] = take(line, entry)
    return taken


@contextmanager
def open_lines(folder: Path) -> Iterator[Callable[[Line], Entry]]:
    """Give a function that reads the entry of a line, while nobody removes the run."""
    with ExitStack() as stack:
        streams: dict[str, BinaryIO] = {}

        def read(line: Line) -> Entry:
            if line.part not in streams:
                file = folder / f"{line.part}.jsonl"
                streams[line.part] = stack.enter_context(file.open("rb"))
            stream = streams[line.part]
            stream.seek(line.start)
            entry: Entry = json.loads(stream.readline())
            return entry

        yield read


def has_entries(folder: Path) -> bool:
    """Whether the journals of a folder have anything."""
    return any(True for _ in _entries(folder))


def read_stamps(folder: Path) -> dict[str, str | None]:
    """Stamps of the files of all videos that are done, by path; None: it failed."""
    return read_journals(folder, lambda line, entry: good_stamp(entry))


def good_stamp(entry: Entry) -> str | None:
    """Stamp of the file of a video that is done; None: it failed."""
    return None if entry.get("error") is not None else entry.get("file_stamp") or ""


def _entries(folder: Path) -> Iterator[tuple[Line, Entry]]:
    """Each entry and its line, but for parts of a video: these are its writer's alone."""
    for file in sorted(folder.glob("*.jsonl")):
        start = 0
        for line in _lines(file):
            entry = json.loads(line)
            if not entry.get("partial"):
                yield Line(file.stem, start), entry
            start += len(line)


def discard(folder: Path) -> None:
    """Remove the folder of a run. Killed in the middle, it is gone all the same.

    Raises:
        OSError: it cannot be removed.
    """
    if folder.exists():
        folder.replace(_leftover(folder))
        _remove_contents(_leftover(folder))


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write every byte. Raises OSError on a full disk."""
    rest = memoryview(content).cast("B")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _lines(file: Path) -> Iterator[bytes]:
    """Finished lines; JSON has no other line feeds."""
    with file.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield line


def _leftover(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old")


def _remove_contents(folder: Path) -> None:
    """Remove a folder of a run; the file that tells it from others' folders is the last to go."""
    if not folder.is_dir():
        return
    files = sorted(folder.iterdir(), key=lambda file: file.name.startswith(_DESCRIPTION))
    if files and not files[-1].name.startswith(_DESCRIPTION):  # itself, or a draft of it
        return
    for file in files:
        file.unlink(missing_ok=True)
    folder.rmdir()
