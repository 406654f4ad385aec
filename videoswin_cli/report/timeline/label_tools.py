"""Timelines as the JSON that tools import in which people correct labels.

Times are rounded to milliseconds. `data.lists` reads what the tools export.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from videoswin_cli.io.atomic import to_json
from videoswin_cli.records import ActionSegment, Timeline
from videoswin_cli.version import __version__

_DIGITS = 3  # of seconds


def to_activitynet(timelines: Sequence[Timeline]) -> str:
    """Detections as ActivityNet's evaluation reads them; several parts of one file are joined."""
    results: dict[str, list[dict[str, Any]]] = {}
    for timeline in timelines:
        found = results.setdefault(timeline.video, [])
        for each in timeline.segments:
            found.append({"segment": _pair(each), "label": each.label, "score": each.mean})
    models = sorted({timeline.model for timeline in timelines})
    external = {"used": True, "details": f"videoswin {__version__}, {', '.join(models)}"}
    return _to_text({"version": "VERSION 1.3", "results": results, "external_data": external})


def to_fiftyone(timelines: Sequence[Timeline]) -> str:
    """Labels of a `FiftyOneTemporalDetectionDataset`, by `_fiftyone_keys`.

    A video that failed is left out: FiftyOne imports no file that names one which is not there.
    """
    read = [timeline for timeline in timelines if timeline.error is None]
    indices = {each.index: each.label for found in read for each in found.segments}
    places = {index: place for place, index in enumerate(sorted(indices))}
    keys = _fiftyone_keys(timeline.video for timeline in read)
    labels: dict[str, list[dict[str, Any]]] = {}
    for timeline in read:
        found = labels.setdefault(keys[timeline.video], [])
        for each in timeline.segments:
            place = places[each.index]
            found.append({"label": place, "timestamps": _pair(each), "confidence": each.mean})
    return _to_text({"classes": [indices[index] for index in sorted(indices)], "labels": labels})


def _fiftyone_keys(videos: Iterable[str]) -> dict[str, str]:
    """Keys of labels, by video: the path without its extension, for which FiftyOne has a folder.

    It opens an absolute key as it is. So an absolute path keeps its extension, and what no key
    without one names becomes absolute: `../a.mp4`, and `a.mp4` beside `a.avi`.
    """
    paths = {video: Path(_from_here(video)) for video in videos}
    stems = Counter(path.with_suffix("") for path in paths.values())

    def to_key(video: str, path: Path) -> str:
        stem = path.with_suffix("")
        if "://" in video:
            return video
        return _absolute(video) if path.is_absolute() or stems[stem] > 1 else stem.as_posix()

    return {video: to_key(video, path) for video, path in paths.items()}


def to_labelstudio(timelines: Sequence[Timeline]) -> str:
    """Tasks with predictions, for a `Video` called `video` and `TimelineLabels` called `labels`.

    Label Studio counts frames from 1 at the rate of the task. It opens the paths from its document
    root (`LOCAL_FILES_DOCUMENT_ROOT`).
    """
    tasks = [
        {
            "data": {"video": _to_labelstudio_url(timeline.video), "fps": timeline.fps},
            "predictions": [
                {
                    "model_version": timeline.model,
                    "result": [
                        _to_labelstudio_region(number, each, timeline.fps)
                        for number, each in enumerate(timeline.segments, start=1)
                    ],
                }
            ],
        }
        for timeline in timelines
        if timeline.error is None
    ]
    return _to_text(tasks)


def _to_labelstudio_url(video: str) -> str:
    if "://" in video:
        return video
    return f"/data/local-files/?d={quote(os.fsencode(_from_here(video)))}"


def _to_labelstudio_region(number: int, segment: ActionSegment, fps: float) -> Mapping[str, Any]:
    first = math.floor(segment.start * fps + 0.5) + 1
    last = max(math.floor(segment.end * fps + 0.5), first)
    return {
        "id": f"segment-{number}",
        "from_name": "labels",
        "to_name": "video",
        "type": "timelinelabels",
        "score": segment.mean,
        "value": {
            "ranges": [{"start": first, "end": last}],
            "timelinelabels": [segment.label],
        },
    }


def _from_here(video: str) -> str:
    """A path with `/`, relative to this folder where the video is within it."""
    path = Path(video)
    inside = not path.is_absolute() and ".." not in path.parts
    return (video if inside else _absolute(video)).replace(os.sep, "/")


def _absolute(video: str) -> str:
    """Without `..`; links are not followed, since their targets may have other names."""
    return os.path.normpath(Path(video).absolute())


def _pair(segment: ActionSegment) -> list[float]:
    return [round(segment.start, _DIGITS), round(segment.end, _DIGITS)]


def _to_text(value: object) -> str:
    return to_json(value, indent=1) + "\n"
