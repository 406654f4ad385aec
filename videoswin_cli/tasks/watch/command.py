"""Commands that events of a stream start: one at a time, not too often, never waited for."""

import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict

from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import to_json
from videoswin_cli.io.visible import visible
from videoswin_cli.options.watch import Condition
from videoswin_cli.records import LiveEvent

_END_SECONDS = 5.0  # that a command which still runs has at the end of the watch
_MOST_BYTES = 300  # of its last message


class CommandRunner:
    """Runs of one command, each in a thread of its own."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        cooldown: float,
        now: Callable[[], float],
        notice: Callable[[str], None],
    ) -> None:
        """`words`: program and arguments."""
        self._arguments = list(words)
        self._cooldown = cooldown
        self._now = now
        self._notice = notice
        self._begun: float | None = None
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._busy_told = False
        self.runs = 0
        self.failed = 0

    def start(self, event: LiveEvent, condition: Condition) -> bool:
        """Run it with an event, unless it ran a short time ago or still does."""
        now = self._now()
        if self._begun is not None and now - self._begun < self._cooldown:
            return False
        if self._thread is not None and self._thread.is_alive():
            if not self._busy_told:
                self._busy_told = True
                self._notice("--exec: the command still runs; events meanwhile do not start it")
            return False
        self._begun, self._busy_told = now, False
        self.runs += 1
        text = to_json(asdict(event) | {"on": str(condition)}) + "\n"
        self._thread = threading.Thread(
            target=self._run, args=(text.encode("utf-8", "backslashreplace"),), daemon=True
        )
        self._thread.start()
        return True

    def close(self) -> None:
        """Wait a little for a command that still runs, then end it."""
        if self._thread is None:
            return
        self._thread.join(_END_SECONDS)
        if self._thread.is_alive() and self._process is not None:
            self._process.terminate()
            self._thread.join(_END_SECONDS)

    def _run(self, data: bytes) -> None:
        # Its output goes to a file, which does not fill up as a pipe that nobody reads.
        with tempfile.TemporaryFile() as output:
            try:
                self._process = subprocess.Popen(
                    self._arguments, stdin=subprocess.PIPE, stdout=output, stderr=output
                )
                self._process.communicate(data)
            except OSError as error:
                self._report(error.strerror or str(error))
                return
            if code := self._process.returncode:
                size = output.seek(0, os.SEEK_END)
                output.seek(max(size - _MOST_BYTES, 0))
                last = output.read().decode("utf-8", "replace").strip().splitlines()
                self._report(f"exit code {code}{f': {last[-1]}' if last else ''}")

    def _report(self, reason: str) -> None:
        self.failed += 1
        self._notice(f"--exec failed: {visible(reason)}")


def split_command(command: str) -> list[str]:
    """Words of a command line, the first of them a program that is there.

    Raises:
        UsageError: an open quotation mark, or no such program.
    """
    try:
        words = shlex.split(command, posix=os.name != "nt")
    except ValueError as error:
        raise UsageError(f"--exec {command}: {error}") from error
    if not words or shutil.which(words[0]) is None:
        raise UsageError(
            f"--exec: no such program: {words[0] if words else command!r}",
            hint="there is no shell: for pipes and built-in commands use sh -c '...'",
        )
    return words
