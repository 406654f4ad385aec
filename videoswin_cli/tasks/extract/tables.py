"""Features of many videos as columns and rows: in memory, as a matrix, with its index."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from videoswin_cli.engine.provenance import Description
from videoswin_cli.errors import OutputExistsError, UsageError
from videoswin_cli.io.atomic import iter_rows, write_csv
from videoswin_cli.io.csv_text import join_notes, split_notes
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.tasks.extract.features import Plan, Rows, Times

INDEX_COLUMNS = ("row", "path", "start", "end", "status", "decoder", "notes", "file_stamp")

METADATA = "videoswin-features-1"  # key of our entry in the metadata of a safetensors file


@dataclass(frozen=True, kw_only=True, slots=True)  # there may be a million
class StoredVideo:
    """One video of an output; a failed one has no times and no features."""

    path: str
    times: Times = ()  # one entry a row
    decoder: str | None = None
    error: str | None = None
    gaps: Mapping[int, str] = field(default_factory=dict)  # row -> why there is nothing but NaN
    notes: tuple[str, ...] = ()  # what is odd about it
    file_stamp: str = ""  # size and time of the file that was read, where they are known
    features: NDArray[Any] | None = None  # (rows, ...), mapped; None in a folder


def join_rows(path: str, pieces: Sequence[Rows], stamp: str) -> StoredVideo:
    """A video from all its rows, piece by piece."""
    gaps: dict[int, str] = {}
    count = 0
    for piece in pieces:
        gaps |= {count + row: reason for row, reason in piece.gaps.items()}
        count += len(piece.times)
    return StoredVideo(
        path=path,
        times=tuple(time for piece in pieces for time in piece.times),
        decoder=pieces[-1].decoder,
        gaps=gaps,
        notes=tuple(note for piece in pieces for note in piece.notes),
        file_stamp=stamp,
        features=np.concatenate([piece.features for piece in pieces]),
    )


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """Features of many videos, a row each or several. All arrays have the same length."""

    features: NDArray[Any]  # (rows, ...) float32 or float16; NaN for a failed video
    paths: NDArray[np.str_]
    start: NDArray[np.float64]  # seconds; NaN for a failed video
    end: NDArray[np.float64]
    status: NDArray[np.str_]  # "ok", or why there is nothing
    decoder: NDArray[np.str_]
    notes: NDArray[np.str_]  # what is odd about the video, several notes joined by "; "
    file_stamp: NDArray[np.str_]  # size in bytes and time in ns of the file that was read
    meta: Mapping[str, Any]  # model, weights, protocol, pooling, version


def read_table(path: Path) -> FeatureTable:
    """Table of a .npz or .safetensors file that videoswin wrote.

    Raises:
        UsageError: it is none.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                columns = {key: arrays[key] for key in arrays.files}
        else:
            raw = read_checkpoint(path)
            columns = {key: np.array(v) for key, v in json.loads(raw.metadata[METADATA]).items()}
            columns["features"] = raw.tensors["features"].numpy()
        meta = json.loads(str(columns.pop("meta")))
        for later in ("notes", "file_stamp"):  # than the first version
            columns.setdefault(later, np.full(len(columns["paths"]), ""))
        return FeatureTable(**columns, meta=meta)
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise OutputExistsError(
            f"{path} is not a feature file of videoswin",
            hint="choose another --out, or remove it by hand",
        ) from error


def make_table(
    videos: Iterable[StoredVideo], features: NDArray[Any], description: Description, plan: Plan
) -> FeatureTable:
    """Columns of all rows of `videos`, whose features are at hand."""
    rows = [row for video in videos for row in index_rows(video, plan)]
    columns = zip(*rows, strict=True) if rows else ((),) * 7
    paths, start, end, status, decoder, notes, stamps = columns
    return FeatureTable(
        features=features,
        paths=np.array(paths, dtype=np.str_),
        start=np.array(start, dtype=np.float64),
        end=np.array(end, dtype=np.float64),
        status=np.array(status, dtype=np.str_),
        decoder=np.array(decoder, dtype=np.str_),
        notes=np.array(notes, dtype=np.str_),
        file_stamp=np.array(stamps, dtype=np.str_),
        meta=description,
    )


