"""`videoswin finetune`: wrong usage, broken clips, damaged runs, full disks."""

import csv
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
import torch
from colors import QUICK, check_equal
from filelock import FileLock
from typer.testing import Result

from videoswin_cli.data.training_dataset import TrainingClip, TrainingClips
from videoswin_cli.data.view_dataset import FailedVideo

Run = Callable[..., Result]
ALONE = ("--set", "batch_size=1")  # a clip has no partner


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "expected one source of clips"),
        (("none",), "none is not there"),
        (("DATA", "--set", "lrr=1"), "unknown key 'lrr'"),
        (("DATA", "--freeze", "stages:3"), "has 2 stages, not 3"),
        (("DATA", "--scratch", "--freeze", "backbone"), "would keep random weights"),
        (("DATA", "--resume-from", "none.pt"), "no such file: none.pt"),
        (("DATA", "--set", "precision=fp16", "--device", "cpu"), "precision fp16 needs a GPU"),
        (("DATA", "--set", "init=motion"), "init=motion is for training from scratch"),
        (("DATA", "--labels", "names.txt"), "--labels goes with --train-list"),
        (("--val-list", "v", "DATA"), "--val-list goes with --train-list"),
        (("DATA", *ALONE, "--set", "mixup=0.8"), "mixup with batch_size 1"),
        (("DATA", *ALONE, "--set", "cutmix=1"), "cutmix with batch_size 1"),
        (
            ("DATA", *ALONE, "--set", "mixup=0.8", "--set", "cutmix=1", "--set", "accumulate=8"),
            "mixup and cutmix with batch_size 1",
        ),
    ],
)
def test_wrong_usage(
    args: tuple[str, ...], message: str, run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    line = [str(data) if arg == "DATA" else arg for arg in args]
    result = run("finetune", *line, "--model", tiny, "--out", tmp_path / "o")
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_a_broken_clip_is_left_out(run: Run, tiny: str, data: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data/red/3.mp4").write_text("no video")
    result = run("finetune", tmp_path / "data", "--model", tiny, "--out", tmp_path / "o", *QUICK)
    assert result.exit_code == 3, result.output
    assert "left out: red/3.mp4: not a readable video file" in result.stderr
    assert "red/3.mp4" not in (tmp_path / "o/splits.csv").read_text()
    failed = json.loads((tmp_path / "o/failed.jsonl").read_text())
    assert failed["path"] == "red/3.mp4"


def test_a_clip_that_breaks_during_the_training_is_listed_as_in_the_splits(
    run: Run, tiny: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = TrainingClips.__getitem__

    def break_first(clips: TrainingClips, key: tuple[int, int]) -> TrainingClip | FailedVideo:
        return clips.failed(key, "gone") if key[0] == 0 else usual(clips, key)

    monkeypatch.setattr(TrainingClips, "__getitem__", break_first)
    result = run("finetune", data, "--model", tiny, "--out", tmp_path / "o", *QUICK)
    assert result.exit_code == 3, result.output
    failed = json.loads((tmp_path / "o/failed.jsonl").read_text())
    with (tmp_path / "o/splits.csv").open() as file:
        assert failed["path"] == next(csv.DictReader(file))["path"]


def test_a_run_that_diverges_is_no_success(run: Run, tiny: str, data: Path, tmp_path: Path) -> None:
    steep = ("--set", "lr=1e12", "--set", "clip_grad_norm=0", "--set", "scale_lr=false")
    result = run("finetune", data, "--model", tiny, "--out", tmp_path / "o", *QUICK, *steep)
    assert result.exit_code == 1, result.output
    assert "the training has diverged" in result.stderr
    assert "a lower --lr" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "o/best.safetensors").exists()


def test_a_damaged_state_is_told(run: Run, tiny: str, data: Path, tmp_path: Path) -> None:
    for content in ("x", "", "no state"):
        (tmp_path / "state.pt").write_text(content)
        line = ("finetune", data, "--model", tiny, "--out", tmp_path / "o", *QUICK)
        result = run(*line, "--resume-from", tmp_path / "state.pt")
        assert result.exit_code == 2, result.output
        assert "no state of a run" in result.stderr


def test_a_run_is_not_overwritten_nor_mixed(
    run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    command = ("finetune", data, "--model", tiny, "--out", tmp_path / "o", *QUICK)
    assert run(*command).exit_code == 0
    before = (tmp_path / "o/best.safetensors").read_bytes()
    again = run(*command)
    assert again.exit_code == 2
    assert "holds a run" in again.stderr
    other = run(*command, "--resume", "--set", "lr=0.5")
    assert other.exit_code == 2
    assert "recipe was {'lr': 0.02}, now {'lr': 0.5}" in other.stderr
    assert (tmp_path / "o/best.safetensors").read_bytes() == before
    short = command[: -len(QUICK)]
    done = run(*short, "--workers", 0, "--resume")
    assert done.exit_code == 0
    assert "resuming after step 6 of 6" in done.stderr
    assert done.stdout == f"{tmp_path / 'o/best.safetensors'}\n"
    more = run(*short, "--workers", 0, "--resume", "--epochs", 3)
    assert more.exit_code == 0, more.output
    assert "3 epochs for 2: the learning rate follows the cosine to step 9" in more.stderr
    assert "epoch 3 of 3" in more.stderr


def test_two_runs_do_not_share_a_folder(run: Run, tiny: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    out.mkdir()
    with FileLock(out / ".lock"):
        other = run("finetune", data, "--model", tiny, "--out", out, *QUICK)
    assert other.exit_code == 2
    assert f"another run is writing {out}" in other.stderr
    assert [path.name for path in out.iterdir()] == [".lock"]


# A run of its own for a disk of its own.
@pytest.mark.slow
def test_a_full_disk_keeps_the_state_before(
    run: Run, tiny: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("finetune", data, "--model", tiny, "--out", tmp_path / "o", *QUICK)
    save, calls = torch.save, []

    def fail(content: object, file: BinaryIO) -> None:
        calls.append(file)
        if len(calls) == 3:  # after the first step, the first epoch, and this one
            file.write(b"half")
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError:  # torch has no error of its own for it
                raise RuntimeError("[enforce fail] . unexpected pos 576 vs 534")  # noqa: B904
        save(content, file)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fail)
        result = run(*command)
    assert result.exit_code == 1
    assert f"error: cannot write {tmp_path}/o/state.pt: No space left on device" in result.stderr
    assert "unexpected pos" not in result.stderr
    assert [path for path in (tmp_path / "o").iterdir() if path.name.endswith(".part")] == []
    resumed = run(*command, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "resuming after step 3 of 6" in resumed.stderr
    assert run(*command[:-1], "scale_lr=false", "--out", tmp_path / "p").exit_code == 0
    check_equal(tmp_path / "o", tmp_path / "p")
