"""Scores of many videos as files: written by `eval --dump`, read by `eval --from-dump`.

`.jsonl` has a line per video with its likeliest classes; `.npz` has arrays `paths`, `labels` and
`scores` (videos, classes) float32, and where videos have several classes `positives` of the same
shape, which is true for them; `.pkl` is the list of dicts that mmaction2's `--dump` writes,
for its analysis tools, with the path added.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videoswin_cli.engine.dump_checks import (
    RowError,
    check_archive,
    check_arrays,
    check_label,
    check_row,
    check_scores,
)
from videoswin_cli.engine.metrics import ScoredVideo, rank_scores
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import atomic_write, check_no_stream, to_json
from videoswin_cli.io.csv_text import join_notes, split_notes
from videoswin_cli.model.rebuilding import Array, RefusedError
from videoswin_cli.model.torch_files import load_pickle
from videoswin_cli.model.unpickling import dump_pickle

DumpFormat = Literal["jsonl", "npz", "pkl"]
_ARRAYS = (
    *("paths", "labels", "scores", "positives"),
    *("errors", "decoders", "notes", "file_stamps"),
)
_READ_TOP = 100  # classes ranked of a dump that has the scores of all


def dump_format(path: Path) -> DumpFormat:
    """By the suffix.

    Raises:
        UsageError: another suffix.
    """
    for format in get_args(DumpFormat):
        if path.suffix == f".{format}":
            return cast("DumpFormat", format)
    hint = "use .jsonl, .npz or .pkl"
    if path.suffix == ".part":
        hint = "this is of an unfinished run: finish it with --resume first"
    raise UsageError(f"{path}: unknown kind of dump {path.suffix!r}", hint=hint)


def write_dump(path: Path, videos: Sequence[ScoredVideo], labels: Sequence[str]) -> None:
    """Write all videos; the file appears when it is complete."""
    format = dump_format(path)
    with atomic_write(path) as part:
        if format == "jsonl":
            with part.open("w", encoding="utf-8") as file:
                file.writelines(to_line(video, labels) for video in videos)
        elif format == "npz":
            with part.open("wb") as file:
                np.savez(file, **_arrays(videos, len(labels)))  # type: ignore[arg-type]
        else:
            dump_pickle(part, [_sample(video, len(labels)) for video in videos])


def to_line(video: ScoredVideo, labels: Sequence[str]) -> str:
    """One line of JSON."""
    top = [
        {"label": labels[index], "index": index, "prob": prob}
        for index, prob in zip(video.top, video.top_probs, strict=True)
    ]
    row: dict[str, Any] = {"path": video.path, "label": video.label}
    if video.more_labels:
        row["more_labels"] = video.more_labels
    row |= {"decoder": video.decoder, "top": top}
    if video.notes:
        row["notes"] = video.notes
    if video.file_stamp:
        row["file_stamp"] = video.file_stamp
    return to_json({**row, "error": video.error}) + "\n"


def read_dumps(paths: Sequence[Path]) -> list[ScoredVideo]:
    """Videos of several dumps, each once, in the order of the files.

    Raises:
        UsageError: a file cannot be read, or two of them disagree about a video.
    """
    videos: dict[str, ScoredVideo] = {}
    origin: dict[str, Path] = {}
    for path in paths:
        for video in read_dump(path):
            known = videos.get(video.path)
            if known is not None and not _agree(known, video):
                raise UsageError(
                    f"{origin[video.path]} and {path} disagree about {video.path}",
                    hint="these are not parts of one run: give dumps of the same model and list",
                )
            videos.setdefault(video.path, video)
            origin.setdefault(video.path, path)
    widths = {len(v.scores) for v in videos.values() if v.scores is not None}
    if len(widths) > 1:
        raise UsageError(
            f"the dumps have scores of different numbers of classes: {sorted(widths)}",
            hint="these are not parts of one run: give dumps of the same model",
        )
    return list(videos.values())


def read_dump(path: Path) -> list[ScoredVideo]:
    """Videos of one dump of any of the three kinds.

    Raises:
        UsageError: no such file, or not what its suffix says.
    """
    format = dump_format(path)
    readers = {"jsonl": _read_jsonl, "npz": _read_npz, "pkl": _read_pkl}
    check_no_stream(path)
    try:
        videos = list(readers[format](path))
    except (FileNotFoundError, IsADirectoryError) as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else "this is a folder"
        raise UsageError(f"{path}: {what}") from None
    except RefusedError as refused:
        raise UsageError(
            f"{path} names {refused}, code that would run while the file is opened; not opened"
        ) from None
    except RowError as error:
        raise UsageError(
            f"{path}: {error}", hint="dump the scores anew, or take the row out"
        ) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:300]
        raise UsageError(f"{path} is not a {format} dump: {reason}") from error
    if not videos:
        raise UsageError(f"{path} is empty")
    if len({video.path for video in videos}) < len(videos):
        raise UsageError(f"{path} has a video twice")
    return videos


def read_class_names(path: Path) -> dict[int, str]:
    """Names of the classes that occur in a dump, by index; a .jsonl has them, others have none.

    Raises:
        UsageError: a class has two names.
    """
    names: dict[int, str] = {}
    if dump_format(path) != "jsonl":
        return names
    with path.open(encoding="utf-8") as file:
        for line in filter(str.strip, file):
            for entry in json.loads(line)["top"]:
                name = str(entry.get("label") or f"class {entry['index']}")
                if names.setdefault(entry["index"], name) != name:
                    raise UsageError(
                        f"{path}: class {entry['index']} is {names[entry['index']]!r} in one line "
                        f"and {name!r} in another"
                    )
    return names


def _agree(a: ScoredVideo, b: ScoredVideo) -> bool:
    if a.labels != b.labels or (a.error is None) != (b.error is None):
        return False
    k = min(len(a.top), len(b.top))
    return a.top[:k] == b.top[:k] and np.allclose(a.top_probs[:k], b.top_probs[:k], atol=1e-5)


# --- jsonl ----------------------------------------------------------------------------------------


def _read_jsonl(path: Path) -> Iterator[ScoredVideo]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                with _row(f"line {number}"):
                    yield from_row(check_row(_parse_line(line)))


def _parse_line(line: str) -> object:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise RowError(f"not JSON, or cut short: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise RowError("JSON nested too deeply") from error
    except ValueError as error:  # of thousands of digits
        raise RowError("a number of too many digits") from error


@contextmanager
def _row(place: str) -> Iterator[None]:
    """Adds to a RowError which row it is of."""
    try:
        yield
    except RowError as error:
        raise RowError(f"{place}: {error}") from error


def from_row(row: dict[str, Any]) -> ScoredVideo:
    """The inverse of `to_line`, but for the class names."""
    return ScoredVideo(
        path=str(row["path"]),
        label=int(row["label"]),
        more_labels=tuple(row.get("more_labels", ())),
        top=tuple(int(entry["index"]) for entry in row["top"]),
        top_probs=tuple(float(entry["prob"]) for entry in row["top"]),
        error=row.get("error"),
        decoder=row.get("decoder"),
        notes=tuple(map(str, row.get("notes", ()))),
        file_stamp=row.get("file_stamp") or "",
    )


# --- npz ------------------------------------------------------------------------------------------


def _arrays(videos: Sequence[ScoredVideo], classes: int) -> dict[str, NDArray[Any]]:
    scores = np.full((len(videos), classes), np.nan, dtype=np.float32)
    for row, video in zip(scores, videos, strict=True):
        if video.scores is not None:
            row[:] = video.scores
    several: dict[str, NDArray[Any]] = {}
    if any(video.more_labels for video in videos):
        several["positives"] = np.zeros(scores.shape, dtype=bool)
        for marks, video in zip(several["positives"], videos, strict=True):
            marks[list(video.labels)] = True
    return {
        **several,
        "paths": np.array([video.path for video in videos], dtype=np.str_),
        "labels": np.array([video.label for video in videos], dtype=np.int64),
        "scores": scores,  # NaN for a failed video
        "errors": np.array([video.error or "" for video in videos], dtype=np.str_),
        "decoders": np.array([video.decoder or "" for video in videos], dtype=np.str_),
        "notes": np.array([join_notes(video.notes) for video in videos], dtype=np.str_),
        "file_stamps": np.array([video.file_stamp for video in videos], dtype=np.str_),
    }


def _read_npz(path: Path) -> Iterator[ScoredVideo]:
    check_archive(path)
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name in _ARRAYS}
    check_arrays(arrays)
    paths, labels, scores = arrays["paths"], arrays["labels"], arrays["scores"]
    nothing = np.full(len(paths), "")
    errors, decoders = arrays.get("errors", nothing), arrays.get("decoders", nothing)
    notes, stamps = arrays.get("notes", nothing), arrays.get("file_stamps", nothing)
    positives = arrays.get("positives", np.zeros((len(paths), 0), dtype=bool))
    for name, label, marks, row, error, decoder, noted, stamp in zip(
        paths, labels, positives, scores, errors, decoders, notes, stamps, strict=True
    ):
        failed = bool(np.isnan(row).all())
        video = ScoredVideo(
            path=str(name),
            label=int(label),
            more_labels=tuple(n for n in np.flatnonzero(marks).tolist() if n != label),
            error=(str(error) or "no scores") if failed else None,
            decoder=str(decoder) or None,
            notes=split_notes(str(noted)),
            file_stamp=str(stamp),
        )
        yield video if failed else rank_all(video, row)


def rank_all(video: ScoredVideo, scores: NDArray[np.float32]) -> ScoredVideo:
    """The video with (classes,) scores, and the likeliest classes by them."""
    top = rank_scores(scores, k=_READ_TOP)
    probs = tuple(float(scores[index]) for index in top)
    return replace(video, top=top, top_probs=probs, scores=scores)


# --- mmaction2's pickle ---------------------------------------------------------------------------


def _sample(video: ScoredVideo, classes: int) -> dict[str, Any]:
    if video.scores is not None:
        scores = torch.from_numpy(video.scores)
    else:  # its tools know no failed videos: one with no class before the right one counts as wrong
        scores = torch.zeros(classes)
        scores[list(video.labels)] = -1.0
    error, decoder = ((text and sys.intern(text)) for text in (video.error, video.decoder))
    return {  # equal texts are one object: else the bytes would tell a resumed run
        "filename": sys.intern(video.path),
        "pred_score": scores,
        "pred_label": scores.argmax(dim=0, keepdim=True),
        "gt_label": torch.tensor([video.label, *video.more_labels]),
        "error": error,
        "decoder": decoder,
        "notes": [sys.intern(note) for note in video.notes],
        "file_stamp": sys.intern(video.file_stamp),
    }


def _read_pkl(path: Path) -> Iterator[ScoredVideo]:
    content = load_pickle(path)
    if not isinstance(content, list):
        raise TypeError(f"expected a list of samples, found {type(content).__name__}")
    left = path.stat().st_size  # a score has a byte at least, however often a pickle names it
    for number, sample in enumerate(content):
        with _row(f"sample {number}"):
            if not isinstance(sample, dict):
                raise RowError(f"expected a dict, found {type(sample).__name__}")
            # Before mmaction2 1.0 was final, scores and labels had a level more.
            scores = _array(sample.get("pred_score", sample.get("pred_scores")))
            labels = _array(sample.get("gt_label", sample.get("gt_labels")))
            left -= scores.size + labels.size
            if left < 0:
                raise RowError("more scores than the file has bytes")
            labels = labels.reshape(-1)
            error, decoder = sample.get("error"), sample.get("decoder")
            name = sample.get("filename", f"{path.name}#{number}")
            notes, stamp = sample.get("notes", ()), sample.get("file_stamp", "")
            texts = isinstance(error, str | None) and isinstance(decoder, str | None)
            noted = isinstance(notes, list | tuple) and all(isinstance(n, str) for n in notes)
            if not (texts and noted and isinstance(name, str) and isinstance(stamp, str)):
                raise RowError("filename, error, decoder, notes and file_stamp: expected text")
            check_scores(scores)
            for label in labels.tolist():
                check_label(label, classes=len(scores))
            if not labels.size:
                raise RowError("no class")
            label, *more = map(int, labels)
        video = ScoredVideo(
            path=name,
            label=label,
            more_labels=tuple(more),
            error=error,
            decoder=decoder,
            notes=tuple(notes),
            file_stamp=stamp,
        )
        yield video if video.error else rank_all(video, scores.astype(np.float32))


def _array(value: object) -> NDArray[Any]:
    """Numbers of a sample: a tensor, an array, a number or a flat list of them."""
    if isinstance(value, dict):
        value = value.get("item")
    if isinstance(value, Array):
        value = value.tensor
    if isinstance(value, Tensor):
        return value.numpy()
    numbers = value if isinstance(value, list | tuple) else [value]
    if not all(type(number) in (int, float) for number in numbers):
        raise RowError("scores and classes: expected tensors, arrays or flat lists of numbers")
    return np.asarray(numbers)
