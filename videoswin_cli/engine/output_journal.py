"""Journal of a run that writes one file: `OUT.part` while it lasts, `OUT.meta.json` afterwards."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from videoswin_cli.engine.journal import (
    Entry,
    Journal,
    Kept,
    Line,
    check_idle,
    discard,
    guarded,
    is_worked_on,
    keep_description,
    kept_description,
    open_lines,
    read_journals,
    read_stamps,
)
from videoswin_cli.engine.numerics import Record
from videoswin_cli.engine.provenance import (
    Description,
    check_equal,
    read_description,
    read_numerics,
    write_description,
)
from videoswin_cli.engine.runtime import Numerics
from videoswin_cli.engine.settings import Settings
from videoswin_cli.io.atomic import write_error
from videoswin_cli.model.loading import LoadedModel

Describe = Callable[[LoadedModel, Settings], Description]


def description_of(out: Path) -> Path:
    """File with the description of an output's run: a.npz has a.npz.meta.json."""
    return out.with_name(f"{out.name}.meta.json")


class OutputJournal:
    """Finished videos of an output, by all processes that work on it, and its run."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.with_name(f"{out.name}.part")
        self._journal: Journal | None = None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Let no other process begin, join or finish the output meanwhile."""
        with guarded(self.folder):
            yield

    def is_idle(self) -> bool:
        """Whether no process has a journal of the output open."""
        return not is_worked_on(self.folder)

    def check_idle(self) -> None:
        """Raises UsageError where another process is writing the output."""
        check_idle(self.folder, self.out)

    def recorded(self) -> Description | None:
        """Description of the run that left the output, or is writing it; None without either.

        Raises:
            UsageError: it is damaged.
        """
        file = description_of(self.out)
        there = self.out.exists() and file.exists()
        return read_description(file) if there else kept_description(self.folder)

    def check_recorded(self, description: Description) -> None:
        """Raises UsageError where an output is there that is not of this run."""
        if self.out.exists():
            recorded = self.recorded() or read_description(description_of(self.out))
            check_equal(recorded, description, where=str(self.out))

    def record(self, describe: Describe, *, resume: bool) -> Record:
        """Precision and engine that the output was begun in, for what is `auto`."""

        def read() -> Numerics | None:
            return read_numerics(self.recorded()) if resume else None

        def keep(model: LoadedModel, settings: Settings) -> Numerics:
            with self.guarded():
                kept = keep_description(self.folder, describe(model, settings))
            return read_numerics(kept) or settings.runtime.numerics

        return Record(read=read, keep=keep)

    def open(self, description: Description, *, part: str) -> None:
        """Open the journal of this process; within `guarded`.

        Raises:
            UsageError: the folder belongs to another run, or another process writes this part.
        """
        self._journal = Journal(self.folder, description, part=part)

    def append(self, entry: Entry) -> None:
        """Add an entry; it is in the file when this returns."""
        assert self._journal is not None
        self._journal.append(entry)

    def read(self, take: Callable[[Line, Entry], Kept]) -> dict[str, Kept]:
        """Facts taken from the last entry of each video; a failed one replaces no good one."""
        return read_journals(self.folder, take)

    def open_lines(self) -> AbstractContextManager[Callable[[Line], Entry]]:
        """A function that reads the entry of a line; within `guarded`."""
        return open_lines(self.folder)

    def stamps(self) -> dict[str, str | None]:
        """Stamps of the files of all videos that are done, by path; None: it failed."""
        return read_stamps(self.folder)

    def close(self) -> None:
        """Let others write this part."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def complete(self, description: Description | None, write: Callable[[], None]) -> None:
        """Write the description, then the output, then forget the journals; within `guarded`.

        An output with a description says which run it is of, whenever the process is killed. Where
        there is none, that of an earlier run goes.
        """
        if description is None:
            description_of(self.out).unlink(missing_ok=True)
        else:
            write_description(description_of(self.out), description)
        write()
        self.close()
        self.discard()

    def discard(self) -> None:
        """Forget what is done; within `guarded`."""
        try:
            discard(self.folder)
        except OSError as error:
            raise write_error(self.folder, error) from error
