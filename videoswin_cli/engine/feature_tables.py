"""Features of many videos as columns and rows: in memory, as a matrix, with its index."""

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoswin_cli.engine.features import Plan, Times
from videoswin_cli.engine.provenance import Description
from videoswin_cli.errors import UsageError
from videoswin_cli.files import write_whole
from videoswin_cli.model.checkpoint import read_checkpoint

INDEX_COLUMNS = ("row", "path", "start", "end", "status", "decoder")

METADATA = "videoswin-features-1"  # key of our entry in the metadata of a safetensors file


@dataclass(frozen=True, kw_only=True)
class StoredVideo:
    """What is known of one video; a failed one has no times and no features."""

    path: str
    times: Times = ()  # one entry a row
    decoder: str | None = None
    error: str | None = None
    gaps: Mapping[int, str] = field(default_factory=dict)  # row -> why there is nothing but NaN
    features: NDArray[Any] | None = None  # (rows, ...), mapped; None in a folder


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """Features of many videos, a row each or several. All arrays have the same length."""

    features: NDArray[Any]  # (rows, ...) float32 or float16; NaN for a failed video
    paths: NDArray[np.str_]
    start: NDArray[np.float64]  # seconds; NaN for a failed video
    end: NDArray[np.float64]
    status: NDArray[np.str_]  # "ok", or why there is nothing
    decoder: NDArray[np.str_]
    meta: Mapping[str, Any]  # model, weights, protocol, pooling, version


def read_table(path: Path) -> FeatureTable:
    """Read a .npz or .safetensors of ours.

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
        return FeatureTable(**columns, meta=meta)
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise UsageError(
            f"{path} is no feature file of ours", hint="choose another --out, or remove it by hand"
        ) from error


def make_table(
    videos: Iterable[StoredVideo], features: NDArray[Any], description: Description, plan: Plan
) -> FeatureTable:
    """Columns of all rows of `videos`, whose features are at hand."""
    rows = [row for video in videos for row in _index_rows(video, plan)]
    paths, start, end, status, decoder = zip(*rows, strict=True) if rows else ((),) * 5
    return FeatureTable(
        features=features,
        paths=np.array(paths, dtype=np.str_),
        start=np.array(start, dtype=np.float64),
        end=np.array(end, dtype=np.float64),
        status=np.array(status, dtype=np.str_),
        decoder=np.array(decoder, dtype=np.str_),
        meta=description,
    )


def all_rows(videos: Iterable[StoredVideo], plan: Plan) -> list[NDArray[Any]]:
    nothing = np.full((plan.failed_rows, *plan.shape), np.nan, dtype=plan.dtype)
    return [nothing if video.features is None else video.features for video in videos]


def save_npy(target: Path, draft: Path, parts: Sequence[NDArray[Any]], plan: Plan) -> None:
    """Write rows one part after the other; the file appears when it is complete."""
    rows = sum(map(len, parts))
    if rows:
        matrix = np.lib.format.open_memmap(
            draft, mode="w+", dtype=plan.dtype, shape=(rows, *plan.shape)
        )
        _reserve(draft)
        first = 0
        for part in parts:
            matrix[first : first + len(part)] = part
            first += len(part)
        matrix.flush()
    else:
        with draft.open("wb") as file:
            np.save(file, np.empty((0, *plan.shape), dtype=plan.dtype))
    draft.replace(target)


def _reserve(file: Path) -> None:
    """Take the space now: where a map grows into a full disk, the process would be killed."""
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)


def _index_rows(video: StoredVideo, plan: Plan) -> list[tuple[str, float, float, str, str]]:
    if video.error is not None:
        failed = (video.path, np.nan, np.nan, video.error, "")
        return [failed] * plan.failed_rows
    decoder = video.decoder or ""
    return [
        (video.path, start, end, video.gaps.get(row, "ok"), decoder)
        for row, (start, end) in enumerate(video.times)
    ]


def write_index(file: Path, videos: Iterable[StoredVideo], plan: Plan, *, each_alone: bool) -> None:
    """A line a row. `each_alone`: videos have files of their own, in which rows are counted."""
    with (
        write_whole(file) as part,
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(INDEX_COLUMNS)
        row = 0
        for video in videos:
            row = 0 if each_alone else row
            for path, start, end, status, decoder in _index_rows(video, plan):
                seconds = ("", "") if np.isnan(start) else (repr(start), repr(end))
                place = "" if each_alone and video.error is not None else row
                writer.writerow((place, path, *seconds, status, decoder))
                row += 1


def read_index(file: Path) -> list[dict[str, Any]]:
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error


def group_rows(
    rows: Sequence[dict[str, Any]], features: NDArray[Any] | None
) -> dict[str, StoredVideo]:
    """Videos of an index whose rows stand together."""
    if features is not None and len(features) != len(rows):
        raise UsageError(f"the index has {len(rows)} rows and the matrix {len(features)}")
    videos: dict[str, StoredVideo] = {}
    first = 0
    while first < len(rows):
        path, status = str(rows[first]["path"]), str(rows[first]["status"])
        end = first
        while end < len(rows) and rows[end]["path"] == rows[first]["path"]:
            end += 1
        own = rows[first:end]
        if own[0]["decoder"]:
            videos[path] = StoredVideo(
                path=path,
                times=tuple((float(row["start"]), float(row["end"])) for row in own),
                decoder=str(own[0]["decoder"]),
                gaps={n: str(row["status"]) for n, row in enumerate(own) if row["status"] != "ok"},
                features=None if features is None else features[first:end],
            )
        else:
            videos[path] = StoredVideo(path=path, error=status)
        first = end
    return videos
