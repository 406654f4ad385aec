"""The command `videoswin`: its subcommands, and the one place where errors become exit codes."""

import gc
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command_from_info
from typer.models import CommandInfo

from videoswin_cli.cli import last_net
from videoswin_cli.cli.console import notice, show_error
from videoswin_cli.cli.splice import splice
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.process_state import reproducible_sums
from videoswin_cli.io.visible import visible
from videoswin_cli.version import __version__

_WrongUsage = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])

_COMMANDS = {  # module and function of the same name, and the first line of its help
    "predict": "Recognize the actions in videos.",
    "watch": "Recognize the actions of a live stream.",
    "timeline": "Find what is seen when in videos.",
    "serve": "Answer predictions and timelines over HTTP, with a page to try it.",
    "eval": "Measure accuracy on a list or a folder of labelled videos.",
    "extract": "Write the features of videos.",
    "explain": "Show where and when a video speaks for a class: Grad-CAM on its frames.",
    "check": "Find what is wrong with videos, lists and classes before a run.",
    "finetune": "Train a model on your own classes.",
    "prepare": "Make lists, splits, smaller copies, frames and shards of a data set.",
    "make-dataset": "Generate labelled synthetic clips of camera motion.",
    "report": "Show results as one page that needs no network.",
    "models": "List available models, or show one in detail.",
    "download": "Download checkpoints, check their hashes, and print their paths.",
    "push": "Upload a trained model to the Hugging Face Hub, with a model card.",
    "convert": "Convert a checkpoint to a self-describing safetensors file.",
    "export": "Export a model as a graph for PyTorch, ONNX or OpenVINO.",
    "cache": "Show, clear or trim the cache folder.",
    "doctor": "Examine this installation: versions, decoders, devices, caches, extras.",
    "bench": "Measure decoding, preprocessing and network on this machine.",
}


_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_ENVIRONMENT = """Environment: VIDEOSWIN_HOME, the cache folder (~/.cache/videoswin);
VIDEOSWIN_CACHE_SIZE, what fetched videos may take of it (20GB); VIDEOSWIN_OFFLINE=1, no downloads;
VIDEOSWIN_PRIVATE_REDIRECTS=1, as --allow-private-redirects;
VIDEOSWIN_DEBUG=1, tracebacks. `videoswin --install-completion` adds completion to your shell."""


def _make_command(name: str, function: Callable[..., None]) -> Any:
    return get_command_from_info(
        CommandInfo(name=name, callback=splice(function), context_settings=_CONTEXT),
        pretty_exceptions_short=True,
        rich_markup_mode=None,
    )


def _make_group(name: str, functions: Mapping[str, Callable[..., None]]) -> Any:
    """A command of commands."""
    return TyperGroup(
        name=name,
        help=_COMMANDS[name],
        commands={each: _make_command(each, own) for each, own in functions.items()},
        context_settings=_CONTEXT,
        no_args_is_help=True,
        rich_markup_mode=None,
    )


class _Group(TyperGroup):
    """Commands whose errors are a sentence and an exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._loaded: dict[str, Any] = dict.fromkeys(_COMMANDS)
        self.commands = self._loaded

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command when it is asked for: `videoswin --help` needs none."""
        if cmd_name in self._loaded and self._loaded[cmd_name] is None:
            module = cmd_name.replace("-", "_")
            found = getattr(import_module(f"videoswin_cli.cli.{module}"), module)
            make = _make_command if callable(found) else _make_group
            self._loaded[cmd_name] = make(cmd_name, found)
        return self._loaded.get(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: Any) -> Any:
        """Run a command; whatever it raises becomes a message and an exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except VideoSwinError as error:
            show_error(last_net.without_traceback(error))
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError as error:  # `| head -1` has what it wants
            last_net.close_stdout()
            raise typer.Exit(last_net.CLOSED) from error
        except KeyboardInterrupt as interrupt:
            notice("interrupted")
            raise typer.Exit(last_net.INTERRUPTED) from interrupt
        except _WrongUsage as error:  # any wrong usage; it may name a file
            error.message = visible(error.message)
            raise


app = typer.Typer(
    cls=_Group,
    context_settings=_CONTEXT,
    epilog=_ENVIRONMENT,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
    is not the expected one; 130 interrupted; 141 nobody reads the results; 143 terminated.
    """


def main() -> None:
    """Run the command on closed or full streams too, with sums that do not depend on threads."""
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
    try:
        reproducible_sums()
    except VideoSwinError as error:  # something loaded torch at the start of Python
        notice(error.message)
    try:
        with last_net.terminable():
            app()
    except last_net.TerminatedError:
        notice("terminated")
        last_net.close_stdout()
        sys.exit(last_net.TERMINATED)
    except Exception as error:  # noqa: BLE001 - the last net
        last_net.explain(error)
        last_net.close_stdout()
        sys.exit(last_net.FAILED)
    finally:
        # Python searches all objects for garbage as it ends: 0.3 s for those that torch made.
        gc.freeze()
