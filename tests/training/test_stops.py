"""Runs that are stopped or killed anywhere, and resumed: the files of an undisturbed run."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import two_processes
from few_clips import STEPS, VAL_CLIPS, check_same_files, read_scalars, train

from videoswin_cli.model import loading
from videoswin_cli.training import run_folder
from videoswin_cli.training.inputs import ClipInputs
from videoswin_cli.training.step import Stepper


@pytest.fixture(scope="module")
def undisturbed(few: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "o"
    assert not train(few, out).interrupted
    return out


def stop_at(number: int, patch: pytest.MonkeyPatch) -> None:
    """Let SIGTERM come at the N-th step, validation clip or weight file, from 1."""
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGTERM)

    step, logits, save = Stepper.step, ClipInputs.logits, loading.save

    def counted_step(*args: Any) -> Any:
        count()
        return step(*args)

    def counted_logits(*args: Any) -> Iterator[Any]:
        for clip_logits in logits(*args):
            count()
            yield clip_logits

    def counted_save(*args: Any, **more: Any) -> None:
        count()
        save(*args, **more)

    patch.setattr(Stepper, "step", counted_step)
    patch.setattr(ClipInputs, "logits", counted_logits)
    patch.setattr(run_folder, "save", counted_save)


# After the first epoch `last` and `best` are written; the end of the run is no place to stop.
LAST_STOP = STEPS + 2 * VAL_CLIPS + 2


@pytest.mark.parametrize(
    "number",
    [
        # Each takes a second: every second stop, the last ones and the end are tried by default.
        pytest.param(number, marks=[pytest.mark.slow] if number % 2 == 0 and number < 11 else [])
        for number in range(1, LAST_STOP + 2)
    ],
)
def test_a_stop_anywhere_loses_nothing(
    number: int, few: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "o"
    with monkeypatch.context() as patch:
        stop_at(number, patch)
        assert train(few, out).interrupted == (number <= LAST_STOP)
    assert not train(few, out).interrupted
    check_same_files(out, undisturbed)
    assert read_scalars(undisturbed)["step/loss"][-1][0] == STEPS


@pytest.fixture(scope="module")
def kills(few: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A run that saves after each step, and its folder as a kill before each rename leaves it."""
    folder = tmp_path_factory.mktemp("kills")
    out = folder / "o"
    copies: list[Path] = []
    replace = Path.replace

    def copy_and_replace(self: Path, target: Path) -> Path:
        copies.append(folder / f"{len(copies)} {target.name}" / "o")
        shutil.copytree(out, copies[-1])
        for events in copies[-1].glob("events.*"):  # those of the resumed run sort behind
            replace(events, events.with_name("events.out.tfevents.0"))
        return replace(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", copy_and_replace)
        train(few, out, "save_minutes=0")
    return out, copies


# Half a minute: a run from each of its states. Stops anywhere are in the default run.
@pytest.mark.slow
def test_a_kill_before_any_rename_loses_nothing(few: Path, kills: tuple[Path, list[Path]]) -> None:
    done, copies = kills
    scalars = read_scalars(done)
    # config.yaml, classes.txt, splits.csv; the state after each step and epoch, and what each epoch
    # leaves; curves.png, confusion.png, confusion.csv, result.json
    assert len(copies) in (3 + STEPS + 2 + 2 * 2 + 1 + 4, 3 + STEPS + 2 + 2 * 3 + 4)
    for copy in copies:
        assert not train(few, copy, "save_minutes=0").interrupted
        check_same_files(copy, done)
        assert read_scalars(copy) == scalars, copy.parent.name


@pytest.mark.slow  # twenty seconds; by default one process stops, and two learn what one learns
@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process at once")
def test_processes_stop_together_and_resume(few: Path, tmp_path: Path) -> None:
    shutil.copytree(few, tmp_path / "f")
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(two_processes.PORTS)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [str(each.getsockname()[1]) for each in sockets]
    command = [sys.executable, two_processes.__file__]
    runs = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "f"), *ports],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )
        for rank in (0, 1)
    ]
    errors = [run.communicate(timeout=300)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors
    for number in range(len(two_processes.STOPS)):
        check_same_files(tmp_path / "f" / str(number) / "o", tmp_path / "f/undisturbed/o")
        results = [(tmp_path / f"f/{number}.{rank}.result").read_text() for rank in (0, 1)]
        assert results[0] == results[1], "each process returns the same"
