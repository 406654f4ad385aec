"""`train.log`: the messages of a run, with time stamps."""

import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

from videoswin_cli.engine.progress import Reporter
from videoswin_cli.io.atomic import FILE_NAMES, write_error
from videoswin_cli.io.visible import visible


class TrainLog(AbstractContextManager["TrainLog"]):
    """Reporter that passes everything on, and keeps the messages in a file.

    Those before the file is opened are written then; a run that is refused leaves none.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._early: list[str] = []
        self._path = Path()
        self._file: TextIO | None = None

    def open(self, path: Path) -> None:
        """Append to this file from now on.

        Raises:
            UsageError, VideoSwinError: it cannot be written.
        """
        self._path = path
        try:
            self._file = path.open("a", encoding="utf-8", errors=FILE_NAMES, buffering=1)
        except OSError as error:
            raise write_error(path, error) from error
        early, self._early = self._early, []
        for line in early:
            self._write(line)

    def notice(self, text: str) -> None:
        """A message of one line."""
        self._reporter.notice(text)
        self.keep(text)

    def keep(self, text: str) -> None:
        """A message for the file alone."""
        self._write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {visible(text)}\n")

    def start(self, total: int, *, unit: str, done: int = 0) -> None:
        self._reporter.start(total, unit=unit, done=done)

    def advance(self, *, failed: bool = False, status: str = "") -> None:
        self._reporter.advance(failed=failed, status=status)

    def show(self, text: str) -> None:
        self._reporter.show(text)

    def printing(self) -> AbstractContextManager[object]:
        return self._reporter.printing()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, line: str) -> None:
        if self._file is None:
            self._early.append(line)
            return
        try:
            self._file.write(line)
        except OSError as error:
            raise write_error(self._path, error) from error