def all_rows(videos: Iterable[StoredVideo], plan: Plan) -> list[NDArray[Any]]:
    nothing = np.full((plan.failed_rows, *plan.shape), np.nan, dtype=plan.dtype)
    return [nothing if video.features is None else video.features for video in videos]


def read_npy(file: BinaryIO) -> NDArray[Any]:
    """Rows of one video in a file of their own."""
    return np.lib.format.read_array(file, allow_pickle=False)


def save_npy(file: Path, parts: Sequence[NDArray[Any]], plan: Plan) -> None:
    """Write rows one part after the other, never all in memory."""
    shape = (sum(map(len, parts)), *plan.shape)
    descr = np.lib.format.dtype_to_descr(plan.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    with file.open("wb") as stream:  # no map: all that was written of it would count as memory
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            _write(stream, np.ascontiguousarray(part, dtype=plan.dtype))


def _write(stream: BinaryIO, part: NDArray[Any]) -> None:
    stream.write(part.data)


def index_rows(
    video: StoredVideo, plan: Plan
) -> list[tuple[str, float, float, str, str, str, str]]:
    notes = join_notes(video.notes)
    if video.error is not None:
        failed = (video.path, np.nan, np.nan, video.error, "", notes, video.file_stamp)
        return [failed] * plan.failed_rows
    decoder = video.decoder or ""
    return [
        (video.path, start, end, video.gaps.get(row, "ok"), decoder, notes, video.file_stamp)
        for row, (start, end) in enumerate(video.times)
    ]


def write_index(file: Path, videos: Iterable[StoredVideo], plan: Plan, *, each_alone: bool) -> None:
    """A line a row. `each_alone`: videos have files of their own, in which rows are counted."""
    write_csv(file, INDEX_COLUMNS, _number_rows(videos, plan, each_alone=each_alone))


def _number_rows(
    videos: Iterable[StoredVideo], plan: Plan, *, each_alone: bool
) -> Iterator[tuple[object, ...]]:
    row = 0
    for video in videos:
        row = 0 if each_alone else row
        for path, start, end, *others in index_rows(video, plan):
            seconds = ("", "") if np.isnan(start) else (repr(start), repr(end))
            place = "" if each_alone and video.error is not None else row
            yield (place, path, *seconds, *others)
            row += 1


def read_index(file: Path) -> Iterator[dict[str, Any]]:
    """Rows of an index, also of one that an older version wrote.

    Raises:
        UsageError: it cannot be read, or lacks a column.
    """
    for number, row in enumerate(iter_rows(file)):
        whole = {"notes": "", "file_stamp": "", **row}
        if number == 0 and (missing := set(INDEX_COLUMNS) - whole.keys()):
            raise UsageError(f"{file} has no column {min(missing)}")
        yield whole


def group_rows(
    rows: Iterable[Mapping[str, Any]], features: NDArray[Any] | None
) -> Iterator[StoredVideo]:
    """Videos of an index whose rows stand together."""
    end = 0
    for name, rows_of_it in groupby(rows, key=itemgetter("path")):
        own, path = list(rows_of_it), str(name)
        first, end = end, end + len(own)
        if own[0]["decoder"]:
            yield StoredVideo(
                path=path,
                times=tuple((float(row["start"]), float(row["end"])) for row in own),
                decoder=str(own[0]["decoder"]),
                gaps={n: str(row["status"]) for n, row in enumerate(own) if row["status"] != "ok"},
                notes=split_notes(str(own[0]["notes"])),
                file_stamp=str(own[0]["file_stamp"]),
                features=None if features is None else features[first:end],
            )
        else:
            notes = split_notes(str(own[0]["notes"]))
            yield StoredVideo(path=path, error=str(own[0]["status"]), notes=notes)
    if features is not None and len(features) != end:
        raise UsageError(f"the index has {end} rows and the matrix {len(features)}")
