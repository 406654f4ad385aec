"""Rows and journal lines that one process adds to an output while a run lasts."""

import errno
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoswin_cli.data.window_dataset import Begun
from videoswin_cli.engine.file_stamps import FileState, read_state
from videoswin_cli.engine.journal import Entry, Journal, write_all
from videoswin_cli.engine.provenance import Description
from videoswin_cli.io.atomic import is_refusal, write_error
from videoswin_cli.tasks.extract.features import Plan, Rows
from videoswin_cli.tasks.extract.output import Output, remove_empty_folders
from videoswin_cli.tasks.extract.tables import save_npy


@dataclass(kw_only=True)
class _Draft:
    """The video being written."""

    path: str | None = None  # None: nothing of it is in the journal
    state: FileState | None = None  # of its file; None: not to be resumed within
    times: list[tuple[float, float]] = field(default_factory=list)
    gaps: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Add what an entry of the journal tells of further rows."""
        self.times += [(start, end) for start, end in entry["times"]]
        self.gaps |= dict(entry["gaps"])
        self.notes += entry["notes"]


class FeatureWriter(AbstractContextManager["FeatureWriter"]):
    """Writer of one process's part of an output. A video counts once its line is in the journal.

    Rows of a video that comes in pieces are in the journal piece by piece, for `resume`.
    """

    def __init__(self, output: Output, description: Description, plan: Plan, *, part: str) -> None:
        """Open or resume, within `guarded`.

        Raises:
            UsageError: `OUT.part` belongs to another run, or another process writes this part.
        """
        self.output = output
        self._plan = plan
        self._journal = Journal(output.part, description, part=part)
        self._file = output.part / f"{part}.rows"
        self._count = 0  # rows in the file that belong to finished videos
        self._draft = _Draft()
        for entry in self._journal.own_entries():
            self._recall(entry)
        self._stream = self._file.open("ab", buffering=0)
        if self._stream.tell() < (self._count + len(self._draft.times)) * self._row_bytes:
            self._draft = _Draft()
        self._truncate()

    def resume(self, path: str, file: str | None) -> Begun | None:
        """Windows that an earlier run has of a video that is now to be ended; None without any.

        Args:
            path: of the video; it must be the next one.
            file: of the video; one that was changed is begun anew.
        """
        draft = self._draft
        if draft.path != path or draft.state is None or draft.state != read_state(file):
            return None
        return Begun(windows=len(draft.times), readable=len(draft.gaps) < len(draft.times))

    def forget(self) -> None:
        """Drop what an earlier run has of a video that it did not end."""
        self._draft = _Draft()
        self._truncate()

    def add(self, rows: Rows, path: str, file: str | None) -> None:
        """More rows of the current video, which is in a file.

        Raises:
            VideoSwinError: the disk is full.
        """
        try:
            write_all(self._stream.fileno(), np.ascontiguousarray(rows.features).data)
        except OSError as error:
            raise write_error(self._file, error) from error
        done = len(self._draft.times)
        gaps = [(done + row, reason) for row, reason in rows.gaps.items()]
        state = None if rows.last else read_state(file)
        more: Entry = {"path": path, "partial": True, "from": done, "state": state}
        more |= {"times": rows.times, "gaps": gaps, "notes": rows.notes}
        self._draft.add(more)
        if state is not None:
            self._journal.append(more)

    def end(self, path: str, decoder: str, *, stamp: str = "") -> str | None:
        """The current video is complete. Gives why its file cannot have its name, where it cannot.

        Raises:
            VideoSwinError: the disk is full.
        """
        draft, in_matrix = self._draft, self.output.kind != "folder"
        if not in_matrix and (reason := self._place(path, len(draft.times))) is not None:
            self.fail(path, reason, stamp=stamp)
            return reason
        entry: Entry = {"path": path, "error": None, "decoder": decoder, "times": draft.times}
        entry |= {"first": self._count, "gaps": list(draft.gaps.items()), "notes": draft.notes}
        entry["file_stamp"] = stamp
        self._journal.append(entry)
        self._count += len(draft.times) if in_matrix else 0
        self.forget()
        return None

    def fail(self, path: str, reason: str, *, stamp: str = "") -> None:
        """The current video cannot be read or written; what was added of it goes."""
        entry: Entry = {"path": path, "error": reason, "decoder": None, "times": []}
        entry["file_stamp"] = stamp
        self._journal.append(entry | {"first": self._count, "notes": self._draft.notes})
        self.forget()

    def close(self) -> None:
        """Let others write this part."""
        self._stream.close()
        self._journal.close()

    def _place(self, path: str, rows: int) -> str | None:
        """Move the rows of a video to its own file. Gives why it cannot have that name."""
        draft = self._file.with_name(f"{self._file.name}.npy")
        target = self.output.feature_file(path)
        try:
            save_npy(draft, [map_rows(self._file, self._plan, rows)], self._plan)
        except OSError as error:
            raise write_error(draft, error) from error
        if target is None:
            return NO_NAME
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(target)
        except OSError as error:
            if not is_refusal(error):
                raise write_error(target, error) from error
            remove_empty_folders(target, self.output.path)
            return describe_refusal(error)
        return None

    def _recall(self, entry: Entry) -> None:
        """Take in an entry that this part wrote before."""
        if not entry.get("partial"):
            if self.output.kind != "folder":
                self._count = max(self._count, entry["first"] + len(entry["times"]))
            self._draft = _Draft()
            return
        if entry["from"] == 0:
            size, changed = entry["state"]
            self._draft = _Draft(path=entry["path"], state=(size, changed))
        if (self._draft.path, len(self._draft.times)) == (entry["path"], entry["from"]):
            self._draft.add(entry)

    @property
    def _row_bytes(self) -> int:
        return int(np.prod(self._plan.shape)) * self._plan.dtype.itemsize

    def _truncate(self) -> None:
        """Cut off rows that belong to no video."""
        rows = self._count + len(self._draft.times)
        os.ftruncate(self._stream.fileno(), rows * self._row_bytes)

    def __exit__(self, *error: Any) -> None:
        self.close()


NO_NAME = "no name is left of it for its own file: write one matrix (.npy)"


def describe_refusal(error: OSError) -> str:
    """Status of a video whose own file cannot be written."""
    return f"its own file cannot be written: {error.strerror}: write one matrix (.npy)"


def find_refusal(output: Output, path: str) -> str | None:
    """Reason against a video's own file, as far as can be seen before there is one."""
    if output.kind != "folder":
        return None
    target = output.feature_file(path)
    if target is None:
        return NO_NAME
    try:
        if target.is_dir():
            return describe_refusal(IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
        target.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return describe_refusal(error)
    except ValueError as error:  # a null character
        return f"its own file cannot be written: {error}"
    return None


def map_rows(file: Path, plan: Plan, rows: int | None = None) -> NDArray[Any]:
    size = int(np.prod(plan.shape)) * plan.dtype.itemsize
    count = file.stat().st_size // size if rows is None else rows
    if not count:
        return np.empty((0, *plan.shape), dtype=plan.dtype)
    # As a plain array: parts of a memmap are ten times as slow to take.
    return np.asarray(np.memmap(file, dtype=plan.dtype, mode="r", shape=(count, *plan.shape)))
