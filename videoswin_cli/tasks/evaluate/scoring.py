"""Every listed video scored once: by one process or many, at one go or after restarts.

Answers go to a journal in `DUMP.part`. At the end the description is written, then the dump, then
the folder goes: a dump that is there says which run it is of, whenever the process is killed.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.engine.aggregate import Average, average_views
from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.forward import ViewOutputs, run_videos
from videoswin_cli.engine.journal import (
    Entry,
    Journal,
    discard,
    guarded,
    is_worked_on,
    kept_description,
)
from videoswin_cli.engine.metrics import ScoredVideo, rank_scores
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.provenance import (
    Description,
    check_equal,
    describe_run,
    read_description,
    write_description,
)
from videoswin_cli.engine.runtime import RunOptions
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.io.atomic import write_error
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.records import ListedVideo
from videoswin_cli.tasks.evaluate.dumps import dump_format, from_row, read_dump, write_dump

KEPT_TOP = 5  # classes that a dump without all scores has of a video, at least


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """One process of those that score a list; the dump is what they leave behind."""

    model: LoadedModel
    run: RunOptions
    average: Average
    keep_top: int  # classes kept of each video
    stop_at_failure: bool
    dump: Path | None
    resume: bool
    world: World
    monitor: Monitor

    def score(self, listed: Sequence[ListedVideo]) -> tuple[ScoredVideo, ...]:
        """Scores of all videos in order, on the first process; nothing on the others.

        Raises:
            UsageError: the dump exists, and is of another run or not to be gone on with.
            VideoError: a video failed, and that is to stop the run.
        """
        wanted = {video.path: video.labels for video in listed}
        with self._open_journal() as journal:
            done = {
                path: video
                for path, video in self._done_before(journal).items()
                if video.error is None and wanted.get(path) == video.labels
            }
            stamps = FileStamps(listed)
            for text in stamps.describe({path: done[path].file_stamp for path in done}):
                self.monitor.notice(text)
            done = {p: video for p, video in done.items() if stamps.is_current(p, video.file_stamp)}
            self.world.wait()  # nobody writes before all have looked
            own = self.world.shard.select(listed)
            pending = [video for video in own if video.path not in done]
            if done and self.world.is_main:
                self.monitor.notice(f"{len(done)} of {len(listed)} videos were done before")
            fresh: list[Entry] = []
            for video in pending:
                stamps[video.path]  # before any is read
            for entry in self._compute(pending):
                entry["file_stamp"] = stamps[entry["path"]]
                if journal is not None:
                    journal.append(entry)
                fresh.append(entry)
            gathered = self.world.gather(fresh)
            if not self.world.is_main:
                return ()
            done |= {entry["path"]: _from_entry(entry) for entry in gathered}
            videos = tuple(done[video.path] for video in listed)
            if self.dump is not None and journal is not None:
                self._finish(self.dump, videos, journal)
        return videos

    def _finish(self, dump: Path, videos: Sequence[ScoredVideo], journal: Journal) -> None:
        with guarded(self._folder):
            write_description(description_of(dump), self._description)
            write_dump(dump, videos, self.model.labels)
            journal.close()
            try:
                discard(self._folder)
            except OSError as error:
                raise write_error(self._folder, error) from error

    @property
    def _folder(self) -> Path:
        assert self.dump is not None
        return _folder_of(self.dump)

    @cached_property
    def _description(self) -> Description:
        return describe_run(self.model, self.run, average=self.average, top_kept=self.keep_top)

    def _open_journal(self) -> "Journal | nullcontext[None]":
        """Begin or join the run of the dump, the first process before the others."""
        if self.dump is None:
            return nullcontext()
        if not self.world.is_main:
            self.world.wait()
        with guarded(self._folder):
            if self.world.is_main:
                self._check_free(self.dump)
            journal = Journal(self._folder, self._description, part=str(self.world.shard))
        if self.world.is_main:
            self.world.wait()
        return journal

    def _check_free(self, dump: Path) -> None:
        """Raises UsageError where the dump is of another run, or being written, or not resumed."""
        if is_worked_on(self._folder):
            raise UsageError(f"another process is writing {dump}", hint="wait for it, or end it")
        if not self.resume:
            for path in (dump, self._folder):
                if path.exists():
                    raise UsageError(
                        f"{path} exists", hint="--resume resumes it; or choose another --dump"
                    )
        elif dump.exists():
            recorded = recorded_description(dump) or read_description(description_of(dump))
            check_equal(recorded, self._description, where=str(dump))

    def _done_before(self, journal: Journal | None) -> dict[str, ScoredVideo]:
        done: dict[str, ScoredVideo] = {}
        if self.dump is None or journal is None or not self.resume:
            return done
        if self.dump.exists():
            done = {video.path: video for video in read_dump(self.dump)}
        return done | {path: _from_entry(entry) for path, (_, entry) in journal.entries().items()}

    def _compute(self, pending: Sequence[ListedVideo]) -> Iterator[Entry]:
        self.monitor.begin(len(pending))
        parts = [video.part for video in pending if video.file is not None]
        outputs = run_videos(self.model, parts, options=self.run, monitor=self.monitor)
        for video in pending:
            output = None if video.file is None else next(outputs)
            if output is None:
                entry = _failure(video, video.missing)
            elif isinstance(output, FailedVideo):
                entry = _failure(video, output.reason)
            else:
                self.monitor.note(video.path, output.notes)
                entry = self._entry(video, output)
            if entry["error"] is not None and self.stop_at_failure:
                raise VideoError(f"{video.path}: {entry['error']}")
            self.monitor.advance(failed=entry["error"] is not None)
            yield entry

    def _entry(self, video: ListedVideo, output: ViewOutputs) -> Entry:
        multi_label = self.model.spec.multi_label
        probabilities = average_views(output.outputs, how=self.average, multi_label=multi_label)
        scores = probabilities.numpy().astype(np.float32)
        top = rank_scores(scores, k=self.keep_top)
        entry: Entry = {
            "path": video.path,
            "label": video.label,
            "more_labels": video.more_labels,
            "decoder": output.info.decoder,
            "top": [{"index": index, "prob": float(scores[index])} for index in top],
            "notes": output.notes,
            "error": None,
        }
        if multi_label or (self.dump is not None and dump_format(self.dump) != "jsonl"):
            entry["scores"] = base64.b64encode(scores.tobytes()).decode("ascii")
        return entry


def description_of(dump: Path) -> Path:
    """Where the description of a dump's run is: a.npz has a.npz.meta.json."""
    return dump.with_name(f"{dump.name}.meta.json")


def recorded_description(dump: Path) -> Description | None:
    """Of the run that left a dump, or is writing it; None where there is neither.

    Raises:
        UsageError: it is damaged.
    """
    file = description_of(dump)
    there = dump.exists() and file.exists()
    return read_description(file) if there else kept_description(_folder_of(dump))


def _folder_of(dump: Path) -> Path:
    return dump.with_name(f"{dump.name}.part")


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
