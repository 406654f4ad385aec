"""Every listed video scored once: what is computed of it, and the dump that keeps it.

Entries go to a journal in `DUMP.part`. At the end the description is written, then the dump, then
the folder goes: a dump that is there says which run it is of, whenever the process is killed.
"""

import base64
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.engine.aggregate import average_views
from videoswin_cli.engine.dumps import dump_format, from_row, read_dump, write_dump
from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.forward import ViewOutputs
from videoswin_cli.engine.journal import Entry
from videoswin_cli.engine.metrics import ScoredVideo, rank_scores
from videoswin_cli.engine.numerics import NO_RECORD, Record
from videoswin_cli.engine.output_journal import OutputJournal
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.provenance import Description, describe_settings
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import OutputExistsError, VideoError
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.options.tasks import EvalOptions
from videoswin_cli.records import ListedVideo, Timing

_KEPT_TOP = 5  # classes that a dump without all probabilities has of a video, at least

Kept = TypeVar("Kept")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class ScoreWorker:
    """Class probabilities of each video, as entries of a journal."""

    options: EvalOptions

    def compute(
        self, runner: Runner, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> Generator[Entry, None, None]:
        """One entry per video, in order.

        Raises:
            VideoError: a video failed, and that is to stop the run.
        """
        parts = [video.part for video in videos if video.file is not None]
        with closing(runner.forward(runner.views(parts, monitor), monitor=monitor)) as outputs:
            for video in videos:
                output = None if video.file is None else next(outputs)
                if output is None or isinstance(output, FailedVideo):
                    entry = _failure(video, video.missing if output is None else output.reason)
                else:
                    monitor.note(video.path, output.notes)
                    entry = self._entry(runner, video, output)
                if entry["error"] is not None and self.options.on_error == "fail":
                    raise VideoError(f"{video.path}: {entry['error']}")
                monitor.advance(failed=entry["error"] is not None)
                yield entry

    def _entry(self, runner: Runner, video: ListedVideo, output: ViewOutputs) -> Entry:
        options, multi_label = self.options, runner.model.spec.multi_label
        probabilities = average_views(output.outputs, how=options.average, multi_label=multi_label)
        scores = probabilities.numpy().astype(np.float32)
        top = rank_scores(scores, k=count_kept(options))
        entry: Entry = {
            "path": video.path,
            "label": video.label,
            "more_labels": video.more_labels,
            "decoder": output.info.decoder,
            "top": [{"index": index, "prob": float(scores[index])} for index in top],
            "notes": output.notes,
            "error": None,
        }
        keeps_all = options.dump is not None and dump_format(options.dump) != "jsonl"
        if multi_label or keeps_all:
            entry["scores"] = base64.b64encode(scores.tobytes()).decode("ascii")
        return entry


def count_kept(options: EvalOptions) -> int:
    """Classes of each video that are kept, at least."""
    return max(_KEPT_TOP, *options.topk)


class ScoreSink(Generic[Result]):
    """Entries of a run: in the journal of a dump, or in memory."""

    in_order = False

    def __init__(
        self,
        listed: Sequence[ListedVideo],
        options: EvalOptions,
        *,
        resume: bool,
        end: Callable[[tuple[ScoredVideo, ...], Runner, Timing], Result],
    ) -> None:
        """`end` makes the result of all videos, in the order of the list."""
        self._listed = listed
        self._options = options
        self._resume = resume
        self._end = end
        self._journal = None if options.dump is None else OutputJournal(options.dump)
        self._description: Description = {}
        self._runner: Runner | None = None

    @property
    def record(self) -> Record:
        if self._journal is None:
            return NO_RECORD
        return self._journal.record(self._describe, resume=self._resume)

    def check(self) -> None:
        if self._journal is None:
            return
        with self._journal.guarded():
            self._journal.check_idle()
            for path in (self._journal.out, self._journal.folder):
                if path.exists() and not self._resume:
                    raise OutputExistsError(
                        f"{path} exists", hint="use --resume to continue it, or another --dump"
                    )

    def begin(self, runner: Runner, part: str) -> bool:
        self.join(runner, part)
        return True

    def join(self, runner: Runner, part: str) -> None:
        self._runner = runner
        self._description = self._describe(runner.model, runner.settings)
        if self._journal is not None:
            with self._journal.guarded():
                self._journal.check_recorded(self._description)
                self._journal.open(self._description, part=part)

    def finished(self) -> Mapping[str, str]:
        wanted = {video.path: video.labels for video in self._listed}
        found = self._read_done(
            lambda v: v.file_stamp if v.error is None and wanted.get(v.path) == v.labels else None
        )
        return {path: stamp for path, stamp in found.items() if stamp is not None}

    def keep(self, result: Entry, stamps: FileStamps) -> Entry | None:
        result["file_stamp"] = stamps[result["path"]]
        if self._journal is None:
            return result
        self._journal.append(result)
        return None

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def finish(self, collected: Sequence[Entry], timing: Timing) -> Result:
        done = self._read_done(lambda video: video) | {
            entry["path"]: _from_entry(entry) for entry in collected
        }
        videos = tuple(done[video.path] for video in self._listed)
        assert self._runner is not None
        if self._journal is not None:
            labels, dump = self._runner.model.labels, self._journal.out
            with self._journal.guarded():
                self._journal.complete(self._description, lambda: write_dump(dump, videos, labels))
        return self._end(videos, self._runner, timing)

    def _read_done(self, take: Callable[[ScoredVideo], Kept]) -> dict[str, Kept]:
        """Facts taken from the videos of the dump and of the run under way, by path."""
        if self._journal is None:
            return {}
        dump, done = self._journal.out, {}
        if dump.exists():
            done = {video.path: take(video) for video in read_dump(dump)}
        return done | self._journal.read(lambda line, entry: take(_from_entry(entry)))

    def _describe(self, model: LoadedModel, settings: Settings) -> Description:
        options = self._options
        return describe_settings(
            model, settings, average=options.average, top_kept=count_kept(options)
        )


def _failure(video: ListedVideo, reason: str) -> Entry:
    return {
        "path": video.path,
        "label": video.label,
        "more_labels": video.more_labels,
        "top": [],
        "error": reason,
    }


def _from_entry(entry: Entry) -> ScoredVideo:
    video = from_row(entry)
    if "scores" not in entry:
        return video
    scores = np.frombuffer(base64.b64decode(entry["scores"]), dtype=np.float32)
    return replace(video, scores=scores.copy())
