"""Tables that libraries write as JSON, made into one list of objects.

pandas (`to_json` in its orients), Hugging Face (pages of its dataset server, `Dataset.to_dict`) and
OpenMMLab 2 (`metainfo` and `data_list`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from videoswin_cli.data.lists import column_names
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.delimited import fold_column
from videoswin_cli.io.text_files import shorten
from videoswin_cli.io.visible import name_some

KEY = column_names.NAMES[0]  # the column that the key of an object stands for

Objects = list[Mapping[str, Any]]


def read_json_table(data: Mapping[str, Any], path: Path, notices: list[str]) -> Objects | None:
    """The rows of one of these tables; None where it is none of them.

    Raises:
        DatasetError: it is one, and damaged or cut off.
    """
    for read in (_from_dataset_server, _from_openmmlab, _from_split):
        if (rows := read(data, path, notices)) is not None:
            return rows
    return _from_lists(data) or _from_columns(data) or _from_index(data)


def _from_dataset_server(data: Mapping[str, Any], path: Path, notices: list[str]) -> Objects | None:
    """{"features": [...], "rows": [{"row_idx": 0, "row": {...}, "truncated_cells": []}]}."""
    items = data.get("rows")
    if not _are_objects(items) or not all(isinstance(item.get("row"), dict) for item in items):
        return None
    for number, item in enumerate(items, start=1):
        row = item["row"]
        for column, value in row.items():
            if fold_column(column) in column_names.NAMES and _are_objects(value):
                raise DatasetError(
                    f"{path}:{number}: {shorten(column)} is a web address of the dataset server, "
                    f"no name of a file: {shorten(value[0])}",
                    hint="download the videos and write their names and labels as CSV or JSON "
                    "lines",
                )
        cells = item.get("truncated_cells")
        cut = [c for c in row if isinstance(cells, list) and c in cells]
        if cut := [column for column in cut if fold_column(column) in column_names.KNOWN]:
            raise DatasetError(
                f"{path}:{number}: the dataset server cut off the value of {shorten(cut[0])}",
                hint="load the data set itself and write its columns as CSV or JSON lines",
            )
    total = data.get("num_rows_total")
    if isinstance(total, int) and total > len(items):
        notices.append(
            f"{path} is a page with {len(items)} of {total} rows of a data set, as Hugging Face's "
            "server sends it; only these are used"
        )
    rows: Objects = [item["row"] for item in items]
    features = data.get("features")
    for feature in features if _are_objects(features) else ():
        kind = feature.get("type")
        column = feature.get("name")
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and isinstance(column, str):
            rows = name_classes(rows, column, kind.get("names"), path)
    return rows


def _from_openmmlab(data: Mapping[str, Any], path: Path, notices: list[str]) -> Objects | None:
    """{"metainfo": {"classes": [...]}, "data_list": [{"filename": ..., "label": ...}]}."""
    rows = data.get("data_list")
    if not _are_objects(rows):
        return None
    for number, row in enumerate(rows, start=1):
        if row.get("instances"):
            raise DatasetError(
                f"{path}:{number}: an OpenMMLab list whose labels are those of instances in a "
                "picture, not of the whole video",
                hint='expected a class for each video: {"filename": "a.mp4", "label": 0}',
            )
    meta = data.get("metainfo")
    meta = {key.lower(): value for key, value in meta.items()} if isinstance(meta, dict) else {}
    for column in ("label", "gt_label"):
        rows = name_classes(rows, column, meta.get("classes"), path)
    return list(rows)


def _from_split(data: Mapping[str, Any], path: Path, notices: list[str]) -> Objects | None:
    """pandas, orient="split": {"columns": [...], "index": [...], "data": [[...], ...]}."""
    columns, cells = data.get("columns"), data.get("data")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        return None
    if not isinstance(cells, list) or not all(isinstance(row, list) for row in cells):
        return None
    if len(set(columns)) < len(columns):
        raise DatasetError(f"{path}: a column twice among {name_some(list(map(shorten, columns)))}")
    index = data.get("index")
    for number, row in enumerate(cells, start=1):
        if len(row) != len(columns):
            raise DatasetError(
                f"{path}:{number}: {len(row)} values for the {len(columns)} columns of a table of "
                "pandas (orient='split')"
            )
    rows: Objects = [dict(zip(columns, row, strict=True)) for row in cells]
    if isinstance(index, list) and len(index) == len(rows) and not _have_name(columns):
        rows = [{KEY: name, **row} for name, row in zip(index, rows, strict=True)]
    return rows


def _from_lists(data: Mapping[str, Any]) -> Objects | None:
    """A list for each column: {"path": ["a.mp4", "b.mp4"], "label": [0, 1]}."""
    columns = list(data)
    if not all(isinstance(values, list) for values in data.values()) or not _have_name(columns):
        return None
    if len({len(values) for values in data.values()}) > 1:
        return None
    if len(columns) > 1 and not _have_label(columns):
        return None  # paths by class, and a class called `clip`
    return [dict(zip(columns, row, strict=True)) for row in zip(*data.values(), strict=True)]


def _from_columns(data: Mapping[str, Any]) -> Objects | None:
    """pandas, orient="columns": {"path": {"0": "a.mp4"}, "label": {"0": 1}}.

    Where no column names the video, the index does.
    """
    columns = list(data)
    if not data or not all(isinstance(cells, dict) and cells for cells in data.values()):
        return None
    index = list(data[columns[0]])
    if not all(list(cells) == index for cells in data.values()):
        return None
    if not _have_label(columns) and not (_have_name(columns) and _are_numbers(index)):
        return None
    if any(fold_column(name) in column_names.KNOWN for name in index):
        return None  # objects by name, and a video called `label`
    rows: Objects = [{column: data[column][name] for column in columns} for name in index]
    if not _have_name(columns):
        rows = [{KEY: name, **row} for name, row in zip(index, rows, strict=True)]
    return rows


def _from_index(data: Mapping[str, Any]) -> Objects | None:
    """pandas, orient="index": {"0": {"path": "a.mp4", "label": 1}}: keys that number the rows."""
    rows = list(data.values())
    if not _are_objects(rows) or not _are_numbers(list(data)):
        return None
    return rows if all(_have_name(list(row)) for row in rows) else None


def name_classes(rows: Sequence[Mapping[str, Any]], column: str, names: Any, path: Path) -> Objects:
    """Rows whose labels by number are names; as they are where the file has no list of names.

    Raises:
        DatasetError: a number that is none of the names'.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not names:
        return list(rows)

    def to_name(label: Any, number: int) -> Any:
        if isinstance(label, list):
            return [to_name(each, number) for each in label]
        if isinstance(label, bool) or not isinstance(label, int) or label == -1:
            return label
        if not 0 <= label < len(names):
            raise DatasetError(
                f"{path}:{number}: label {shorten(label)} is none of the {len(names)} classes of "
                "this file"
            )
        return names[label]

    return [
        {**row, column: to_name(row[column], number)} if column in row else row
        for number, row in enumerate(rows, start=1)
    ]


def _are_objects(value: object) -> TypeGuard[Objects]:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _are_numbers(names: Sequence[str]) -> bool:
    return all(name.isascii() and name.isdigit() for name in names)


def _have_name(columns: Sequence[str]) -> bool:
    return any(fold_column(column) in column_names.NAMES for column in columns)


def _have_label(columns: Sequence[str]) -> bool:
    return any(fold_column(column) in column_names.LABELS for column in columns)
