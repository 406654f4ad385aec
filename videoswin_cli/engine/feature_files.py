"""Features on disk: one matrix with an index beside it, one file with all of it, or a folder.

While a run goes on, rows and a journal for each process lie in `OUT.part`. What a killed run left
there is gone on with; the output appears when every video has its row.
"""

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

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
    kept_description,
    read_journals,
    write_failure,
)
from videoswin_cli.engine.provenance import (
    Description,
    check_description,
    check_equal,
    read_description,
    to_text,
)
from videoswin_cli.errors import UsageError
from videoswin_cli.model.checkpoint import write_safetensors

OutputKind = Literal[".npy", ".npz", ".safetensors", "folder"]

_COMPLETE = "complete"  # in OUT.part: what is to be moved to its place is all there


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

    def feature_file(self, path: str) -> Path:
        """File of one video in a folder: its path without what leads out of the folder."""
        parts = PurePosixPath(path.replace(os.sep, "/").replace("://", "/")).parts
        kept = [part for part in parts if part not in ("/", "..", ".")]
        return self.path.joinpath(*kept[:-1], f"{kept[-1]}.npy")


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


class FeatureWriter(AbstractContextManager["FeatureWriter"]):
    """What one process adds to an output. A video counts once its line is in the journal."""

    def __init__(self, output: Output, description: Description, plan: Plan, *, part: str) -> None:
        """Open or go on.

        Raises:
            UsageError: `OUT.part` belongs to another run, or another process writes this part.
        """
        self._output = output
        self._plan = plan
        self._journal = Journal(output.part, description, part=part)
        self._file = output.part / f"{part}.rows"
        own = () if output.kind == "folder" else self._journal.own_entries()
        ends = (entry["first"] + len(entry["times"]) for entry in own)
        self._count = max(ends, default=0)  # rows in the file that belong to finished videos
        self._first = self._count  # of the video being written
        self._times: list[tuple[float, float]] = []
        self._gaps: dict[int, str] = {}
        self._stream = self._file.open("ab")
        self._cut()

    def add(self, rows: Rows) -> None:
        """More rows of the current video.

        Raises:
            VideoSwinError: the disk is full.
        """
        try:
            self._stream.write(np.ascontiguousarray(rows.features).data)
        except OSError as error:
            raise write_failure(self._file, error) from error
        self._gaps |= {len(self._times) + row: reason for row, reason in rows.gaps.items()}
        self._times += rows.times

    def end(self, path: str, decoder: str) -> None:
        """The current video is complete."""
        times, first = self._times, self._first
        try:
            self._stream.flush()
            if self._output.kind == "folder":
                target = self._output.feature_file(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                draft = self._file.with_name(f"{self._file.name}.npy")
                save_npy(target, draft, [_map(self._file, self._plan, len(times))], self._plan)
                first = 0
        except OSError as error:
            raise write_failure(self._file, error) from error
        entry: Entry = {"path": path, "error": None, "decoder": decoder}
        entry |= {"times": times, "first": first, "gaps": list(self._gaps.items())}
        self._journal.append(entry)
        self._count = 0 if self._output.kind == "folder" else self._first + len(times)
        self._cut()

    def fail(self, path: str, reason: str) -> None:
        """The current video cannot be read; what was added of it goes."""
        self._cut()
        entry: Entry = {"path": path, "error": reason, "decoder": None}
        entry |= {"times": [], "first": self._count}
        self._journal.append(entry)

    def _cut(self) -> None:
        """Forget rows that belong to no finished video."""
        row = int(np.prod(self._plan.shape)) * self._plan.dtype.itemsize
        self._stream.flush()
        self._stream.truncate(self._count * row)
        self._first = self._count
        self._times = []
        self._gaps = {}

    def __exit__(self, *error: Any) -> None:
        self._stream.close()
        self._journal.__exit__(*error)


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
        features=features,
    )


def _map(file: Path, plan: Plan, rows: int | None = None) -> NDArray[Any]:
    size = int(np.prod(plan.shape)) * plan.dtype.itemsize
    count = file.stat().st_size // size if rows is None else rows
    if not count:
        return np.empty((0, *plan.shape), dtype=plan.dtype)
    return np.memmap(file, dtype=plan.dtype, mode="r", shape=(count, *plan.shape))


# --- the output -----------------------------------------------------------------------------------


def finish(output: Output, description: Description, plan: Plan, paths: Sequence[str]) -> bool:
    """Put the output in its place, if every video of `paths` has been done by somebody.

    Raises:
        VideoSwinError: the disk is full.
    """
    if not output.part.exists():  # nothing was done that is not in the output
        return True
    lock = Path(f"{output.part}.lock")
    with FileLock(lock):
        found = read_all(output, description, plan)
        order = sorted(found) if output.kind == "folder" else paths
        complete = all(path in found for path in paths)
        if complete and output.part.exists():
            try:
                _prepare(output, description, plan, [found[path] for path in order])
            except OSError as error:
                raise write_failure(output.path, error) from error
            settle(output)
    lock.unlink(missing_ok=True)
    return complete


def read_all(output: Output, description: Description, plan: Plan) -> dict[str, StoredVideo]:
    """Videos that are done, in the output or under way, by path.

    Raises:
        UsageError: the output is of another run.
    """
    found = read_output(output, description)
    if output.part.exists():
        found |= read_part(output, plan)
    return found


def settle(output: Output) -> None:
    """Move a complete output to its place. Killed in the middle, it is done again."""
    if (output.part / _COMPLETE).exists():
        if output.kind == "folder":
            output.path.mkdir(exist_ok=True)
        for file in output.files:
            if (output.part / file.name).exists():
                (output.part / file.name).replace(file)
        output.part.replace(_leftover(output))
    shutil.rmtree(_leftover(output), ignore_errors=True)


def remove_output(output: Output) -> None:
    """Forget an output of ours and what is under way.

    Raises:
        UsageError: what is there is not ours.
    """
    check_ours(output)
    index = output.files[0]
    if output.kind == "folder" and index.exists():
        for entry in read_index(index):
            file = output.feature_file(entry["path"])
            file.unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                for folder in file.relative_to(output.path).parents[:-1]:
                    (output.path / folder).rmdir()
    for file in reversed(output.files):
        file.unlink(missing_ok=True)
    shutil.rmtree(output.part, ignore_errors=True)


def check_ours(output: Output) -> None:
    """Refuse to write over what somebody else made.

    Raises:
        UsageError: a file of the output's names is there, and no description of ours.
    """
    if output.part.exists():
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
        if not output.files[-1].exists() and output.part.exists():
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
    columns = zip(table.paths, table.start, table.end, table.status, table.decoder, strict=True)
    rows = [dict(zip(INDEX_COLUMNS[1:], row, strict=True)) for row in columns]
    return group_rows(rows, table.features)


def recorded_description(output: Output) -> Description | None:
    """Of the run that is under way, else of the finished output; None where there is neither.

    Raises:
        UsageError: what is there is not ours, or damaged.
    """
    if output.part.exists() and (found := kept_description(output.part)) is not None:
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
            target = part / output.path.name
            save_npy(target, part / "matrix", all_rows(videos, plan), plan)
    else:
        save_npy(part / "matrix.npy", part / "matrix", all_rows(videos, plan), plan)
        features = np.load(part / "matrix.npy", mmap_mode="r", allow_pickle=False)
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
            tensors = {"features": torch.from_numpy(np.array(features))}
            write_safetensors(part / output.path.name, tensors, {METADATA: metadata})
    (part / _COMPLETE).touch()


def _leftover(output: Output) -> Path:
    return output.path.with_name(f"{output.path.name}.part.old")
