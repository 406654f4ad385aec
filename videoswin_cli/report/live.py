"""Answers of a live stream: JSON lines, or a table that is drawn anew with each of them."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from videoswin_cli.io.atomic import to_json
from videoswin_cli.io.visible import counted, visible
from videoswin_cli.records import LiveEvent, WatchSummary
from videoswin_cli.report.predictions import class_table

if TYPE_CHECKING:
    from rich.console import Group


def live_line(event: LiveEvent) -> str:
    """One line of JSON without its end, as docs/watch.md shows it."""
    return to_json(asdict(event))


def live_table(event: LiveEvent) -> "Group":
    """The classes of the last clip with bars, and how the stream is kept up with."""
    from rich.console import Group
    from rich.text import Text

    title = Text.assemble(
        (visible(event.source), "bold"), "  ", (f"{event.time}, {visible(event.model)}", "dim")
    )
    return Group(title, class_table(event.top), Text(_describe_stream(event), style="dim"))


def _describe_stream(event: LiveEvent) -> str:
    parts = [
        f"delay {event.delay:.2f} s",
        f"{event.fps:.1f} fps",
        f"{counted(event.frames, 'frame')}, {event.dropped} dropped",
        f"{event.damaged} damaged" if event.damaged else "",
        counted(event.reconnects, "reconnect") if event.reconnects else "",
    ]
    return "  " + " · ".join(filter(None, parts))


def describe_watch(summary: WatchSummary) -> str:
    """One line for the end of a watch."""
    parts = [
        f"{counted(summary.clips, 'clip')} of {counted(summary.frames, 'frame')}",
        f"{counted(summary.skipped, 'clip')} skipped" if summary.skipped else "",
        f"{counted(summary.dropped, 'frame')} dropped",
        f"{summary.damaged} packets or frames damaged" if summary.damaged else "",
        counted(summary.reconnects, "reconnect") if summary.reconnects else "",
        f"longest delay {summary.longest_delay:.2f} s" if summary.clips else "",
        counted(summary.commands, "command") if summary.commands else "",
        f"{summary.failed_commands} of them failed" if summary.failed_commands else "",
    ]
    return f"{summary.source}: " + ", ".join(filter(None, parts))
