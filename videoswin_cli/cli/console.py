"""Output of the commands: results on stdout; messages, errors and progress on stderr."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import typer

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.staging import name_addresses
from videoswin_cli.io.visible import counted, for_stream, visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text
    from tqdm import tqdm

_LOG_SECONDS = 60  # between two lines of progress where stderr is no terminal


class _Verbosity:
    """Verbosity of the command line; one per process, as stderr is."""

    quiet = False
    verbose = False


def set_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Print errors alone, or details too."""
    _Verbosity.quiet, _Verbosity.verbose = quiet, verbose


def notice(text: str) -> None:
    """A message that is no result, in one line: a log is read on terminals too."""
    if not _Verbosity.quiet:
        typer.echo(visible(hide_credentials(name_addresses(text))), err=True)


def detail(text: str) -> None:
    """A message for `--verbose`."""
    if _Verbosity.verbose:
        notice(text)


def result(text: object, *, end: str = "\n") -> None:
    """Print a result: as it is where it is piped, visible on a terminal."""
    typer.echo(for_stream(name_addresses(f"{text}{end}"), sys.stdout), nl=False)


def show_error(error: VideoSwinError) -> None:
    """An error and its hint, on stderr."""
    typer.echo(visible(name_addresses(f"error: {error.message}")), err=True)
    if error.hint:
        typer.echo(visible(name_addresses(f"hint: {error.hint}")), err=True)


def cell(text: str) -> "Text":
    """A cell of a table: text as it is, which rich would take for its markup."""
    from rich.text import Text

    return Text(visible(text))


def print_table(table: "Table") -> None:
    """On a terminal, which may have to wrap: rich would drop digits to make it fit."""
    from rich.console import Console

    console = Console()
    needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
    if needed > console.width:
        console = Console(width=needed)
    console.print(table)


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """Reporter of a command: messages above a bar on a terminal, a line per minute in a log."""

    def __init__(self, *, silent: bool = False) -> None:
        """`silent` is for the processes that are not the main one."""
        self._silent = silent
        self._bar: tqdm[Any] | None = None
        self._unit = ""
        self._total = self._done = self._failed = 0
        self._computed = 0  # by this run
        self._begun = self._printed = 0.0

    def notice(self, text: str) -> None:
        """A message of one line."""
        if not self._silent:
            with nullcontext() if self._bar is None else self._bar.external_write_mode():
                notice(text)

    def start(self, total: int, *, unit: str, done: int = 0) -> None:
        """Work of so many units begins, of which some were done in an earlier run."""
        self._total, self._done, self._unit = total, done, unit
        self._begun = self._printed = time.monotonic()
        if total > 1 and not self._silent and not _Verbosity.quiet and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, initial=done, unit=unit, file=sys.stderr, dynamic_ncols=True
            )

    def advance(self, *, failed: bool = False, status: str = "") -> None:
        """One more unit is done; `status` says how it stands."""
        self._done += 1
        self._computed += 1
        self._failed += failed
        status = status or f"{self._failed} failed"
        if self._bar is not None:
            self._bar.set_postfix_str(status, refresh=False)
            self._bar.update()
        elif not self._silent and time.monotonic() - self._printed >= _LOG_SECONDS:
            self._printed = time.monotonic()
            rate = self._computed / (self._printed - self._begun)
            left = (self._total - self._done) / rate / 60
            notice(
                f"{self._done} of {counted(self._total, self._unit)}, {rate:.2f} per second, "
                f"{left:.0f} minutes left, {status}"
            )

    def show(self, text: str) -> None:
        """The state of the unit that is being worked on, in place of what was shown before."""
        if self._silent or _Verbosity.quiet:
            return
        text = visible(text)
        if self._bar is not None:
            self._bar.set_postfix_str(text)
        elif sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(bar_format="{postfix}", file=sys.stderr, dynamic_ncols=True)
            self._bar.set_postfix_str(text)
        elif time.monotonic() - self._printed >= _LOG_SECONDS:
            self._printed = time.monotonic()
            notice(text)

    def printing(self) -> AbstractContextManager[object]:
        """A block that prints results on stdout, where the bar steps aside."""
        if self._bar is None:
            return nullcontext()
        return cast(
            "AbstractContextManager[object]", self._bar.external_write_mode(file=sys.stdout)
        )

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class LiveScreen(ProgressBar):
    """Reporter whose messages appear above a table that is drawn again and again."""

    def __init__(self, *, table: bool) -> None:
        """Without a `table` messages are as ever."""
        super().__init__()
        self._table = table
        self._live: Live | None = None

    def __enter__(self) -> "LiveScreen":
        if self._table:
            from rich.live import Live

            self._live = Live(auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
        return self

    def draw(self, table: "RenderableType") -> None:
        """Draw in place of what was drawn before."""
        assert self._live is not None
        self._live.update(table, refresh=True)

    def notice(self, text: str) -> None:
        """A message of one line; what is printed past `rich` would be drawn over."""
        if self._live is None or not sys.stderr.isatty():
            notice(text)
        elif not _Verbosity.quiet:
            self._live.console.print(cell(text), soft_wrap=True)

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
