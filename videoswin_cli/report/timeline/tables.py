"""Timelines as a table, JSON or CSV."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from videoswin_cli.io.atomic import to_json
from videoswin_cli.io.csv_text import to_csv
from videoswin_cli.io.visible import visible
from videoswin_cli.records import Timeline
from videoswin_cli.report.percent import percent
from videoswin_cli.report.timing import clock

CSV_HEAD = to_csv([("path", "start", "end", "label", "index", "mean", "peak", "error")])


def to_table(timeline: Timeline) -> str:
    """Lines for eyes: from when to when, mean probability, class; gaps with their reason."""
    if timeline.error is not None:
        return f"{visible(timeline.path)}\n  failed: {visible(timeline.error)}\n"
    lines = [
        (segment.start, segment.end, f"{percent(segment.mean, 2):>7}%  {visible(segment.label)}")
        for segment in timeline.segments
    ]
    lines += [(gap.start, gap.end, f"  unread  {visible(gap.reason)}") for gap in timeline.gaps]
    head = (
        f"{visible(timeline.path)}  ({timeline.duration:.2f} s, {visible(timeline.model)}, "
        f"windows of {timeline.window:.2f} s every {timeline.stride:.2f} s)\n"
    )
    rows = [
        f"  {clock(start, digits=2)}  {clock(end, digits=2)}{text}\n"
        for start, end, text in sorted(lines)
    ]
    return head + "".join(rows or ["  no segment (--threshold, --min-duration)\n"])


def to_csv_rows(timeline: Timeline) -> str:
    """One row per segment; gaps and failures are rows with an error."""
    path = timeline.path
    rows: list[tuple[Any, ...]] = [
        (path, each.start, each.end, each.label, each.index, each.mean, each.peak, None)
        for each in timeline.segments
    ]
    rows += [(path, gap.start, gap.end, *[None] * 4, gap.reason) for gap in timeline.gaps]
    if timeline.error is not None:
        rows.append((path, *[None] * 6, timeline.error))
    return to_csv(rows)


def to_json_line(timeline: Timeline) -> str:
    fields = asdict(timeline)
    del fields["windows"]
    return to_json(fields) + "\n"


def to_window_lines(timeline: Timeline) -> str:
    """One object per window, or one with the reason why there are none."""
    if timeline.error is not None:
        return to_json({"path": timeline.path, "error": timeline.error}) + "\n"
    return "".join(to_json(asdict(window)) + "\n" for window in timeline.windows)


def to_json_list(timelines: Sequence[Timeline]) -> str:
    return "[" + ",\n ".join(to_json_line(each).rstrip("\n") for each in timelines) + "]\n"
