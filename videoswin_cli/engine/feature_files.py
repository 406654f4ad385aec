"""Features on disk: one matrix with an index beside it, one file with all of it, or a folder.

While a run lasts, rows and a journal for each process lie in `OUT.part`. What a killed run left
there is resumed; the output appears when every video has its row.
"""

import errno
import json
import os
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from videoswin_cli.data.windows import Begun
from videoswin_cli.engine.feature_tables import (
    INDEX_COLUMNS,
    METADATA,
    StoredVideo,
    all_rows,
    group_rows,
    make_table,
    read_index,
    read_table,
    save_npy,
    write_index,
)
from videoswin_cli.engine.features import Plan, Rows
from videoswin_cli.engine.journal import (
    Entry,
    Journal,
    discard,
    guarded,
    is_worked_on,
    keep_description,
    kept_description,
    read_journals,
    write_all,
)
from videoswin_cli.engine.provenance import (
    Description,
    check_description,
    check_equal,
    read_description,
    to_text,
)
from videoswin_cli.errors import UsageError
from videoswin_cli.files import is_refusal, remove_drafts, write_failure
from videoswin_cli.model.checkpoint import write_safetensors

OutputKind = Literal[".npy", ".npz", ".safetensors", "folder"]

_COMPLETE = "complete"  # in OUT.part: what is to be moved to its place is all there
_COLUMNS = ("paths", "start", "end", "status", "decoder", "notes")  # of a table
_REMOVING = "removing"  # in OUT.part: what was there before is being removed


