"""`videoswin finetune` killed at every change that it makes to the disk, at its end above all."""

import sys
from pathlib import Path

import pytest
from kills import kill_everywhere
from typer.testing import CliRunner

from videoswin_cli.cli.app import app
from videoswin_cli.training import run_folder
from videoswin_cli.training.loggers import ScalarWriter


@pytest.mark.slow  # some sixty trainings
@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_training(data: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The names of its files hold times.
    monkeypatch.setattr(run_folder, "open_loggers", lambda *_, **__: ScalarWriter())

    def action(folder: Path) -> None:
        options = ("--epochs", 1, "--workers", 0, "--set", "lr=0.02", "--set", "scale_lr=false")
        line = ("finetune", data, "--model", tiny, "--out", folder / "o", *options)
        result = CliRunner().invoke(app, [*map(str, line), "--resume"])
        if result.exit_code:
            sys.stderr.write(result.output)
            sys.exit(result.exit_code)

    # The state tells when it was resumed; it is held against others by `check_equal`.
    timed = ("state.pt", "train.log", "result.json")
    changes = kill_everywhere(action, tmp_path, same=lambda name: not name.endswith(timed))
    assert changes > 20
