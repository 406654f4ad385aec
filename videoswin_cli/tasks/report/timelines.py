"""Timelines of `videoswin timeline --format json` or `jsonl`, read back."""

import json
import math
from pathlib import Path

from videoswin_cli.errors import UsageError
from videoswin_cli.io.text_files import parse_json, read_text
from videoswin_cli.io.typed_records import to_record
from videoswin_cli.records import Timeline
from videoswin_cli.report.pages.contents import TimelineSection
from videoswin_cli.report.pages.timelines import timeline_section
from videoswin_cli.tasks.report.files import find_file, split_segment

_LABEL_TOOLS = {  # name and option: keys that such a file has
    "ActivityNet (--format activitynet)": {"version", "results"},
    "FiftyOne (--format fiftyone)": {"classes", "labels"},
    "Label Studio (--format labelstudio)": {"data", "predictions"},
}


def holds_timelines(path: Path) -> bool:
    """Whether the first line of a .jsonl file is a timeline; an eval dump has no segments."""
    with path.open(encoding="utf-8", errors="replace") as file:
        first = next(filter(str.strip, file), "")
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and "segments" in row


def read_timelines(path: Path) -> list[Timeline]:
    """All timelines of a file.

    Raises:
        UsageError: it cannot be read, or holds something else.
    """
    text = read_text(path, what="timeline")
    if path.suffix == ".jsonl":
        lines = [line for line in text.split("\n") if line.strip()]
        found: object = [parse_json(line, source=str(path)) for line in lines]
    else:
        found = parse_json(text, source=str(path))
    if other := _find_label_tool(found):
        raise UsageError(f"{path}: this is {other}: write it with --format json")
    entries = [found] if isinstance(found, dict) else found
    if not isinstance(entries, list) or not entries:
        raise UsageError(f"{path}: expected a list of timelines, as `videoswin timeline` writes it")
    return [_read(entry, f"{path}: timeline {n}") for n, entry in enumerate(entries, start=1)]


def _find_label_tool(found: object) -> str | None:
    """Name of the form where it is one of `report.timeline.label_tools`, which loses too much."""
    first = found[0] if isinstance(found, list) and found else found
    keys = set(first) if isinstance(first, dict) else set()
    return next((name for name, known in _LABEL_TOOLS.items() if known <= keys), None)


def _read(entry: object, source: str) -> Timeline:
    if not isinstance(entry, dict) or "segments" not in entry:
        raise UsageError(f"{source}: expected an object with path, model and segments")
    timeline = to_record(Timeline, entry, source=source)
    spans = [(segment.start, segment.end) for segment in timeline.segments]
    spans += [(gap.start, gap.end) for gap in timeline.gaps]
    for start, end in spans:
        if not (math.isfinite(start) and math.isfinite(end) and start <= end):
            raise UsageError(f"{source}: a stretch from {start} to {end} s")
    for segment in timeline.segments:
        if not (0 <= segment.mean <= 1.001 and 0 <= segment.peak <= 1.001):
            raise UsageError(f"{source}: a probability out of the range 0 to 1")
    numbers = (timeline.start, timeline.duration, timeline.window, timeline.stride)
    if not all(map(math.isfinite, numbers)):
        raise UsageError(f"{source}: start, duration, window and stride must be finite")
    return timeline


def describe_timeline(timeline: Timeline, root: Path | None, page: Path) -> TimelineSection:
    """Section of a timeline, whose video is under the root, or where its path says."""
    if root is not None:
        found = find_file(root, timeline.path)
        file = None if found is None else found[0]
    else:
        name = timeline.path
        file = Path(name if Path(name).is_file() else split_segment(name)[0])
    there = file is not None and file.is_file()
    return timeline_section(timeline, video=file if there else None, page=page)
