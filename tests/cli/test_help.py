"""`--help` of every command, held against the golden texts in `tests/help`.

A change that is meant: `nox -s golden` writes the texts again; read their diff.
"""

import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from videoswin_cli.cli.app import _COMMANDS, app
from videoswin_cli.cli.prepare import prepare

pytestmark = pytest.mark.skipif(
    not typer.__version__.startswith("0.28."),
    reason="Typer prints metavars and defaults otherwise from version to version: golden is 0.28",
)

GOLDEN = Path(__file__).parents[1] / "help"
WRITE = os.environ.get("VIDEOSWIN_WRITE_GOLDEN") == "1"
WIDTH = "100"  # columns
COMMANDS = ["videoswin", *_COMMANDS, *(f"prepare-{name}" for name in prepare)]


def help_text(*command: str) -> str:
    environment = {"COLUMNS": WIDTH, "TERMINAL_WIDTH": WIDTH, "NO_COLOR": "1"}
    result = CliRunner().invoke(app, [*command, "--help"], prog_name="videoswin", env=environment)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_the_golden_text(command: str) -> None:
    group, _, name = command.partition("-")
    words = [group, name] if group == "prepare" and name else [command]
    text = help_text(*(() if command == "videoswin" else words))
    golden = GOLDEN / f"{command}.txt"
    if WRITE:
        golden.write_text(text, encoding="utf-8", newline="\n")
    assert text == golden.read_text(encoding="utf-8"), "`nox -s golden` writes it again"


def test_there_is_no_golden_text_of_a_command_that_is_gone() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(COMMANDS)
