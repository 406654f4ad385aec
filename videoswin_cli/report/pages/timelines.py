"""Pages of timelines: a player beside what was seen when."""

import os
import posixpath
from pathlib import Path
from urllib.parse import quote

from videoswin_cli.io.staging import name_addresses
from videoswin_cli.records import Timeline
from videoswin_cli.report.pages.contents import Page, TimelineSection
from videoswin_cli.report.pages.environment import describe_environment
from videoswin_cli.report.pages.render import write_page


def write_timeline_page(out: Path, timeline: Timeline, *, video: Path | None) -> None:
    """Write the page of one timeline.

    Args:
        out: where to.
        timeline: what was seen when.
        video: its file, which the page plays by a relative path; None: there is none to play.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    section = timeline_section(timeline, video=video, page=out)
    write_page(
        out, Page(title=timeline.path, sections=[section], environment=describe_environment())
    )


def timeline_section(timeline: Timeline, *, video: Path | None, page: Path) -> TimelineSection:
    """Timeline with its video, as seen from the folder of the page."""
    if video is None:
        problem = "No file of this video is known: there is nothing to play."
        return TimelineSection(timeline=timeline, video=None, problem=problem)
    return TimelineSection(timeline=timeline, video=relative_url(video, page=page))


def relative_url(file: Path, *, page: Path) -> str:
    """Percent-encoded path of a file from the folder of a page; a file URL on another drive."""
    there = [name_addresses(str(each)) for each in (file.absolute(), page.absolute().parent)]
    scheme, _, of_page = there[1].partition("://")
    if of_page:  # it will lie behind an address, beside the file or not
        is_beside = there[0].startswith(f"{scheme}://{of_page.partition('/')[0]}/")
        path = posixpath.relpath(there[0].partition("://")[2], of_page) if is_beside else there[0]
        return quote(os.fsencode(path)) if is_beside else file.absolute().as_uri()
    try:
        path = os.path.relpath(file.absolute(), page.absolute().parent)
    except ValueError:  # Windows has no path from one drive to another
        return file.absolute().as_uri()
    return quote(os.fsencode(path.replace(os.sep, "/")))
