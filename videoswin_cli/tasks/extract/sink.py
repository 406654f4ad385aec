"""Sink of features: an output on disk that several processes and shards share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from videoswin_cli.data.window_dataset import Begun
from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.journal import guarded, keep_description
from videoswin_cli.engine.numerics import NO_RECORD, Record
from videoswin_cli.engine.provenance import Description, describe_settings, read_numerics
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.runtime import Numerics
from videoswin_cli.engine.settings import Settings
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.options.tasks import FeatureOptions
from videoswin_cli.records import ListedVideo, Timing
from videoswin_cli.tasks.extract.features import Plan, Rows, plan_features
from videoswin_cli.tasks.extract.files import (
    finish,
    join_output,
    look_at_output,
    open_output,
    read_all,
    read_done,
    recorded_description,
    settle,
)
from videoswin_cli.tasks.extract.output import Output
from videoswin_cli.tasks.extract.tables import StoredVideo

if TYPE_CHECKING:
    from videoswin_cli.tasks.extract.writer import FeatureWriter


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """Result of a run of `extract_to_files`."""

    videos: tuple[StoredVideo, ...]  # in the order of the list; those that are done by now
    complete: bool  # they are all, and the output is in its place
    timing: Timing


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Rows of a video, or the reason why there are no more."""

    video: ListedVideo
    rows: Rows | None = None
    reason: str | None = None


class FeatureSink:
    """Rows and a journal for each process in `OUT.part`, and the output in its place at the end."""

    in_order = False

    def __init__(
        self,
        listed: Sequence[ListedVideo],
        output: Output,
        options: FeatureOptions,
        *,
        resume: bool,
        overwrite: bool,
    ) -> None:
        self.output = output
        self._listed = listed
        self._paths = [video.path for video in listed]
        self._options = options
        self._resume = resume
        self._overwrite = overwrite
        self._writer: FeatureWriter | None = None  # None: nothing is left to do
        self._plan: Plan | None = None
        self._description: Description = {}

    @property
    def plan(self) -> Plan:
        assert self._plan is not None
        return self._plan

    @property
    def record(self) -> Record:
        if self._overwrite:
            return NO_RECORD
        return Record(read=self._read_numerics, keep=self._keep_description)

    def check(self) -> None:
        look_at_output(self.output, resume=self._resume, overwrite=self._overwrite)

    def begin(self, runner: Runner, part: str) -> bool:
        self._settle(runner)
        self._writer = open_output(
            self.output,
            self._description,
            self.plan,
            self._paths,
            part=part,
            overwrite=self._overwrite,
            are_current=FileStamps(self._listed).are_current,
        )
        return self._writer is not None

    def join(self, runner: Runner, part: str) -> None:
        self._settle(runner)
        self._writer = join_output(self.output, self._description, self.plan, part=part)

    def finished(self) -> Mapping[str, str]:
        if self._plan is None:  # the main process found that nothing is left
            return dict.fromkeys(self._paths, "")
        found = read_done(self.output, self._description)
        return {path: stamp for path, stamp in found.items() if stamp is not None}

    def keep(self, result: Piece, stamps: FileStamps) -> None:
        assert self._writer is not None
        path, rows = result.video.path, result.rows
        if rows is None:
            stamp = "" if result.video.file is None else stamps[path]
            self._writer.fail(path, result.reason or "", stamp=stamp)
            return
        self._writer.add(rows, path, result.video.file)
        if rows.last:
            self._writer.end(path, rows.decoder, stamp=stamps[path])

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def finish(self, collected: Sequence[Piece], timing: Timing) -> Extraction:
        complete = True
        if self._writer is None:
            found = read_all(self.output, self._description, self.plan)
        else:
            complete, found = finish(self._writer, self._description, self.plan, self._paths)
        videos = (found.pop(path) for path in self._paths if path in found)  # one at a time
        return Extraction(
            videos=tuple(replace(video, features=None) for video in videos),
            complete=complete,
            timing=timing,
        )

    def begun(self, video: ListedVideo) -> Begun | None:
        """Windows of a video that an earlier run left; None where it left none."""
        return None if self._writer is None else self._writer.resume(video.path, video.file)

    def forget(self) -> None:
        """Drop what an earlier run has of a video that it did not end."""
        if self._writer is not None:
            self._writer.forget()

    def _settle(self, runner: Runner) -> None:
        self._plan = plan_features(runner.model.spec, runner.settings, self._options)
        self._description = describe_features(runner.model, runner.settings, self._options)

    def _read_numerics(self) -> Numerics | None:
        return read_numerics(recorded_description(self.output))

    def _keep_description(self, model: LoadedModel, settings: Settings) -> Numerics:
        """What shards that start at the same time on different machines agree on."""
        description = describe_features(model, settings, self._options)
        with guarded(self.output.part):
            settle(self.output)
            kept = keep_description(self.output.part, description)
        return read_numerics(kept) or settings.runtime.numerics


def describe_features(
    model: LoadedModel, settings: Settings, options: FeatureOptions
) -> Description:
    """Everything that features depend on, as JSON can hold it."""
    stride = options.stride
    return describe_settings(
        model,
        settings,
        per=options.per,
        stride_frames=stride.frames if stride else None,
        stride_seconds=stride.seconds if stride else None,
        stage=options.stage or "final",
        pool=options.pool,
        dtype=options.dtype,
    )
