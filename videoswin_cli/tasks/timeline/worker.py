"""Timelines of videos, piece by piece."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.data.window_dataset import Begun
from videoswin_cli.engine.file_stamps import read_stamp
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.windows import WindowProbabilities, window_probabilities
from videoswin_cli.options.timeline import SegmentOptions, TimelineOutput
from videoswin_cli.records import ListedVideo, Timeline
from videoswin_cli.tasks.timeline.builder import (
    TimelineBuilder,
    choose_stride,
    failed_timeline,
)
from videoswin_cli.tasks.timeline.companions import write_companions
from videoswin_cli.tasks.timeline.window_log import WindowLog

Pieces = Iterator[WindowProbabilities | FailedVideo]


@dataclass(frozen=True, kw_only=True)
class TimelineWorker:
    """The timeline of each video."""

    options: SegmentOptions
    output: TimelineOutput = field(default_factory=TimelineOutput)
    open_log: Callable[[], WindowLog | None] = lambda: None  # of this process, once it has begun

    def compute(
        self, runner: Runner, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> Generator[Timeline, None, None]:
        """One timeline per video; a video that an earlier run did not end comes first."""
        log = self.open_log()
        stamps = {video.path: read_stamp(video.file) for video in videos}
        videos, before = _begin_with_unfinished(videos, log)
        if before:
            count = sum(map(len, before))
            monitor.notice(f"{videos[0].path}: {count} windows were done before: skipped")
        found = window_probabilities(
            runner,
            [video.part for video in videos if video.file is not None],
            stride=choose_stride(runner, self.options),
            monitor=monitor,
            begun=Begun(windows=sum(map(len, before)), readable=any(each.times for each in before)),
            beside=True,
        )
        with closing(found) as pieces:
            for video in videos:
                if video.file is None:
                    timeline = failed_timeline(runner, video, video.missing)
                else:
                    builder = TimelineBuilder(runner, video, self.options)
                    for piece in before:
                        builder.add(piece)
                    before = ()
                    stamp = stamps[video.path]
                    timeline = _see(runner, builder, _keep(pieces, log, video, stamp), monitor)
                    opening = runner.settings.opening
                    timeline = write_companions(video, timeline, self.output, opening)
                monitor.note(video.path, (*timeline.notes, *_describe_gaps(timeline)))
                monitor.advance(failed=timeline.error is not None)
                yield timeline


def _begin_with_unfinished(
    videos: Sequence[ListedVideo], log: WindowLog | None
) -> tuple[Sequence[ListedVideo], tuple[WindowProbabilities, ...]]:
    """The videos, first the one that an earlier run left in its middle, and its windows."""
    for video in videos if log is not None else ():
        if log is not None and (before := log.earlier(video)):
            return [video, *(other for other in videos if other is not video)], before
    return videos, ()


def _keep(pieces: Pieces, log: WindowLog | None, video: ListedVideo, stamp: str) -> Pieces:
    """Pieces of the next video, which are in the log unless they are its last."""
    for piece in pieces:
        if log is not None and not isinstance(piece, FailedVideo) and piece.unread:
            log.add(piece, video.path, stamp)
        yield piece
        if isinstance(piece, FailedVideo) or not piece.unread:
            return


def _see(runner: Runner, builder: TimelineBuilder, pieces: Pieces, monitor: Monitor) -> Timeline:
    """The timeline of the next video."""
    for piece in pieces:
        if isinstance(piece, FailedVideo):
            return failed_timeline(runner, builder.video, piece.reason)
        seconds = builder.add(piece)
        path = builder.video.path
        monitor.watch(path, builder.position, builder.until, seconds=seconds)
    return builder.finish()


def _describe_gaps(timeline: Timeline) -> Iterator[str]:
    for gap in timeline.gaps:
        yield f"unread from {gap.start:.2f} to {gap.end:.2f} s: {gap.reason}"
