"""Segments of a video as subtitles, which play in any player."""

from html import escape

from videoswin_cli.io.visible import visible
from videoswin_cli.records import Timeline
from videoswin_cli.report.percent import percent
from videoswin_cli.report.timing import clock


def to_srt(timeline: Timeline) -> str:
    """SubRip. It has no escapes, so what would end a cue or begin a tag is spaced out."""
    return "".join(
        f"{number}\n{clock(each.start, digits=3, point=',')} --> "
        f"{clock(each.end, digits=3, point=',')}\n{_plain(each.label)} {percent(each.mean)}%\n\n"
        for number, each in enumerate(timeline.segments, start=1)
    )


def to_vtt(timeline: Timeline) -> str:
    """WebVTT, for the <track> of a page."""
    return "WEBVTT\n\n" + "".join(
        f"{clock(each.start, digits=3)} --> {clock(each.end, digits=3)}\n"
        f"{escape(visible(each.label), quote=False)} {percent(each.mean)}%\n\n"
        for each in timeline.segments
    )


def _plain(label: str) -> str:
    text = visible(label).replace("-->", "- ->")
    return text.replace("<", "< ").replace("{", "{ ")
