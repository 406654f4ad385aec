import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import videoswin_cli
from videoswin_cli.cli import download as download_module
from videoswin_cli.cli.app import _COMMANDS
from videoswin_cli.errors import CheckpointError, FetchError, UsageError, VideoError, VideoSwinError

Run = Callable[..., Result]
COMMANDS = list(_COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, run: Run) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert len(result.stdout) > 300
    # What `videoswin --help` says of it without importing it is what it says itself.
    summary = " ".join(result.stdout.split("\n\n")[1].split())
    assert summary == _COMMANDS[command]
    overview = " ".join(run("--help").stdout.split())
    assert f"{command} {summary}" in overview


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"videoswin {videoswin_cli.__version__}\n"


def test_the_changelog_knows_the_version() -> None:
    changelog = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in changelog or f"## {videoswin_cli.__version__}" in changelog


def test_the_end_does_not_look_for_garbage() -> None:
    program = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0))"
    command = "from videoswin_cli.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; {command}", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "True"


def test_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "videoswin_cli", "--version"], capture_output=True, check=True
    )
    assert done.stdout.startswith(b"videoswin ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (VideoSwinError, 1),
        (UsageError, 2),
        (CheckpointError, 2),
        (VideoError, 3),
        (FetchError, 4),
        (KeyboardInterrupt, 130),
    ],
)
def test_errors_become_exit_codes_and_a_sentence(
    error: Callable[..., BaseException], code: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        raise error("this is why") if error is KeyboardInterrupt else error("why", hint="do this")

    monkeypatch.setattr(download_module, "load_spec", fail)
    result = run("download", "swin-tiny-k400")
    assert result.exit_code == code
    assert result.stdout == ""
    expected = "interrupted\n" if error is KeyboardInterrupt else "error: why\nhint: do this\n"
    assert result.stderr == expected


def test_a_bug_comes_to_the_last_net(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "load_spec", lambda name: 1 / 0)
    result = run("download", "swin-tiny-k400")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_no_arguments_print_the_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert all(command in result.output for command in COMMANDS)
