"""The shapes that data sets have in JSON, each made into flat entries."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from videoswin_cli.data.lists import column_names
from videoswin_cli.data.lists.columns import Entry
from videoswin_cli.data.lists.fiftyone import expand_labels
from videoswin_cli.data.lists.json_tables import KEY, name_classes, read_json_table
from videoswin_cli.data.lists.labelstudio import are_tasks, read_tasks
from videoswin_cli.data.lists.names import ends_as_video
from videoswin_cli.data.lists.rows import is_index
from videoswin_cli.data.lists.splits import name_split
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.delimited import fold_column
from videoswin_cli.io.text_files import parse_json, read_text, shorten

_EXPECTED = "a list of objects like {'id': ..., 'label': ...}, or an object of them by name"
_LISTS = ("samples", "data", "videos", "annotations", "items", "clips", "entries", "rows")
_BY_NAME = ("database", "videos", "annotations", "data", "clips")
_SPLITS = ("train", "val", "test")
# Names that say more than the key of the object.
_PATH_COLUMNS = column_names.NAMES[: column_names.NAMES.index("video")]


def json_entries(data: object, path: Path, notices: list[str]) -> Iterator[Entry]:
    """Entries of any of the shapes.

    A list of objects, or an object of lists, one a split or one only; objects by the name of the
    video (Kinetics, ActivityNet's `database` and `results`), each with one annotation or several;
    tasks of Label Studio; labels by the
    name of the video (with FiftyOne's `classes` beside them or without); names by class; the
    tables of `json_tables`.

    Args:
        data: of the file.
        path: of the file, for messages and for the file that FiftyOne writes beside it.
        notices: what is to be said about the file is added.

    Raises:
        DatasetError: none of them.
    """
    if isinstance(data, list):
        if are_tasks(data):
            tasks = read_tasks(data, str(path), notices)
            yield from (Entry(line=number, values=values) for number, values in tasks)
        else:
            yield from _from_list(data, path)
        return
    if not isinstance(data, dict) or not data:
        raise DatasetError(f"{path}: expected {_EXPECTED}, found {shorten(data)}")
    if isinstance(data.get("labels"), dict) and "classes" in data:
        yield from _from_fiftyone(data, path)
        return
    if (rows := read_json_table(data, path, notices)) is not None:
        yield from _from_list(rows, path)
        return
    if all(name_split(key) in _SPLITS and isinstance(part, list) for key, part in data.items()):
        for key, part in data.items():
            yield from _from_list(part, path, common={"split": key})
        return
    if isinstance(results := data.get("results"), dict) and "version" in data:
        yield from _from_detections(results, path)
        return
    key = next(iter(data))
    parts = {key: value for key, value in data.items() if _is_list_of_objects(value)}
    if len(parts) == 1 and (key := next(iter(parts))).lower() in _LISTS:
        yield from _from_list(name_classes(parts[key], "label", data.get("classes"), path), path)
        return
    if len(data) == 1 and key in _LISTS and _is_list_of_names(data[key]):
        yield from _from_list(data[key], path)
        return
    if "annotations" in parts and len(parts) > 1:
        raise DatasetError(
            f"{path}: expected one list of videos, found {', '.join(map(shorten, parts))}",
            hint="COCO's form, annotations apart from the videos, is not read: write path and "
            "label of each video in one list",
        )
    if _is_one_entry(data):
        yield from _from_list([data], path)
        return
    inner = [key for key in data if key.lower() in _BY_NAME and _is_object_of_objects(data[key])]
    by_name = data[inner[0]] if len(inner) == 1 else data
    yield from _from_object(by_name, path)


def read_json_lines(lines: Sequence[tuple[int, str]], path: Path) -> Iterator[Entry]:
    """Entries of a file with an object per line.

    Raises:
        DatasetError: a line that is none.
    """
    for number, line in lines:
        value = parse_json(line, source=f"{path}:{number}")
        if not isinstance(value, dict):
            raise DatasetError(f"{path}:{number}: expected an object, found {shorten(value)}")
        for entry in _flatten(value, f"{path}:{number}"):
            yield Entry(line=number, values=entry)


def _is_one_entry(data: Mapping[str, Any]) -> bool:
    """JSON lines that are one line: the keys are columns, not names of videos."""
    keys = {fold_column(key) for key in data}
    return bool(keys & set(column_names.NAMES)) and bool(
        keys & set(column_names.LABELS) or len(keys) == 1
    )


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _is_object_of_objects(value: object) -> bool:
    return (
        isinstance(value, dict) and bool(value) and all(isinstance(v, dict) for v in value.values())
    )


def _from_list(
    items: Sequence[Any], path: Path, *, common: Mapping[str, Any] | None = None
) -> Iterator[Entry]:
    for number, item in enumerate(items, start=1):
        if isinstance(item, str):
            item = {"path": item}
        elif isinstance(item, list) and _is_pair(item):
            item = dict(zip(("path", "label"), item, strict=True))
        if not isinstance(item, dict):
            raise DatasetError(
                f"{path}:{number}: expected {_EXPECTED}, found {shorten(item)} in the list",
                hint="values alone are read as [path, label]; from pandas write a table with "
                "orient='records'",
            )
        for values in _flatten(item, f"{path}:{number}"):
            yield Entry(line=number, values={**values, **(common or {})})


def _from_object(items: Mapping[str, Any], path: Path) -> Iterator[Entry]:
    _refuse_class_names(items, path)
    for number, (name, item) in enumerate(items.items(), start=1):
        if isinstance(item, dict) or _is_list_of_objects(item):
            for annotation in item if isinstance(item, list) else [item]:
                named = any(fold_column(key) in _PATH_COLUMNS for key in annotation)
                for values in _flatten(annotation, f"{path}:{number}"):
                    yield Entry(line=number, values=values if named else {KEY: name, **values})
        elif _is_list_of_names(item) and not ends_as_video(name):
            yield from (Entry(line=number, values={KEY: each, "label": name}) for each in item)
        elif item is None or isinstance(item, str | int | float | list):
            yield Entry(line=number, values={KEY: name, "label": item})
        else:
            raise DatasetError(f"{path}:{number}: expected {_EXPECTED}, found {shorten(item)}")


def _from_detections(results: Mapping[str, Any], path: Path) -> Iterator[Entry]:
    """Parts by the name of the video, as ActivityNet's evaluation reads them; it may have none."""
    for number, (name, found) in enumerate(results.items(), start=1):
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise DatasetError(
                f"{path}:{number}: expected a list of objects with segment and label, found "
                f"{shorten(found)}"
            )
        yield from (Entry(line=number, values={KEY: name, **each}) for each in found)


def _refuse_class_names(items: Mapping[str, Any], path: Path) -> None:
    """{"abseiling": 0, "air drumming": 1} and {"0": "abseiling", ...} are for --labels.

    No video has a number of its own, nor are videos called 0 to n-1 and all of another class.
    """
    values = [str(value) for value in items.values() if isinstance(value, str | int)]
    distinct = len(set(values)) == len(items)
    numbers = all(map(is_index, values))
    counted = len(items) > 1 and list(items) == [str(place) for place in range(len(items))]
    paths = any("/" in name or ends_as_video(name) for name in items)
    if distinct and (numbers or counted) and not paths:
        raise DatasetError(
            f"{path}: expected {_EXPECTED}, found names that each have a number of their own",
            hint="a map from class name to index is for --labels",
        )


def _from_fiftyone(data: Mapping[str, Any], path: Path) -> Iterator[Entry]:
    """Labels by id, as names or as places in `classes`; `data.json` may name the file of an id."""
    classes = data["classes"] or []
    files: object = {}
    if (beside := path.with_name("data.json")).is_file() and beside != path:
        files = parse_json(read_text(beside, what="list"), source=str(beside))
    if not isinstance(classes, list) or not isinstance(files, dict):
        raise DatasetError(f"{path}: expected FiftyOne's classes, labels and data.json")
    of_parts = any(isinstance(found, list) for found in data["labels"].values())
    for number, (name, found) in enumerate(data["labels"].items(), start=1):
        if found is None and of_parts:  # a video whose field is empty: it has no part
            continue
        for item in found if isinstance(found, list) else [found]:
            values = dict(item) if isinstance(item, dict) else {"label": item}
            label = values.get("label")
            if isinstance(label, int) and classes:
                if not 0 <= label < len(classes):
                    raise DatasetError(
                        f"{path}:{number}: label {shorten(label)} is none of the {len(classes)} "
                        "classes of this file"
                    )
                values["label"] = classes[label]
            yield Entry(line=number, values={KEY: files.get(name, name), **values})


def _flatten(item: Mapping[str, Any], where: str) -> Iterator[Mapping[str, Any]]:
    """An object whose annotations, one or a list of them, are part of it."""
    found = item.get("annotations")
    if not isinstance(found, dict | list):
        yield from expand_labels(item, where)
        return
    rest = {key: value for key, value in item.items() if key != "annotations"}
    names = {key: rest[key] for key in rest if fold_column(key) in column_names.NAMES}
    annotations = found if isinstance(found, list) else [found]
    for annotation in annotations or [{}]:
        yield (
            {**rest, **annotation, **names}
            if isinstance(annotation, dict)
            else {**rest, "label": annotation}
        )


def _is_pair(item: Sequence[object]) -> bool:
    """Whether a list is a path and a label, in this order."""
    return len(item) == 2 and (
        isinstance(item[0], str) and not (isinstance(item[1], str) and ends_as_video(item[1]))
    )


def _is_list_of_names(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(name, str) and ends_as_video(name) for name in value)
    )
