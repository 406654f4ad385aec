"""Options that several commands share."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from videoswin_cli.errors import UsageError
from videoswin_cli.io.paths import PRIVATE_REDIRECTS_VARIABLE
from videoswin_cli.options import parsers as times
from videoswin_cli.options.run import DEFAULT_MODEL
from videoswin_cli.options.source import ListFormat
from videoswin_cli.options.tasks import SummaryFormat

MAX_WORKERS = 256  # processes; each holds some 300 MB
MAX_BATCH_SIZE = 1024  # views or clips at once
MAX_STREAM = 10_000

Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME|FILE",
        help=f"A name of `videoswin models`, a YAML, or our own weight file (say {DEFAULT_MODEL}).",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="FILE", help="Local weights to put into the model."),
]
WeightsSet = Annotated[
    str | None,
    typer.Option(
        "--weights-set",
        metavar="ema|model|NAME",
        help="Which of several sets of weights in one file.",
        show_default="the plain ones",
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels", metavar="FILE", help="Class names in index order, one a line, as CSV or JSON."
    ),
]
Views = Annotated[
    str,
    typer.Option(
        "--views",
        metavar="1x1|paper|CxK",
        help="C clips times K crops (1 or 3); paper: the published test protocol.",
    ),
]
Average = Annotated[
    Literal["prob", "score"],
    typer.Option("--average", help="Mean of probabilities over the views, or of scores."),
]
Device = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to compute.")
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"],
    typer.Option(
        "--precision",
        help="auto: that of a resumed output, else bf16 where it is fast and close.",
    ),
]
Decoder = Annotated[
    Literal["auto", "decord", "pyav"],
    typer.Option("--decoder", help="auto: decord, and PyAV where decord cannot."),
]


def parse_seconds(option: str, text: str | None) -> float | None:
    """Seconds from `SS`, `MM:SS` or `HH:MM:SS`, the last with a fraction or without.

    Raises:
        UsageError: anything else.
    """
    if text is None:
        return None
    try:
        return times.parse_seconds(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from error


Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        metavar="TIME",
        help="From this time on: SS, MM:SS or HH:MM:SS.mmm from the start of the file.",
    ),
]
End = Annotated[str | None, typer.Option("--end", metavar="TIME", help="Up to this time.")]
Stream = Annotated[
    int | None,
    typer.Option(
        "--stream",
        min=0,
        max=MAX_STREAM,
        metavar="N",
        help="Number of the video stream in each file, as ffprobe counts.",
        show_default="the default one, else the largest",
    ),
]
AllowTruncated = Annotated[
    bool,
    typer.Option("--allow-truncated", help="Read what is there of files that were cut off."),
]
AllFiles = Annotated[
    bool,
    typer.Option(
        "--all-files", help="Look into every file of a folder, whatever its name, for a video."
    ),
]
MaxPixels = Annotated[
    int,
    typer.Option(
        "--max-pixels",
        min=1,
        metavar="N",
        help="Refuse files whose pictures have more pixels, width x height.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        max=MAX_WORKERS,
        metavar="N",
        help="Decoding processes.",
        show_default="by the work",
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        max=MAX_BATCH_SIZE,
        metavar="N",
        help="Views a forward pass.",
        show_default="1 on a CPU, 8 on a GPU",
    ),
]


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
ListFile = Annotated[
    Path | None,
    typer.Option("--list", metavar="FILE", help="List of videos; docs/lists.md has the forms."),
]
Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="DIR",
        help="Folder that the names in the list are relative to.",
        show_default="that of the list",
    ),
]
ListFormatOption = Annotated[
    ListFormat | None,
    typer.Option("--list-format", help="Of the list.", show_default="by its content"),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        "--label-column",
        metavar="NAME",
        help="Column of the list that names the class.",
        show_default="by its usual names",
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help="Rows of this split only, of a list with a column that names it: train, val, test.",
    ),
]
Shard = Annotated[
    str, typer.Option("--shard", metavar="I/N", help="Do the I-th of N parts only, I from 1.")
]
Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[INPUT...]",
        help="Videos, folders, globs, @list.txt, - for paths on stdin, http(s) URLs.",
    ),
]
SummaryFormatOption = Annotated[SummaryFormat, typer.Option("--format", "-f", help="How to print.")]
