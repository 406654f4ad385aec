"""`videoswin prepare` from outside: exit codes, stdout and stderr."""

from collections.abc import Callable
from pathlib import Path

import pytest
from make_video import write_video
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for seed, (name, letter) in enumerate((n, c) for n in ("run", "sit") for c in "xy"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_video(folder / name / f"{letter} {name}.mp4", frames=3, seed=seed)
    return folder


def test_the_group_lists_its_commands(run: Run) -> None:
    done = run("prepare", "--help")
    assert done.exit_code == 0
    for name in ("list", "split", "resize", "frames", "shards"):
        assert f"  {name} " in done.stdout
    assert run("prepare").exit_code == 2
    assert run("prepare", "nothing").exit_code == 2


def test_a_list_and_a_split(run: Run, tree: Path, tmp_path: Path) -> None:
    done = run("prepare", "list", tree, "--out", "train.txt")
    assert (done.exit_code, done.stdout) == (0, "train.txt\n")
    assert "4 videos of 2 classes" in done.stderr
    assert f"--root {tree}" in done.stderr
    done = run("prepare", "list", tree, "--out", "train.txt")
    assert done.exit_code == 2
    assert "train.txt exists" in done.stderr
    assert "--overwrite" in done.stderr
    done = run("prepare", "split", "--list", "train.txt", "--root", tree, "--out", "lists",
               "--val", "0.5")  # fmt: skip
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "class  train  val",
        *("0          1    1", "1          1    1", "all        2    2"),
    ]
    assert (tmp_path / "lists" / "val.txt").is_file()


def test_missing_videos_are_exit_code_3(run: Run, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_text("path,label\nrun/x run.mp4,run\nrun/gone.mp4,run\n")
    done = run("prepare", "list", "--list", "all.csv", "--root", tree, "--out", "new.csv")
    assert (done.exit_code, done.stdout) == (3, "new.csv\n")
    assert "run/gone.mp4" in done.stderr


def test_copies_and_frames(run: Run, tree: Path, tmp_path: Path) -> None:
    (tree / "sit" / "broken.mp4").write_text("no video")
    done = run("prepare", "resize", tree, "--out", "small", "--short-side", "32", "-j", "0")
    assert (done.exit_code, done.stdout) == (3, "small\n")
    assert "failed: sit/broken.mp4: " in done.stderr
    assert "see small/failed.jsonl" in done.stderr
    assert (tmp_path / "small" / "run" / "x run.mp4").is_file()
    (tree / "sit" / "broken.mp4").unlink()
    done = run("prepare", "frames", "small", "--out", "frames", "-j", "0", "--format", "png")
    assert (done.exit_code, done.stdout) == (0, "frames\n")
    assert "read with --frames-fps 25" in done.stderr
    assert "hidden" not in done.stderr, "the journal of a folder is not worth a word"
    lines = (tmp_path / "frames" / "list.txt").read_text().splitlines()
    assert lines == ['"run/x run" 3 0', '"run/y run" 3 0', '"sit/x sit" 3 1', '"sit/y sit" 3 1']
    done = run("prepare", "frames", "small", "--out", "frames", "-j", "0", "--quality", "80")
    assert done.exit_code == 2
    assert "belongs to a different run" in done.stderr
