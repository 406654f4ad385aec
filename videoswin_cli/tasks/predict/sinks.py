"""Sinks of predictions: printed as they come, or into a file that a killed run can continue."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.journal import Entry
from videoswin_cli.engine.output_journal import OutputJournal, description_of
from videoswin_cli.engine.precision import NO_RECORD, Record
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.provenance import Description, describe_settings, read_description
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import ResumeError, UsageError
from videoswin_cli.io.typed_records import to_record
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.options.tasks import PredictOptions
from videoswin_cli.records import ListedVideo, Prediction, PredictSummary, Timing
from videoswin_cli.report.predictions import open_report


@dataclass
class PrintSink:
    """Predictions on stdout or in a stream, as each video ends."""

    options: PredictOptions
    reporter: Reporter
    in_order: bool = True
    record: Record = NO_RECORD
    _stack: ExitStack = field(default_factory=ExitStack)
    _write: Callable[[Prediction], None] = lambda prediction: None
    _counts: list[int] = field(default_factory=lambda: [0, 0, 0])  # videos, failed, with notes

    def check(self) -> None:
        pass

    def begin(self, runner: Runner, part: str) -> bool:
        report = open_report(self.options.report_format, self.options.out)
        self._write = self._stack.enter_context(report)
        return True

    def join(self, runner: Runner, part: str) -> None:
        pass

    def finished(self) -> Mapping[str, str]:
        return {}

    def keep(self, result: Prediction, stamps: FileStamps) -> None:
        with self.reporter.printing():
            self._write(result)
        for place, counts in enumerate((True, result.error is not None, bool(result.notes))):
            self._counts[place] += counts

    def collect(self) -> list[Prediction]:
        return []

    def close(self) -> None:
        """Drop a report that is not finished: half a JSON list must not look like a whole one."""
        self._stack.__exit__(GeneratorExit, GeneratorExit(), None)

    def finish(self, collected: Sequence[Prediction], timing: Timing) -> PredictSummary:
        self._stack.close()
        videos, failed, noted = self._counts
        return PredictSummary(videos=videos, failed=failed, noted=noted, timing=timing)


class FileSink:
    """Predictions in a file that appears when all are done."""

    in_order = False

    def __init__(
        self, out: Path, options: PredictOptions, listed: Sequence[ListedVideo], *, resume: bool
    ) -> None:
        self._out = out
        self._options = options
        self._listed = listed
        self._resume = resume
        self._journal = OutputJournal(out)
        self._description: Description = {}

    @property
    def record(self) -> Record:
        return self._journal.record(self._describe, resume=self._resume)

    def check(self) -> None:
        if self._resume and self._options.report_format not in ("json", "jsonl"):
            raise UsageError(
                f"--resume cannot read {self._out} again, and --shard cannot join it",
                hint="write .json or .jsonl, which have all of a prediction",
            )
        with self._journal.guarded():
            if not self._resume:
                self._journal.check_idle()
                self._journal.discard()

    def begin(self, runner: Runner, part: str) -> bool:
        self.join(runner, part)
        return True

    def join(self, runner: Runner, part: str) -> None:
        self._description = self._describe(runner.model, runner.settings)
        with self._journal.guarded():
            if self._resume:
                self._journal.check_recorded(self._description)
            self._journal.open(self._description, part=part)

    def finished(self) -> Mapping[str, str]:
        entries = self._entries()
        return {p: entry["file_stamp"] for p, entry in entries.items() if entry["error"] is None}

    def keep(self, result: Prediction, stamps: FileStamps) -> None:
        self._journal.append(asdict(result) | {"file_stamp": stamps[result.path]})

    def collect(self) -> list[Prediction]:
        return []

    def close(self) -> None:
        self._journal.close()

    def finish(self, collected: Sequence[Prediction], timing: Timing) -> PredictSummary:
        entries = self._entries()
        rows = [entries[video.path] for video in self._listed if video.path in entries]
        stamps = {entry["path"]: entry["file_stamp"] for entry in rows}
        predictions = [to_record(Prediction, entry, source=str(self._out)) for entry in rows]

        def write() -> None:
            with open_report(self._options.report_format, self._out) as write_one:
                for prediction in predictions:
                    write_one(prediction)

        self.close()
        with self._journal.guarded():
            complete = len(rows) == len(self._listed) and self._journal.is_idle()
            if complete:
                kept = self._description | {"file_stamps": stamps} if self._resume else None
                self._journal.complete(kept, write)
        return PredictSummary(
            videos=len(predictions),
            complete=complete,
            failed=sum(each.error is not None for each in predictions),
            noted=sum(bool(each.notes) for each in predictions),
            timing=timing,
        )

    def _entries(self) -> dict[str, Entry]:
        """Predictions of the finished file and of the run under way, by path."""
        found = self._read_file() if self._resume and self._out.exists() else {}
        return found | self._journal.entries()

    def _read_file(self) -> dict[str, Entry]:
        text = self._out.read_text(encoding="utf-8")
        stamps = read_description(description_of(self._out)).get("file_stamps", {})
        try:
            lines = text.splitlines()
            rows = json.loads(text) if text.startswith("[") else [json.loads(n) for n in lines]
            return {row["path"]: row | {"file_stamp": stamps.get(row["path"], "")} for row in rows}
        except (ValueError, KeyError, TypeError) as error:
            raise ResumeError(
                f"--resume cannot read {self._out}: {error}", hint="leave out --resume"
            ) from error

    def _describe(self, model: LoadedModel, settings: Settings) -> Description:
        options = self._options
        return describe_settings(
            model, settings, average=options.average, topk=options.topk, logits=options.logits
        )
