"""What goes to stderr: notices, errors and progress. Results alone go to stdout."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.visible import for_stream, visible

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text
    from tqdm import tqdm

Item = TypeVar("Item")

_LOG_SECONDS = 60  # between two lines of progress where stderr is no terminal


def notice(text: str) -> None:
    """Tell the user something that is no result, in one line: a log is read on terminals too."""
    typer.echo(visible(text), err=True)


def result(text: object, *, end: str = "\n") -> None:
    """Print a result: as it is where it is piped, visible on a terminal."""
    typer.echo(for_stream(f"{text}{end}", sys.stdout), nl=False)


def show_error(error: VideoSwinError) -> None:
    """What is wrong, and what to do."""
    notice(f"error: {error.message}")
    if error.hint:
        notice(f"hint: {error.hint}")


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


def progress(items: Iterable[Item], *, total: int, unit: str) -> Iterator[Item]:
    """Pass items on under a progress bar, where there is a terminal and more than one item.

    The bar steps aside while the consumer prints.
    """
    if total < 2 or not sys.stderr.isatty():
        yield from items
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, file=sys.stderr, dynamic_ncols=True) as bar:
        for item in items:
            with bar.external_write_mode(file=sys.stdout):
                yield item
            bar.update()


class _Bar(AbstractContextManager[Any]):
    """A bar on a terminal, and notices above it."""

    _bar: "tqdm[Any] | None" = None

    def notice(self, text: str) -> None:
        """Tell something above the bar."""
        with nullcontext() if self._bar is None else self._bar.external_write_mode():
            notice(text)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class StepBar(_Bar):
    """How far a training is: a bar on a terminal, a line a minute in a log."""

    def __init__(self) -> None:
        self._steps = self._step = 0
        self._told = 0.0

    def begin(self, step: int, steps: int) -> None:
        self._step, self._steps, self._told = step, steps, time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=steps, initial=step, unit="step", file=sys.stderr, dynamic_ncols=True
            )

    def advance(
        self, *, loss: float, lr: float, clips_per_second: float, wait_share: float
    ) -> None:
        self._step += 1
        text = (
            f"loss {loss:.3f}, lr {lr:.2e}, {clips_per_second:.1f} clips/s, "
            f"{wait_share:.0%} waiting for clips"
        )
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update()
        elif time.monotonic() - self._told >= _LOG_SECONDS:
            self._told = time.monotonic()
            notice(f"step {self._step} of {self._steps}: {text}")


class VideoBar(_Bar):
    """How far a long run over videos is: a bar on a terminal, a line a minute in a log."""

    def __init__(self) -> None:
        self._total = self._done = self._failed = 0
        self._begun = self._told = 0.0

    def begin(self, total: int) -> None:
        self._total = total
        self._begun = self._told = time.monotonic()
        if sys.stderr.isatty():
            from tqdm import tqdm

            bar: tqdm[Any] = tqdm(total=total, unit="video", file=sys.stderr, dynamic_ncols=True)
            bar.set_postfix_str("0 failed", refresh=False)
            self._bar = bar

    def advance(self, *, failed: bool) -> None:
        self._done += 1
        self._failed += failed
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self._failed} failed", refresh=False)
            self._bar.update()
        elif time.monotonic() - self._told >= _LOG_SECONDS:
            self._told = time.monotonic()
            rate = self._done / (self._told - self._begun)
            left = (self._total - self._done) / rate / 60
            notice(
                f"{self._done} of {self._total} videos, {rate:.2f} a second, "
                f"{left:.0f} minutes left, {self._failed} failed"
            )
