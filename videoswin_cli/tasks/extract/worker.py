"""Features of listed videos, piece by piece, and of named videos in memory."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.data.window_dataset import Begun
from videoswin_cli.engine.file_stamps import read_stamp
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner
from videoswin_cli.options.tasks import FeatureOptions
from videoswin_cli.records import ListedVideo
from videoswin_cli.tasks.extract.features import Rows, compute_rows, plan_features
from videoswin_cli.tasks.extract.output import Output
from videoswin_cli.tasks.extract.sink import Piece, describe_features
from videoswin_cli.tasks.extract.tables import (
    FeatureTable,
    StoredVideo,
    all_rows,
    join_rows,
    make_table,
)
from videoswin_cli.tasks.extract.writer import find_refusal


class Earlier(Protocol):
    """Rows that an earlier run left of the video that it was at."""

    def begun(self, video: ListedVideo) -> Begun | None:
        """Windows that are there; None where there are none."""

    def forget(self) -> None:
        """Drop them."""


class Nothing:
    """Rows of no earlier run."""

    def begun(self, video: ListedVideo) -> Begun | None:
        return None

    def forget(self) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class FeatureWorker:
    """Features of each video, in pieces where it has many."""

    options: FeatureOptions
    output: Output | None = None  # with files of single videos, which a name may not allow
    earlier: Earlier = field(default_factory=Nothing)

    def compute(
        self, runner: Runner, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> Generator[Piece, None, None]:
        """Pieces of all videos; a video that an earlier run did not end comes first."""
        refused = {
            video.path: None if self.output is None else find_refusal(self.output, video.path)
            for video in videos
        }
        readable = [v for v in videos if v.file is not None and refused[v.path] is None]
        begun = Begun()
        for video in readable:
            if (found := self.earlier.begun(video)) is not None:
                begun = found
                monitor.notice(f"{video.path}: {begun.windows} windows were done before: skipped")
                videos = [video, *(other for other in videos if other is not video)]
                readable = [video, *(other for other in readable if other is not video)]
                break
        else:
            self.earlier.forget()
        parts = [video.part for video in readable]
        plan = plan_features(runner.model.spec, runner.settings, self.options)
        with closing(compute_rows(runner, parts, plan, monitor=monitor, begun=begun)) as rows:
            for video in videos:
                reason = video.missing if video.file is None else refused[video.path]
                if reason is not None:
                    yield Piece(video=video, reason=reason)
                else:
                    for part in _rows_of_one(rows):
                        reason = part.reason if isinstance(part, FailedVideo) else None
                        if isinstance(part, Rows):
                            monitor.note(video.path, part.notes)
                            yield Piece(video=video, rows=part)
                        else:
                            yield Piece(video=video, reason=reason)
                monitor.advance(failed=reason is not None)


def compute_table(
    runner: Runner, listed: Sequence[ListedVideo], options: FeatureOptions
) -> FeatureTable:
    """Features of videos in memory; one that cannot be read has NaN rows and says why."""
    plan = plan_features(runner.model.spec, runner.settings, options)
    stamps = {video.path: read_stamp(video.file) for video in listed}
    named = [video.part for video in listed]
    with closing(compute_rows(runner, named, plan, monitor=Monitor())) as rows:
        videos = [
            _join_pieces(video.path, list(_rows_of_one(rows)), stamps[video.path])
            for video in listed
        ]
    description = describe_features(runner.model, runner.settings, options)
    return make_table(videos, np.concatenate(all_rows(videos, plan)), description, plan)


def _join_pieces(path: str, pieces: Sequence[Rows | FailedVideo], stamp: str) -> StoredVideo:
    last = pieces[-1]
    if isinstance(last, FailedVideo):
        return StoredVideo(path=path, error=last.reason, file_stamp=stamp)
    return join_rows(path, [piece for piece in pieces if isinstance(piece, Rows)], stamp)


def _rows_of_one(rows: Iterator[Rows | FailedVideo]) -> Iterator[Rows | FailedVideo]:
    """What `rows` has of its next video."""
    for part in rows:
        yield part
        if isinstance(part, FailedVideo) or part.last:
            return
