"""Files beside a timeline for people to look at: the video with it drawn on, and a page."""

from dataclasses import replace
from pathlib import Path

from videoswin_cli.engine.annotate import annotate
from videoswin_cli.engine.video_files import make_folder_of, remove_earlier
from videoswin_cli.io.addresses import is_url
from videoswin_cli.io.paths import file_below
from videoswin_cli.io.tar_files import split_member
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.options.timeline import TimelineOutput
from videoswin_cli.records import ListedVideo, Timeline
from videoswin_cli.report.overlay import paint_timeline
from videoswin_cli.report.pages.timelines import write_timeline_page


def write_companions(
    video: ListedVideo, timeline: Timeline, output: TimelineOutput, opening: OpenOptions
) -> Timeline:
    """The timeline, with a note of each file that could not be written as it should.

    Raises:
        MachineError: the machine is to blame.
        VideoSwinError: the disk is full.
    """
    if timeline.error is not None:
        for folder, suffix in output.beside:
            remove_earlier(file_below(folder, video.path, suffix))
        return timeline
    notes: tuple[str, ...] = ()
    if output.annotate is not None:
        notes = annotate(
            video,
            output.annotate,
            lambda canvas: paint_timeline(
                timeline, (canvas.width, canvas.height), start=canvas.start, end=canvas.end
            ),
            opening=opening,
        )
    if output.html is not None:
        notes += _write_page(video, timeline, output)
    return replace(timeline, notes=(*timeline.notes, *notes))


def _write_page(video: ListedVideo, timeline: Timeline, output: TimelineOutput) -> tuple[str, ...]:
    assert output.html is not None
    page = file_below(output.html, video.path, ".html")
    if page is None:
        return ("its page cannot be written: no name is left of it",)
    make_folder_of(page)
    write_timeline_page(page, timeline, video=_find_playable(video, output))
    return ()


def _find_playable(video: ListedVideo, output: TimelineOutput) -> Path | None:
    """The annotated copy, as browsers play mp4 but not all that we read; else the video itself.

    The copy of a segment has a clock of its own, which is not that of the timeline.
    """
    if output.annotate is not None and video.segment is None:
        drawn = file_below(output.annotate, video.path, ".mp4")
        if drawn is not None and drawn.exists():
            return drawn
    path = video.part.path
    if is_url(path) or split_member(path) is not None or Path(path).is_dir():
        return None  # a page cannot play what is no file
    return Path(path)
