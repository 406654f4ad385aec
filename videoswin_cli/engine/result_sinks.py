"""Sinks of a result per video: printed as they come, or kept in a journal until all are done."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.journal import Entry, Line, good_stamp
from videoswin_cli.engine.numerics import NO_RECORD, Record
from videoswin_cli.engine.output_journal import Describe, OutputJournal, description_of
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.provenance import Description, read_description
from videoswin_cli.engine.runner import Runner
from videoswin_cli.io.atomic import to_json
from videoswin_cli.io.typed_records import to_record
from videoswin_cli.records import ListedVideo, RunSummary, Timing


class VideoResult(Protocol):
    """A frozen dataclass about one video."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def path(self) -> str: ...

    @property
    def error(self) -> str | None: ...

    @property
    def notes(self) -> tuple[str, ...]: ...


Result = TypeVar("Result", bound=VideoResult)


def has_error(result: VideoResult) -> bool:
    return result.error is not None


@dataclass
class _Counts:
    """Numbers of results."""

    videos: int = 0
    failed: int = 0
    noted: int = 0  # with something to note

    def add(self, result: VideoResult, *, failed: bool) -> None:
        self.videos += 1
        self.failed += failed
        self.noted += bool(result.notes)

    def summary(self, timing: Timing, *, complete: bool = True) -> RunSummary:
        return RunSummary(
            videos=self.videos,
            failed=self.failed,
            noted=self.noted,
            timing=timing,
            complete=complete,
        )


@dataclass
class PrintSink(Generic[Result]):
    """Results on stdout or in a stream, as each video ends."""

    report: AbstractContextManager[Callable[[Result], None]]  # gives what writes one
    reporter: Reporter
    failed: Callable[[Result], bool] = has_error
    in_order: bool = True
    record: Record = NO_RECORD
    _stack: ExitStack = field(default_factory=ExitStack)
    _write: Callable[[Result], None] = lambda result: None
    _counts: _Counts = field(default_factory=_Counts)

    def check(self) -> None:
        pass

    def begin(self, runner: Runner, part: str) -> bool:
        self._write = self._stack.enter_context(self.report)
        return True

    def join(self, runner: Runner, part: str) -> None:
        pass

    def finished(self) -> Mapping[str, str]:
        return {}

    def keep(self, result: Result, stamps: FileStamps) -> None:
        with self.reporter.printing():
            self._write(result)
        self._counts.add(result, failed=self.failed(result))

    def close(self) -> None:
        """Drop a report that is not finished: half a JSON list must not look like a whole one."""
        self._stack.__exit__(GeneratorExit, GeneratorExit(), None)

    def finish(self, collected: Sequence[Result], timing: Timing) -> RunSummary:
        self._stack.close()
        return self._counts.summary(timing)


@dataclass(frozen=True, kw_only=True)
class ResultFile(Generic[Result]):
    """An output of results, which is written once all are there."""

    out: Path  # written last
    kind: type[Result]
    describe: Describe  # of the run that writes it
    write: Callable[[Iterable[Result]], None]  # as they are read: together they take gigabytes
    # Entries of a finished output, from itself and its description.
    read: Callable[[Description], Iterable[Entry]]
    # Whatever of the entries the description keeps beside the stamps of the files.
    remember: Callable[[Iterable[Entry]], Description] = lambda entries: {}
    failed: Callable[[Result], bool] = has_error


class FileSink(Generic[Result]):
    """Results in an output that appears when all are done."""

    in_order = False

    def __init__(
        self, file: ResultFile[Result], listed: Sequence[ListedVideo], *, resume: bool
    ) -> None:
        self._file = file
        self._listed = listed
        self._resume = resume
        self._journal = OutputJournal(file.out)
        self._description: Description = {}
        self._part = ""

    def part_file(self, suffix: str) -> Path:
        """A file of this process alone, beside its journal, that goes when the run is done."""
        return self._journal.folder / f"{self._part}{suffix}"

    @property
    def record(self) -> Record:
        return self._journal.record(self._file.describe, resume=self._resume)

    def check(self) -> None:
        with self._journal.guarded():
            if not self._resume:
                self._journal.check_idle()
                self._journal.discard()

    def begin(self, runner: Runner, part: str) -> bool:
        self.join(runner, part)
        return True

    def join(self, runner: Runner, part: str) -> None:
        self._description, self._part = self._file.describe(runner.model, runner.settings), part
        with self._journal.guarded():
            if self._resume:
                self._journal.check_recorded(self._description)
            self._journal.open(self._description, part=part)

    def finished(self) -> Mapping[str, str]:
        before = {entry["path"]: good_stamp(entry) for entry in self._written()}
        stamps = before | self._journal.stamps()
        return {path: stamp for path, stamp in stamps.items() if stamp is not None}

    def keep(self, result: Result, stamps: FileStamps) -> None:
        self._journal.append(asdict(result) | {"file_stamp": stamps[result.path]})

    def close(self) -> None:
        self._journal.close()

    def finish(self, collected: Sequence[Result], timing: Timing) -> RunSummary:
        """Write the output if all shards are done; `collected` is empty: the journal has them."""
        counts = _Counts()
        done: dict[str, tuple[Line | bytes, str]] = {  # where each entry is, and its stamp
            entry["path"]: (to_json(entry).encode(), entry["file_stamp"])
            for entry in self._written()
        }
        self.close()
        with self._journal.guarded():
            done |= self._journal.read(lambda line, entry: (line, entry["file_stamp"]))
            paths = [video.path for video in self._listed if video.path in done]

            def entries() -> Iterator[Entry]:
                with self._journal.open_lines() as read:
                    for path in paths:
                        place, _ = done[path]
                        yield read(place) if isinstance(place, Line) else json.loads(place)

            complete = len(paths) == len(self._listed) and self._journal.is_idle()
            results = self._to_results(entries(), counts)
            if complete:
                kept = None
                if self._resume:
                    stamps = {path: done[path][1] for path in paths}
                    more = self._file.remember(entries())
                    kept = self._description | {"file_stamps": stamps} | more
                self._journal.complete(kept, lambda: self._file.write(results))
            else:
                deque(results, maxlen=0)
        return counts.summary(timing, complete=complete)

    def _to_results(self, entries: Iterable[Entry], counts: _Counts) -> Iterator[Result]:
        for entry in entries:
            result = to_record(self._file.kind, entry, source=str(self._file.out))
            counts.add(result, failed=self._file.failed(result))
            yield result

    def _written(self) -> Iterable[Entry]:
        there = self._resume and self._file.out.exists()
        return self._file.read(read_description(description_of(self._file.out))) if there else ()
