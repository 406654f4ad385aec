"""The command `videoswin`: its subcommands, and the one place where errors become exit codes."""

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from videoswin_cli import __version__
from videoswin_cli.cli.bench import bench
from videoswin_cli.cli.console import show_error
from videoswin_cli.cli.convert import convert
from videoswin_cli.cli.download import download
from videoswin_cli.cli.eval import evaluate
from videoswin_cli.cli.extract import extract
from videoswin_cli.cli.finetune import finetune
from videoswin_cli.cli.make_dataset import make_dataset
from videoswin_cli.cli.models import models
from videoswin_cli.cli.predict import predict
from videoswin_cli.errors import VideoSwinError

_INTERRUPTED = 130


class _Group(TyperGroup):
    """Commands whose errors are told in a sentence; a traceback is a bug of ours."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except VideoSwinError as error:
            show_error(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as interrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(_INTERRUPTED) from interrupt


app = typer.Typer(
    cls=_Group, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
)
_COMMANDS: dict[str, Callable[..., None]] = {
    "predict": predict,
    "eval": evaluate,
    "extract": extract,
    "finetune": finetune,
    "make-dataset": make_dataset,
    "models": models,
    "download": download,
    "convert": convert,
    "bench": bench,
}
for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"videoswin {__version__}")
        raise typer.Exit


@app.callback()
def videoswin(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Pretrained video recognition with Video Swin Transformer.

    Exit codes: 0 done; 1 failed; 2 wrong usage, model, label or weight file; 3 done, but some
    videos failed; 4 a checkpoint could not be fetched or is not the published one; 5 the accuracy
    is not the expected one; 130 interrupted.
    """


def main() -> None:
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file to be opened would take its place
            os.open(os.devnull, os.O_RDWR)
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be UTF-8
    # Of MKL's fast ways the one whose sums do not depend on the number of threads; it is as fast.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    try:
        app()
    except OSError as error:  # the disk is full or a name too long; not a bug, so no traceback
        of = f"{error.filename}: " if error.filename else "cannot write the results: "
        typer.echo(f"error: {of}{error.strerror or error}", err=True)
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123
        sys.exit(VideoSwinError.exit_code)
