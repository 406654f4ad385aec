"""What a long run has done so far, on disk: a line a video, so that nothing is done twice.

A run keeps a folder beside its output, with a description of the run and a journal for each process
that works on it. Killed at any moment, a journal loses at most the line being written.
"""

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from videoswin_cli.engine.provenance import (
    Description,
    check_description,
    read_description,
    write_description,
)
from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.files import to_json

Entry = dict[str, Any]  # of one video; has its "path"

_DESCRIPTION = "run.json"


class Journal(AbstractContextManager["Journal"]):
    """Lines of one process, and those of all others that work or worked on the same output."""

    def __init__(self, folder: Path, description: Description, *, part: str) -> None:
        """Open or go on with the journal `part` of the run in `folder`.

        Raises:
            UsageError: the folder belongs to a run of another description, or another process
                writes this part just now.
        """
        self.folder = folder
        self.file = folder / f"{part}.jsonl"
        keep_description(folder, description)
        check_description(folder / _DESCRIPTION, description)
        self._lock = FileLock(f"{self.file}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"another process is writing {self.file}", hint="wait for it, or end it"
            ) from None
        _cut_unfinished_line(self.file)
        self._stream = self.file.open("a", encoding="utf-8")

    def append(self, entry: Entry) -> None:
        """Add a line; it is in the file when this returns.

        Raises:
            VideoSwinError: the disk is full.
        """
        try:
            self._stream.write(to_json(entry) + "\n")
            self._stream.flush()
        except OSError as error:
            raise write_failure(self.file, error) from error

    def own_entries(self) -> list[Entry]:
        """All lines of this part."""
        return [json.loads(line) for line in self.file.read_bytes().splitlines()]

    def entries(self) -> dict[str, tuple[str, Entry]]:
        """Path -> (part, last entry) over all parts; a failed entry replaces no good one."""
        return read_journals(self.folder)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        self._lock.release()


def keep_description(folder: Path, description: Description) -> Description:
    """Say which run a folder is of, which is made. Gives what another process said before.

    Raises:
        UsageError: the folder cannot be written, or what it says cannot be read.
    """
    file = folder / _DESCRIPTION
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{file}.lock"):
            if not file.exists():
                write_description(file, description)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    return read_description(file)


def kept_description(folder: Path) -> Description | None:
    """What `keep_description` left; None where there is nothing."""
    file = folder / _DESCRIPTION
    return read_description(file) if file.exists() else None


def write_failure(path: Path, error: OSError) -> VideoSwinError:
    return VideoSwinError(
        f"cannot write {path}: {error.strerror or error}",
        hint="make room, then start the same command again: what is done is kept",
    )


def read_journals(folder: Path) -> dict[str, tuple[str, Entry]]:
    """Path -> (part, last entry) over all journals of a folder, the good ones first."""
    entries: dict[str, tuple[str, Entry]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_bytes().split(b"\n")[:-1]:  # the last one is empty or unfinished
            entry = json.loads(line)
            known = entries.get(entry["path"])
            if known is None or known[1].get("error") or not entry.get("error"):
                entries[entry["path"]] = (file.stem, entry)
    return entries


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _cut_unfinished_line(file: Path) -> None:
    if file.exists():
        content = file.read_bytes()
        with file.open("r+b") as stream:
            stream.truncate(content.rfind(b"\n") + 1)
