"""Journals of a long run on disk: one line per finished video, so that nothing is done twice.

A run keeps a folder beside its output, with a description of the run and a journal for each process
that works on it. Killed at any moment, a journal loses at most the line being written.

Whatever is decided from what is there, and changes it, happens within `guarded`: to begin a run, to
join it, to finish it or to remove it.
"""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

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

_DESCRIPTION = "run.json"


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

    def own_entries(self) -> list[Entry]:
        """All lines of this part."""
        return [json.loads(line) for line in _lines(self.file)]

    def entries(self) -> dict[str, tuple[str, Entry]]:
        """Path -> (part, last entry) over all parts; a failed entry replaces no good one."""
        return read_journals(self.folder)

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


def read_journals(folder: Path) -> dict[str, tuple[str, Entry]]:
    """Path -> (part, last entry) over all journals of a folder, the good ones first.

    A failed entry counts against a good one only if the file was replaced in between.

    Entries of a part of a video (`partial`) are for the process that wrote them.
    """
    entries: dict[str, tuple[str, Entry]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in _lines(file):
            entry = json.loads(line)
            if entry.get("partial"):
                continue
            known = entries.get(entry["path"])
            if known is None or not entry.get("error") or _replaces(entry, known[1]):
                entries[entry["path"]] = (file.stem, entry)
    return entries


def _replaces(failed: Entry, known: Entry) -> bool:
    stamps = failed.get("file_stamp"), known.get("file_stamp")
    return bool(known.get("error")) or (all(stamps) and stamps[0] != stamps[1])


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


def _lines(file: Path) -> list[bytes]:
    """Finished lines; JSON has no other line feeds."""
    return [line + b"\n" for line in file.read_bytes().split(b"\n")[:-1]]


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
