"""`videoswin finetune` after kills and signals, and in several processes: the same weights."""

import csv
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sixty
from colors import QUICK, check_equal, read_state
from typer.testing import Result

from videoswin_cli.training.recipe import read_recipe
from videoswin_cli.training.step import Stepper

Run = Callable[..., Result]


LONG = ("--epochs", 3, "--set", "lr=0.02", "--set", "scale_lr=false", "--set", "save_minutes=0")


def line(data: Path, tiny: str, out: Path, *more: object) -> tuple[object, ...]:
    return ("finetune", data, "--model", tiny, "--out", out, "--workers", 2, *LONG, *more)


@pytest.fixture(scope="module")
def undisturbed(data: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "o"
    done = sixty.run(sixty.command(*line(data, tiny, out)), out.parent)
    assert done.returncode == 0, done.stderr
    return out


def start_and_wait(command: list[str], state: Path, home: Path) -> subprocess.Popen[str]:
    """Start a run and wait for its first state: in the middle of the first epoch."""
    process = subprocess.Popen(
        command, env=sixty.environment(home, 1), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not state.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


def test_a_signal_saves_and_the_run_goes_on(
    run: Run, tiny: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Stepper.step

    def interrupted(stepper: Stepper, number: int, items: Any) -> Any:
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(stepper, number, items)

    lines = [("finetune", data, "--model", tiny, "--out", tmp_path / o, *QUICK) for o in "ab"]
    assert run(*lines[0]).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", interrupted)
        result = run(*lines[1])
    assert result.exit_code == 130, result.output
    assert "interrupted; --resume continues" in result.stderr
    resumed = run(*lines[1], "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "resuming after step 2 of 6" in resumed.stderr
    check_equal(tmp_path / "b", tmp_path / "a")


@pytest.mark.parametrize(
    "more", [pytest.param((), marks=pytest.mark.slow), ("--precision", "auto")]
)
def test_it_resumes_in_the_precision_of_the_run(
    more: tuple[str, ...],
    run: Run,
    tiny: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = Stepper.step

    def interrupted(stepper: Stepper, number: int, items: Any) -> Any:
        if number == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(stepper, number, items)

    line = ("finetune", data, "--model", tiny, "--out", tmp_path / "o", *QUICK)
    with monkeypatch.context() as patch:
        patch.setattr(Stepper, "step", interrupted)
        assert run(*line, "--precision", "bf16").exit_code == 130
    other = run(*line, "--resume", "--precision", "fp32")
    assert other.exit_code == 2
    assert "recipe was {'precision': 'bf16'}, now {'precision': 'fp32'}" in other.stderr
    resumed = run(*line, "--resume", *more)
    assert resumed.exit_code == 0, resumed.output
    assert read_recipe(tmp_path / "o/config.yaml").precision == "bf16"


@pytest.mark.slow  # whole processes; test_stops.py has the same inside one
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_inside_the_epoch(
    number: signal.Signals, data: Path, tiny: str, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o"
    command = sixty.command(*line(data, tiny, out))
    process = start_and_wait(command, out / "state.pt", tmp_path)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGKILL:
        assert process.returncode == -9
    else:
        assert process.returncode == 130, errors
        assert "interrupted; --resume continues" in errors
    done = sixty.run([*command, "--resume"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resuming after step" in done.stderr
    check_equal(out, undisturbed)
    pictures = [(folder / "confusion.png").read_bytes() for folder in (out, undisturbed)]
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    "freeze",
    [
        pytest.param("none", marks=pytest.mark.slow),  # half a minute; test_step.py has the mean
        pytest.param("backbone", marks=pytest.mark.slow),
    ],
)
def test_two_processes_learn_what_one_learns(
    freeze: str, data: Path, tiny: str, tmp_path: Path
) -> None:
    """The same effective batch, so the same losses within float noise."""
    exact = ("--set", "drop_path_rate=0", "--set", "head_dropout=0", "--freeze", freeze,
             "--workers", 0)  # fmt: skip
    losses = []
    for processes, batch in ((1, 8), (2, 4)):
        out = tmp_path / str(processes)
        command = line(data, tiny, out, *exact, "--batch-size", batch)
        start = sixty.command(*command) if processes == 1 else sixty.torchrun(2, *command)
        done = sixty.run(start, tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("epoch 3 of 3") == 1
        progress = read_state(out)["progress"]
        losses.append((progress["losses"], [row["val_loss"] for row in progress["epochs"]]))
    assert losses[0][0] == pytest.approx(losses[1][0], abs=2e-4)
    assert losses[0][1] == pytest.approx(losses[1][1], abs=2e-4)


def test_it_stops_where_nothing_gets_better(
    run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    still = ("--set", "lr=1e-12", "--set", "scale_lr=false", "--set", "patience=2")
    out = tmp_path / "o"
    command = ("finetune", data, "--model", tiny, "--out", out, "--workers", 0, "--epochs", 9)
    result = run(*command, *still)
    assert result.exit_code == 0, result.output
    assert "no better for 2 epochs: stopped" in result.stderr
    with (out / "metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    assert "best after epoch 1" in result.stderr
