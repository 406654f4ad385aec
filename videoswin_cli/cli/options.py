"""Parameters of several commands that no record has: inputs, formats, the network."""

import os
from typing import Annotated

import typer

from videoswin_cli.io.paths import PRIVATE_REDIRECTS_VARIABLE
from videoswin_cli.options.tasks import SummaryFormat


def _set_private_redirects(ctx: typer.Context, allowed: bool) -> bool:
    """Sets it for this command; decoding processes, which fetch videos, inherit it."""
    if allowed:
        before = os.environ.get(PRIVATE_REDIRECTS_VARIABLE)
        os.environ[PRIVATE_REDIRECTS_VARIABLE] = "1"
        ctx.call_on_close(lambda: _restore(before))
    return allowed


def _restore(before: str | None) -> None:
    if before is None:
        os.environ.pop(PRIVATE_REDIRECTS_VARIABLE, None)
    else:
        os.environ[PRIVATE_REDIRECTS_VARIABLE] = before


AllowPrivateRedirects = Annotated[
    bool,
    typer.Option(
        "--allow-private-redirects",
        callback=_set_private_redirects,
        help="Follow redirects from a public server to this machine or a private network.",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[INPUT...]",
        help="Videos, folders, globs, @list.txt, - for paths on stdin, URLs (docs/remote.md).",
    ),
]
SummaryFormatOption = Annotated[SummaryFormat, typer.Option("--format", "-f", help="How to print.")]
