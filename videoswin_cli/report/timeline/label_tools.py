"""Timelines as the JSON that tools import in which people correct labels.

Times are rounded to milliseconds. `data.lists` reads what the tools export.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

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
    """Labels of a `FiftyOneVideoTemporalDetectionDataset`: by the path without its extension."""
    indices = {each.index: each.label for found in timelines for each in found.segments}
    places = {index: place for place, index in enumerate(sorted(indices))}
    labels: dict[str, list[dict[str, Any]]] = {}
    for timeline in timelines:
        key = PurePosixPath(timeline.video.replace("\\", "/"))
        found = labels.setdefault(str(key.with_suffix("")), [])
        for each in timeline.segments:
            place = places[each.index]
            found.append({"label": place, "timestamps": _pair(each), "confidence": each.mean})
    return _to_text({"classes": [indices[index] for index in sorted(indices)], "labels": labels})


def to_labelstudio(timelines: Sequence[Timeline]) -> str:
    """Tasks with predictions, for a `Video` called `video` and `TimelineLabels` called `labels`.

    Label Studio counts frames from 1 at the rate of the task.
    """
    tasks = [
        {
            "data": {"video": timeline.video, "fps": timeline.fps},
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


def _pair(segment: ActionSegment) -> list[float]:
    return [round(segment.start, _DIGITS), round(segment.end, _DIGITS)]


def _to_text(value: object) -> str:
    return to_json(value, indent=1) + "\n"
