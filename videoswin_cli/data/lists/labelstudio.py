"""Segments of videos as Label Studio exports them (JSON and JSON-MIN).

Its frames count from 1 at the rate that the task says, the last one included. An annotation by a
person counts; where there is none, the last prediction does, of which exports only have the number.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from videoswin_cli.data.lists.json_tables import KEY
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.text_files import shorten

Task = Mapping[str, Any]

_RATES = ("fps", "frameRate", "framerate", "frame_rate")  # keys of a task's data
_MOST_FRAMES = 10**12
_VIDEOS = ("video", "video_url", "url", "path")
_UPLOAD = re.compile(r"^/?data/upload/(?:[0-9]+/)?(?:[0-9a-f]{8}-)?(?P<name>.+)$")


def are_tasks(items: Sequence[Any]) -> bool:
    """Whether a list of JSON is an export of Label Studio with parts of videos."""
    if not items or not all(isinstance(item, dict) for item in items):
        return False
    if all(isinstance(item.get("data"), dict) for item in items):
        return all("annotations" in item or "predictions" in item for item in items)
    return any(_short_regions(item) for item in items)


def read_tasks(
    items: Sequence[Task], source: str, notices: list[str]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number of the task and flat values of every region of every task.

    Args:
        items: tasks of the file.
        source: of the list, for messages.
        notices: what is left out is added.

    Raises:
        DatasetError: a task without a video, or with frames and no rate.
    """
    if numbered := sum(_has_numbers_alone(task) for task in items):
        notices.append(
            f"{source}: {numbered} of {len(items)} tasks have no annotation, and predictions by "
            "number only, as Label Studio exports them: left out"
        )
    for number, task in enumerate(items, start=1):
        where = f"{source}:{number}"
        data = task["data"] if isinstance(task.get("data"), dict) else task
        name = next((data[key] for key in _VIDEOS if isinstance(data.get(key), str)), None)
        if name is None:
            raise DatasetError(
                f"{where}: no video named in the task {shorten(dict(data))}",
                hint=f"expected one of its keys {', '.join(_VIDEOS)}",
            )
        common = {KEY: _plain_name(name)}
        for value in _regions(task):
            for part in _parts(value, data, where):
                yield number, {**common, **part}


def _has_numbers_alone(task: Task) -> bool:
    found = task.get("predictions")
    return not task.get("annotations") and isinstance(found, list) and any(map(_is_number, found))


def _regions(task: Task) -> Iterator[Mapping[str, Any]]:
    """Values of the regions of a task."""
    if not isinstance(task.get("data"), dict):
        yield from _short_regions(task)
        return
    annotated = list(_objects(task.get("annotations")))
    chosen = [each for each in annotated if not each.get("was_cancelled")]
    if not annotated:
        chosen = list(_objects(task.get("predictions")))[-1:]
    for each in chosen:
        for region in _objects(each.get("result")):
            value = region.get("value")
            if isinstance(value, dict) and region.get("type") in ("timelinelabels", "labels"):
                yield value


def _short_regions(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Regions of JSON-MIN, which are values of the task itself."""
    return [
        each
        for key, value in item.items()
        if key not in ("data", "annotations", "predictions")
        for each in _objects(value)
        if "timelinelabels" in each
    ]


def _parts(value: Mapping[str, Any], data: Task, where: str) -> Iterator[Mapping[str, Any]]:
    """Start, end and class of a region, once for each of its ranges and classes."""
    labels = value.get("timelinelabels", value.get("labels"))
    ranges = list(_objects(value.get("ranges")))
    for label in labels if isinstance(labels, list) else []:
        if not ranges:  # of a sound track: seconds
            yield {"label": label, "start": value.get("start"), "end": value.get("end")}
        for each in ranges:
            rate = _read_rate(data, where)
            first, last = (_read_frame(each.get(key), where) for key in ("start", "end"))
            yield {"label": label, "start": (first - 1) / rate, "end": last / rate}


def _read_frame(value: Any, where: str) -> float:
    if not _is_number(value) or not 1 <= value <= _MOST_FRAMES:
        raise DatasetError(f"{where}: expected frames counted from 1, found {shorten(value)}")
    return float(value)


def _read_rate(data: Task, where: str) -> float:
    rate = next((data[key] for key in _RATES if key in data), None)
    if isinstance(rate, str):
        try:
            rate = float(rate)
        except ValueError:
            rate = None
    if rate is None or not _is_number(rate) or not 0 < rate < 1e6:
        raise DatasetError(
            f"{where}: the task does not say its frames per second, by which Label Studio counts",
            hint='add it to the data of each task, as "fps": 25, and to the Video tag, as '
            'frameRate="$fps"',
        )
    return float(rate)


def _plain_name(name: str) -> str:
    """The file that a task names: of one that was uploaded the name, of a local one the path."""
    parts = urlsplit(name)
    if parts.path.endswith("/data/local-files/") and "d" in (
        query := parse_qs(parts.query, errors="surrogateescape")
    ):
        return query["d"][0]
    if (match := _UPLOAD.match(parts.path)) is not None:
        return unquote(match["name"])
    return name


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
