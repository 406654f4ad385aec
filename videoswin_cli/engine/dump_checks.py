"""Checks of what a dump may hold: each row is proven before anything is computed of it."""

import math
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoswin_cli.model.torch_files import check_unpacked

_SLACK = 1e-3  # of a probability, for rounding
_UNPACKED = 16  # times the bytes of an .npz that its arrays may unpack to
_SMALL = 1 << 24  # bytes that any .npz may unpack to


class RowError(ValueError):
    """Says what of a row cannot be."""


def check_row(row: object) -> dict[str, Any]:
    """A row of a .jsonl dump, whose values have the types that they should have.

    Raises:
        RowError: they have not.
    """
    if not isinstance(row, dict):
        raise RowError(f"expected an object, found {type(row).__name__}")
    if missing := [key for key in ("path", "label", "top") if key not in row]:
        raise RowError(f"no key {missing[0]!r}")
    if not isinstance(row["path"], str):
        raise RowError(f"path {_brief(row['path'])}: expected text")
    for key in ("error", "decoder", "file_stamp"):
        if not isinstance(row.get(key), str | None):
            raise RowError(f"{key} {_brief(row[key])}: expected text")
    notes = row.get("notes", ())
    if not isinstance(notes, list | tuple) or not all(isinstance(note, str) for note in notes):
        raise RowError("notes: expected a list of texts")
    check_label(row["label"])
    more, top = row.get("more_labels", ()), row["top"]
    if not isinstance(more, list | tuple) or not isinstance(top, list):
        raise RowError("more_labels and top: expected lists")
    for label in more:
        check_label(label)
    if not all(isinstance(entry, dict) and {"index", "prob"} <= entry.keys() for entry in top):
        raise RowError("top: expected objects with index and prob")
    for entry in top:
        check_label(entry["index"])
        prob = entry["prob"]
        if isinstance(prob, bool) or not isinstance(prob, int | float):
            raise RowError(f"probability {_brief(prob)}: expected a number")
        if not math.isfinite(prob) or not -_SLACK <= prob <= 1 + _SLACK:
            raise RowError(f"probability {_brief(prob)}: expected 0 to 1")
    for index, times in Counter(entry["index"] for entry in top).most_common(1):
        if times > 1:
            raise RowError(f"class {index} is {times} times among the likeliest")
    return row


def check_label(label: object, *, classes: int | None = None) -> None:
    """Raises RowError for what is no index of a class."""
    if isinstance(label, bool) or not isinstance(label, int):
        raise RowError(f"class {_brief(label)}: expected a whole number")
    if label < 0 or (classes is not None and label >= classes):
        most = "" if classes is None else f" to {classes - 1}"
        raise RowError(f"class {_brief(label)}: expected 0{most}" + (" or more" * (not most)))


def check_scores(scores: NDArray[Any]) -> None:
    """Raises RowError for scores of one video that cannot be; mmaction2 may dump raw ones."""
    if scores.ndim != 1 or not scores.size or scores.dtype.kind not in "fiu":
        raise RowError(f"scores of shape {scores.shape}, {scores.dtype}: expected one row")
    if not np.isfinite(scores).all():
        raise RowError("scores that are not all finite")


def check_archive(path: Path) -> None:
    """Look at the sizes that an .npz claims, before anything of it is unpacked."""
    with zipfile.ZipFile(path) as archive:
        check_unpacked(archive, size=path.stat().st_size, times=_UNPACKED, small=_SMALL)


def check_arrays(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Kinds and shapes of the arrays of an .npz dump.

    Raises:
        RowError: they are not those of one dump.
    """
    texts = dict.fromkeys(("paths", "errors", "decoders", "notes", "file_stamps"), "U")
    wanted = {**texts, "labels": "iu", "scores": "f"}
    if missing := [name for name in ("paths", "labels", "scores") if name not in arrays]:
        raise RowError(f"no array {missing[0]!r}")
    rows = len(arrays["paths"]) if arrays["paths"].ndim == 1 else 0
    for name, kinds in wanted.items():
        array = arrays.get(name)
        if array is None:
            continue
        if array.dtype.kind not in kinds or array.ndim != 1 + (name == "scores"):
            raise RowError(f"{name} of {array.ndim} axes, {array.dtype}")
        if len(array) != rows or array.nbytes < array.size:
            raise RowError(f"{name} of shape {array.shape}: expected {rows} rows")
    if rows and not arrays["scores"].shape[1]:
        raise RowError("scores of no class")
    marks = arrays.get("positives")
    if marks is not None and (marks.dtype != bool or marks.shape != arrays["scores"].shape):
        raise RowError(
            f"positives of shape {marks.shape}, {marks.dtype}: "
            f"expected {arrays['scores'].shape}, bool"
        )
    if len(np.unique(arrays["paths"])) < rows:
        raise RowError("a video twice")
    scores, labels = arrays["scores"], arrays["labels"]
    classes = scores.shape[1] if rows else 0
    failed = np.isnan(scores).all(axis=1)
    least, most = scores.min(axis=1, initial=0), scores.max(axis=1, initial=0)
    for wrong, problem in (
        ((labels < 0) | (labels >= classes), f"class {{label}}: expected 0 to {classes - 1}"),
        (~failed & ~np.isfinite(scores).all(axis=1), "scores that are not all finite"),
        (~failed & ((least < -_SLACK) | (most > 1 + _SLACK)), "scores out of the range 0 to 1"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            name = str(arrays["paths"][row])[:100]
            raise RowError(f"row {row}, {name}: {problem.format(label=labels[row])}")


def _brief(value: object) -> str:
    """A plain value as text, of others the type: their text may be endless."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return "of more than 20 digits"
    if not isinstance(value, str | int | float | None):
        return f"of type {type(value).__name__}"
    return ascii(value[:60] if isinstance(value, str) else value)
