"""Unexpected errors and signals, as a line and an exit code."""

import multiprocessing
import os
import platform
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from videoswin_cli.cli.console import notice, show_error
from videoswin_cli.credentials import hide_credentials
from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.io.paths import cache_dir
from videoswin_cli.version import __version__

FAILED = VideoSwinError.exit_code
INTERRUPTED = 130
CLOSED = 141  # as of a program that SIGPIPE ends: nobody reads its results any more
TERMINATED = 143

_LONGEST = 300  # characters of a message
_NO_MEMORY = ("can't allocate memory", "out of memory", "could not create a primitive")
_WORKER = "Original Traceback (most recent call last):"  # in what torch raises again


class TerminatedError(BaseException):
    """SIGTERM came. Like KeyboardInterrupt it is no Exception: nothing on the way may keep it."""


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM unwinds the run, so that its decoding processes end with it.

    Not where several processes work together: one that waits for the others never comes to it.
    """
    from videoswin_cli.engine.distributed import find_world

    try:
        alone = find_world().size == 1
    except UsageError:  # the command says so itself
        alone = True
    if not alone or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    owner = os.getpid()

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != owner:
            os._exit(TERMINATED)
        for child in multiprocessing.active_children():
            child.terminate()
        raise TerminatedError

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def close_stdout() -> None:
    """Discard what is still to be written: the exit would complain that it cannot be."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def without_traceback(error: VideoSwinError) -> VideoSwinError:
    """The error of a decoding process without the text that torch put around it."""
    if _WORKER not in error.message:
        return error
    return VideoSwinError(_last_line(error).partition(": ")[2], hint=error.hint)


def explain(error: Exception) -> None:
    """Report an unexpected error in a line, with the traceback in a file."""
    if os.environ.get("VIDEOSWIN_DEBUG", "").lower() in ("1", "true", "yes"):
        traceback.print_exception(error)
    if isinstance(error, OSError) and _WORKER not in str(
        error
    ):  # the disk is full or a name too long; not a bug
        of = f"{error.filename}: " if error.filename else "cannot write the results: "
        notice(f"error: {of}{error.strerror or error}")
        return
    last = _last_line(error)
    if isinstance(error, OSError):
        notice(f"error: {last}")
        return
    if isinstance(error, MemoryError) or any(text in last for text in _NO_MEMORY):
        show_error(
            VideoSwinError(
                f"out of memory: {last}",
                hint="fewer --views, a smaller --batch-size or fewer --workers need less",
            )
        )
        return
    if isinstance(error, RecursionError):
        last = f"{last}: something is nested too deeply"
    file = _keep_traceback(error)
    show_error(
        VideoSwinError(
            f"internal error: {last}",
            hint=f"this is a bug of videoswin: please report it with {file}"
            if file
            else "this is a bug of videoswin: please report it with what VIDEOSWIN_DEBUG=1 prints",
        )
    )


def _last_line(error: Exception) -> str:
    """Class and message; of an error in a worker those that torch puts at the end of its text."""
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    if _WORKER in str(error):
        return lines[-1][:_LONGEST]
    return f"{type(error).__name__}: {lines[0]}"[:_LONGEST].removesuffix(": ")


def _keep_traceback(error: Exception) -> Path | None:
    """A new crash report in the folder for temporary files, else in the cache folder."""
    parts = (
        f"videoswin {__version__}, Python {platform.python_version()}, {platform.platform()}",
        ascii(sys.argv),
        *traceback.format_exception(error),
    )
    text = hide_credentials("\n".join(parts))
    for folder in (None, cache_dir() / "crashes"):
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            number, name = tempfile.mkstemp(prefix="videoswin-error-", suffix=".txt", dir=folder)
            with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:  # noqa: PTH123
                file.write(text)
            return Path(name)
        except OSError:  # read-only, full, or no such folder
            continue
    return None
