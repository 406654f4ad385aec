"""Features on disk: one matrix or shards with an index beside, one file with all, or a folder.

While a run lasts, rows and a journal for each process lie in `OUT.part`. What a killed run left
there is resumed; the output appears when every video has its row.
"""

import errno
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoswin_cli.engine.journal import (
    Entry,
    Line,
    check_idle,
    discard,
    guarded,
    has_entries,
    is_worked_on,
    keep_description,
    kept_description,
    read_journals,
    read_stamps,
)
from videoswin_cli.engine.provenance import (
    Description,
    check_description,
    check_equal,
    read_description,
    to_text,
)
from videoswin_cli.errors import OutputExistsError, ResumeError, UsageError
from videoswin_cli.io.atomic import remove_drafts, write_error
from videoswin_cli.model.checkpoint import write_safetensors
from videoswin_cli.tasks.extract.features import Plan
from videoswin_cli.tasks.extract.output import Output, remove_empty_folders
from videoswin_cli.tasks.extract.shards import find_stored, pack
from videoswin_cli.tasks.extract.tables import (
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
from videoswin_cli.tasks.extract.writer import FeatureWriter, map_rows

_COMPLETE = "complete"  # in OUT.part: what is to be moved to its place is all there
_COLUMNS = ("paths", "start", "end", "status", "decoder", "notes", "file_stamp")  # of a table
_WITH_INDEX = (".npy", ".tar", "folder")  # and a description, as files of their own
_REMOVING = "removing"  # in OUT.part: what was there before is being removed


def read_part(output: Output, plan: Plan) -> dict[str, StoredVideo]:
    """Videos that `OUT.part` has, by path."""
    files: dict[str, NDArray[Any]] = {}

    def take(line: Line, entry: Entry) -> StoredVideo:
        part = line.part
        features = None
        if entry["error"] is None and output.kind != "folder":
            if part not in files:
                files[part] = map_rows(output.part / f"{part}.rows", plan)
            features = files[part][entry["first"] : entry["first"] + len(entry["times"])]
        return _from_entry(entry, features)

    return read_journals(output.part, take)


def _from_entry(entry: Entry, features: NDArray[Any] | None) -> StoredVideo:
    return StoredVideo(
        path=entry["path"],
        times=tuple((start, end) for start, end in entry["times"]),
        decoder=entry["decoder"],
        error=entry["error"],
        gaps=dict(entry.get("gaps", ())),
        notes=tuple(entry.get("notes", ())),
        file_stamp=entry.get("file_stamp", ""),
        features=features,
    )


# --- the output -----------------------------------------------------------------------------------


def open_output(
    output: Output,
    description: Description,
    plan: Plan,
    paths: Collection[str],
    *,
    part: str,
    overwrite: bool,
    are_current: Callable[[Mapping[str, str]], bool] = lambda done: True,
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
        are_current: whether what was computed of paths, with stamps of their files, still holds.

    Raises:
        UsageError: what is there is of another run or not ours, or others are writing it.
    """
    with guarded(output.part):
        settle(output)
        check_ours(output)
        if output.kind == "folder" and not os.access(_existing(output.path), os.W_OK):
            raise UsageError(f"cannot write {output.path}: {os.strerror(errno.EACCES)}")
        if overwrite:
            check_idle(output.part, output.path)
            _remove_output(output, description)
        found = read_done(output, description)
        _check_nothing_else(found, paths, output)
        if not output.part.exists():
            done = {path: stamp for path in paths if (stamp := found.get(path)) is not None}
            if len(done) == len(paths) and are_current(done):
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
                if has_entries(output.part):
                    _prepare(output, description, plan, [found[path] for path in order])
                    settle(output)
                else:  # nothing was left to be done
                    discard(output.part)
            except OSError as error:
                raise write_error(output.path, error) from error
        return complete, found


def read_all(output: Output, description: Description, plan: Plan) -> dict[str, StoredVideo]:
    """Videos that are done, in the output or under way, by path.

    Raises:
        UsageError: the output is of another run.
    """
    found = {video.path: video for video in read_output(output, description)}
    if _is_under_way(output, description):
        found |= read_part(output, plan)
    return found


def read_done(output: Output, description: Description) -> dict[str, str | None]:
    """Stamps of the files of the videos of `read_all`; None: it failed.

    Raises:
        UsageError: the output is of another run.
    """
    found = {
        video.path: video.file_stamp if video.error is None else None
        for video in read_output(output, description)
    }
    if _is_under_way(output, description):
        found |= read_stamps(output.part)
    return found


def _is_under_way(output: Output, description: Description) -> bool:
    """Raises UsageError where a run of another description is."""
    kept = kept_description(output.part)
    if kept is not None:
        check_equal(kept, description, where=str(output.part))
    return kept is not None


def look_at_output(output: Output, *, resume: bool, overwrite: bool) -> None:
    """Find out before anything slow happens that an output must not be written.

    Raises:
        UsageError: what is there is not ours, or not to be resumed, or others are writing it.
    """
    with guarded(output.part):
        settle(output)
        check_ours(output)
        remove_drafts(output.path.parent, output.path.name)  # of those who tried to write it
        if overwrite:
            check_idle(output.part, output.path)
        elif not resume:
            for path in (*output.files, output.part):
                if path.exists():
                    raise OutputExistsError(
                        f"{path} exists",
                        hint="use --resume to continue it, or --overwrite to start over",
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


def _check_nothing_else(found: Collection[str], paths: Collection[str], output: Output) -> None:
    """A matrix is of the videos that are asked for and of no others; a folder may grow."""
    others = sorted(set(found).difference(paths))
    if others and output.kind != "folder":
        raise ResumeError(
            f"{output.path} has {len(others)} videos that are not asked for now, such as "
            f"{others[0]}",
            hint="ask for these too, choose another --out, or start over with --overwrite",
        )


def _remove_output(output: Output, description: Description) -> None:
    """Remove an output and what is under way of it, and begin a run of `description`."""
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
                remove_empty_folders(file, output.path)
    for other in others:
        other.unlink(missing_ok=True)


def check_ours(output: Output) -> None:
    """Refuse to write over what somebody else made.

    Raises:
        UsageError: a file of the output's names is there, and no description beside it.
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
        raise OutputExistsError(
            f"{there[0]} exists, but has no {meta.name}, so it was not written by videoswin",
            hint="choose another --out, or remove it by hand",
        )


def read_output(output: Output, description: Description) -> Iterable[StoredVideo]:
    """Videos of a finished output; none where there is none.

    Raises:
        UsageError: it is of another run, or not an output of videoswin.
    """
    if output.kind == "folder":
        if not any(path.is_file() for path in output.path.rglob("*")):
            return ()
        if not output.files[-1].exists() and kept_description(output.part) is not None:
            return ()  # files of single videos, and the journal knows them
    elif not (output.files[-1] if output.kind == ".tar" else output.path).exists():
        return ()
    if output.kind in _WITH_INDEX:
        index, meta = output.files[-2:]
        check_description(meta, description)
        if output.kind == ".tar":
            return find_stored(output, group_rows(read_index(index), None))
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
    if output.kind in _WITH_INDEX:
        return read_description(output.files[-1])
    return dict(read_table(output.path).meta)


def _prepare(
    output: Output, description: Description, plan: Plan, videos: Sequence[StoredVideo]
) -> None:
    """Write all files of the output to `OUT.part`."""
    part = output.part
    if output.kind in _WITH_INDEX:
        index, meta = (part / file.name for file in output.files[-2:])
        write_index(index, videos, plan, each_alone=output.kind != ".npy")
        meta.write_text(to_text(description), encoding="utf-8")
        if output.kind == ".npy":
            save_npy(part / output.path.name, all_rows(videos, plan), plan)
        if output.kind == ".tar":
            pack(output, videos)
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
