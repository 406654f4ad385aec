"""What goes to stderr: notices, errors and progress. Results alone go to stdout."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import typer

from videoswin_cli.errors import VideoSwinError

Item = TypeVar("Item")


def notice(text: str) -> None:
    """Tell the user something that is no result."""
    typer.echo(text, err=True)


def show_error(error: VideoSwinError) -> None:
    """What is wrong, and what to do."""
    typer.echo(f"error: {error.message}", err=True)
    if error.hint:
        typer.echo(f"hint: {error.hint}", err=True)


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