@dataclass(frozen=True, kw_only=True)
class Output:
    """Where features go, and under which names."""

    path: Path
    kind: OutputKind

    @property
    def part(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def files(self) -> tuple[Path, ...]:
        """What makes up the output, files of single videos excepted. The description is last."""
        if self.kind == "folder":
            return self.path / "index.csv", self.path / "meta.json"
        if self.kind == ".npy":
            stem = self.path.stem
            beside = (self.path.with_name(f"{stem}.{name}") for name in ("index.csv", "meta.json"))
            return self.path, *beside
        return (self.path,)

    def feature_file(self, path: str) -> Path | None:
        """File of one video in a folder: its path without what leads out of the folder.

        None where that leaves no name, as of `..`.
        """
        parts = PurePosixPath(path.replace(os.sep, "/").replace("://", "/")).parts
        kept = [part for part in parts if part not in ("/", "//", "..", ".")]
        return self.path.joinpath(*kept[:-1], f"{kept[-1]}.npy") if kept else None


def parse_output(text: str) -> Output:
    """`DIR/` or a name without suffix is a folder.

    Raises:
        UsageError: an unknown suffix, or no folder to write to.
    """
    path = Path(text)
    kind: OutputKind
    known = path.suffix in get_args(OutputKind)
    if known and path.is_dir() and not text.endswith(("/", os.sep)):
        raise UsageError(f"--out {text} is a folder", hint="write it with / at its end to use it")
    if text.endswith(("/", os.sep)) or path.is_dir() or not path.suffix:
        kind = "folder"
    elif known:
        kind = path.suffix  # type: ignore[assignment]
    else:
        raise UsageError(
            f"--out {text}: unknown suffix {path.suffix!r}",
            hint="use .npy, .npz, .safetensors, or a folder with / at its end",
        )
    path = path.resolve()
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {text}: no such folder: {path.parent}")
    return Output(path=path, kind=kind)


# --- while a run goes on --------------------------------------------------------------------------


FileState = tuple[int, int]  # size in bytes and time of the last change in ns


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
    """What one process adds to an output. A video counts once its line is in the journal.

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

    def resume(self, path: str, state: FileState | None) -> Begun | None:
        """What an earlier run has of a video that is now to be ended; None where it has nothing.

        Args:
            path: of the video; it must be the next one.
            state: of its file; a file that was changed is begun anew.
        """
        draft = self._draft
        if draft.path != path or draft.state is None or draft.state != state:
            return None
        return Begun(windows=len(draft.times), readable=len(draft.gaps) < len(draft.times))

    def forget(self) -> None:
        """Drop what an earlier run has of a video that it did not end."""
        self._draft = _Draft()
        self._truncate()

    def add(self, rows: Rows, path: str, state: FileState | None) -> None:
        """More rows of the current video, whose file is in a state.

        Raises:
            VideoSwinError: the disk is full.
        """
        try:
            write_all(self._stream.fileno(), np.ascontiguousarray(rows.features).data)
        except OSError as error:
            raise write_failure(self._file, error) from error
        done = len(self._draft.times)
        gaps = [(done + row, reason) for row, reason in rows.gaps.items()]
        more: Entry = {"path": path, "partial": True, "from": done, "state": state}
        more |= {"times": rows.times, "gaps": gaps, "notes": rows.notes}
        self._draft.add(more)
        if not rows.last and state is not None:
            self._journal.append(more)

    def end(self, path: str, decoder: str) -> str | None:
        """The current video is complete. Gives why its file cannot have its name, where it cannot.

        Raises:
            VideoSwinError: the disk is full.
        """
        draft, in_matrix = self._draft, self.output.kind != "folder"
        if not in_matrix and (reason := self._place(path, len(draft.times))) is not None:
            self.fail(path, reason)
            return reason
        entry: Entry = {"path": path, "error": None, "decoder": decoder, "times": draft.times}
        entry |= {"first": self._count, "gaps": list(draft.gaps.items()), "notes": draft.notes}
        self._journal.append(entry)
        self._count += len(draft.times) if in_matrix else 0
        self.forget()
        return None

    def fail(self, path: str, reason: str) -> None:
        """The current video cannot be read or written; what was added of it goes."""
        entry: Entry = {"path": path, "error": reason, "decoder": None, "times": []}
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
            save_npy(draft, [_map(self._file, self._plan, rows)], self._plan)
        except OSError as error:
            raise write_failure(draft, error) from error
        if target is None:
            return NO_NAME
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(target)
        except OSError as error:
            if not is_refusal(error):
                raise write_failure(target, error) from error
            _remove_empty_folders(target, self.output.path)
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
    """Why a video cannot have a file of its own, as far as can be seen before there is one."""
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


def read_part(output: Output, plan: Plan) -> dict[str, StoredVideo]:
    """Videos that `OUT.part` has, by path."""
    found = read_journals(output.part)
    files: dict[str, NDArray[Any]] = {}
    videos = {}
    for path, (part, entry) in found.items():
        features = None
        if entry["error"] is None and output.kind != "folder":
            if part not in files:
                files[part] = _map(output.part / f"{part}.rows", plan)
            features = files[part][entry["first"] : entry["first"] + len(entry["times"])]
        videos[path] = _from_entry(entry, features)
    return videos


def _from_entry(entry: Entry, features: NDArray[Any] | None) -> StoredVideo:
    return StoredVideo(
        path=entry["path"],
        times=tuple((start, end) for start, end in entry["times"]),
        decoder=entry["decoder"],
        error=entry["error"],
        gaps=dict(entry.get("gaps", ())),
        notes=tuple(entry.get("notes", ())),
        features=features,
    )


def _map(file: Path, plan: Plan, rows: int | None = None) -> NDArray[Any]:
    size = int(np.prod(plan.shape)) * plan.dtype.itemsize
    count = file.stat().st_size // size if rows is None else rows
    if not count:
        return np.empty((0, *plan.shape), dtype=plan.dtype)
    return np.memmap(file, dtype=plan.dtype, mode="r", shape=(count, *plan.shape))


# --- the output -----------------------------------------------------------------------------------


def open_output(
    output: Output,
    description: Description,
    plan: Plan,
    paths: Collection[str],
    *,
    part: str,
    overwrite: bool,
) -> FeatureWriter | None:
    """Begin an output, or join the run that is under way; None where all of it is done.

    Nobody can remove or finish the output until the writer is closed.

    Args:
        output: where to.
        description: of the run.
        plan: of the run.
        paths: all videos that are asked for.
        part: of this process.
        overwrite: remove what is there first.

    Raises:
        UsageError: what is there is of another run or not ours, or others are writing it.
    """
    with guarded(output.part):
        settle(output)
        check_ours(output)
        if output.kind == "folder" and not os.access(_existing(output.path), os.W_OK):
            raise UsageError(f"cannot write {output.path}: {os.strerror(errno.EACCES)}")
        if overwrite:
            _check_idle(output)
            _remove_output(output, description)
        found = read_all(output, description, plan)
        _check_nothing_else(found, paths, output)
        done = all(path in found and found[path].error is None for path in paths)
        if done and not output.part.exists():
            return None
        return FeatureWriter(output, description, plan, part=part)


def join_output(
    output: Output, description: Description, plan: Plan, *, part: str
) -> FeatureWriter:
    """As `open_output`, for the other processes of a `torchrun`."""
    with guarded(output.part):
        return FeatureWriter(output, description, plan, part=part)


def finish(
    writer: FeatureWriter, description: Description, plan: Plan, paths: Sequence[str]
) -> tuple[bool, dict[str, StoredVideo]]:
    """Put the output in its place, if every video of `paths` is done and nobody else at work.

    Returns:
        Whether it is in its place, and the videos that are done.

    Raises:
        VideoSwinError: the disk is full.
    """
    output = writer.output
    with guarded(output.part):
        writer.close()
        found = read_all(output, description, plan)
        order = sorted(found) if output.kind == "folder" else paths
        complete = all(path in found for path in paths) and not is_worked_on(output.part)
        if complete:
            try:
                if read_journals(output.part):
                    _prepare(output, description, plan, [found[path] for path in order])
                    settle(output)
                else:  # nothing was left to be done
                    discard(output.part)
            except OSError as error:
                raise write_failure(output.path, error) from error
        return complete, found


def read_all(output: Output, description: Description, plan: Plan) -> dict[str, StoredVideo]:
    """Videos that are done, in the output or under way, by path.

    Raises:
        UsageError: the output is of another run.
    """
    found = read_output(output, description)
    if (kept := kept_description(output.part)) is not None:
        check_equal(kept, description, where=str(output.part))
        found |= read_part(output, plan)
    return found


def look_at_output(output: Output, *, resume: bool, overwrite: bool) -> None:
    """Notice before anything slow happens that an output must not be written.

    Raises:
        UsageError: what is there is not ours, or not to be resumed, or others are writing it.
    """
    with guarded(output.part):
        settle(output)
        check_ours(output)
        remove_drafts(output.path.parent, output.path.name)  # of those who tried to write it
        if overwrite:
            _check_idle(output)
        elif not resume:
            for path in (*output.files, output.part):
                if path.exists():
                    raise UsageError(
                        f"{path} exists", hint="--resume resumes it, --overwrite starts over"
                    )


def settle(output: Output) -> None:
    """Move a complete output to its place, and end a removal; within `guarded`.

    Killed in the middle, it is done again.
    """
    if (output.part / _REMOVING).exists():
        _remove_files(output)
        (output.part / _REMOVING).unlink()
    if (output.part / _COMPLETE).exists():
        if output.kind == "folder":
            output.path.mkdir(exist_ok=True)
        for file in output.files:
            if (output.part / file.name).exists():
                (output.part / file.name).replace(file)
        discard(output.part)


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else folder.parent


def _check_idle(output: Output) -> None:
    if is_worked_on(output.part):
        raise UsageError(f"another process is writing {output.path}", hint="wait for it, or end it")


def _check_nothing_else(found: Collection[str], paths: Collection[str], output: Output) -> None:
    """A matrix is of the videos that are asked for and of no others; a folder may grow."""
    others = sorted(set(found) - set(paths))
    if others and output.kind != "folder":
        raise UsageError(
            f"{output.path} has {len(others)} videos that are not asked for now, such as "
            f"{others[0]}",
            hint="ask for these too, choose another --out, or start over with --overwrite",
        )


def _remove_output(output: Output, description: Description) -> None:
    """Forget an output of ours and what is under way, and begin a run of `description`."""
    discard(output.part)
    keep_description(output.part, description)
    (output.part / _REMOVING).touch()
    _remove_files(output)
    (output.part / _REMOVING).unlink()


def _remove_files(output: Output) -> None:
    """Files of an output. The index is the last: it tells which others there are."""
    *others, meta = output.files
    meta.unlink(missing_ok=True)
    if output.kind == "folder" and output.files[0].exists():
        for path in {entry["path"] for entry in read_index(output.files[0]) if entry["row"]}:
            file = output.feature_file(path)
            if file is not None:
                file.unlink(missing_ok=True)
                _remove_empty_folders(file, output.path)
    for other in others:
        other.unlink(missing_ok=True)


def _remove_empty_folders(file: Path, top: Path) -> None:
    with suppress(OSError):  # not empty
        for folder in file.relative_to(top).parents[:-1]:
            (top / folder).rmdir()


def check_ours(output: Output) -> None:
    """Refuse to write over what somebody else made.

    Raises:
        UsageError: a file of the output's names is there, and no description of ours.
    """
    if kept_description(output.part) is not None:
        return
    if output.kind in (".npz", ".safetensors"):
        if output.path.exists():
            read_table(output.path)
        return
    *others, meta = output.files
    if output.kind == "folder":
        others = [path for path in output.path.rglob("*") if path.is_file()][:1]
    there = [path for path in others if path.exists()]
    if there and not meta.exists():
        raise UsageError(
            f"{there[0]} is there, but no {meta.name} that says what it is: not written by us",
            hint="choose another --out, or remove it by hand",
        )


def read_output(output: Output, description: Description) -> dict[str, StoredVideo]:
    """Videos of a finished output, by path; none where there is none.

    Raises:
        UsageError: it is of another run, or no output of ours.
    """
    if output.kind == "folder":
        if not any(path.is_file() for path in output.path.rglob("*")):
            return {}
        if not output.files[-1].exists() and kept_description(output.part) is not None:
            return {}  # files of single videos, and the journal knows them
    elif not output.path.exists():
        return {}
    if output.kind in (".npy", "folder"):
        index, meta = output.files[-2:]
        check_description(meta, description)
        features = None
        if output.kind == ".npy":
            features = np.load(output.path, mmap_mode="r", allow_pickle=False)
        return group_rows(read_index(index), features)
    table = read_table(output.path)
    check_equal(table.meta, description, where=str(output.path))
    columns = zip(*(getattr(table, name) for name in _COLUMNS), strict=True)
    rows = [dict(zip(INDEX_COLUMNS[1:], row, strict=True)) for row in columns]
    return group_rows(rows, table.features)


def recorded_description(output: Output) -> Description | None:
    """Of the run that is under way, else of the finished output; None where there is neither.

    Raises:
        UsageError: what is there is not ours, or damaged.
    """
    if (found := kept_description(output.part)) is not None:
        return found
    if not output.files[-1].exists():
        return None
    if output.kind in (".npy", "folder"):
        return read_description(output.files[-1])
    return dict(read_table(output.path).meta)


def _prepare(
    output: Output, description: Description, plan: Plan, videos: Sequence[StoredVideo]
) -> None:
    """Write all files of the output to `OUT.part`."""
    part = output.part
    if output.kind in (".npy", "folder"):
        index, meta = (part / file.name for file in output.files[-2:])
        write_index(index, videos, plan, each_alone=output.kind == "folder")
        meta.write_text(to_text(description), encoding="utf-8")
        if output.kind == ".npy":
            save_npy(part / output.path.name, all_rows(videos, plan), plan)
    else:
        save_npy(part / "matrix.npy", all_rows(videos, plan), plan)
        features = np.load(part / "matrix.npy", mmap_mode="c", allow_pickle=False)
        table = make_table(videos, features, description, plan)
        columns = {name: getattr(table, name) for name in table.__dataclass_fields__}
        columns["meta"] = np.array(to_text(description))
        if output.kind == ".npz":
            with (part / output.path.name).open("wb") as file:
                np.savez(file, **columns)
        else:
            import torch

            del columns["features"]
            metadata = json.dumps({key: value.tolist() for key, value in columns.items()})
            tensors = {"features": torch.from_numpy(features)}
            write_safetensors(part / output.path.name, tensors, {METADATA: metadata})
    (part / _COMPLETE).touch()
