"""Folders and names on the command line: what is taken, and what is said of the rest."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from make_video import write_video
from typer.testing import Result

from videoswin_cli import extract, predict

Run = Callable[..., Result]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes with a clip each, and what computers put beside clips."""
    folder = tmp_path / "clips"
    for number, name in enumerate(("a/1.mp4", "b/2.mp4")):
        (folder / name).parent.mkdir(parents=True)
        write_video(folder / name, frames=8, seed=number)
    for name in ("a/._1.mp4", "a/Thumbs.db", "__MACOSX/a/._1.mp4", ".ipynb_checkpoints/1.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no video")
    (folder / "notes.txt").write_text("no video")
    shutil.copy(folder / "a/1.mp4", folder / "b/0123abcd")
    return folder


LEFT_OUT = (
    "left out: 4 hidden or system names (._* 1, .ipynb_checkpoints 1, Thumbs.db 1, __MACOSX 1); "
)
OTHERS = "2 files that are no videos (.txt 1, no extension 1); --all-files looks into them\n"


def paths(result: Result) -> list[str]:
    return list(dict.fromkeys(line.split(",")[0] for line in result.stdout.splitlines()[1:]))


def test_predict_takes_videos_and_says_what_it_left_out(run: Run, tiny: str, tree: Path) -> None:
    result = run("predict", tree, "--model", tiny, "--format", "csv")
    assert result.exit_code == 0, result.output
    assert paths(result) == [str(tree / "a/1.mp4"), str(tree / "b/2.mp4")]
    assert result.stderr.count("left out") == 1
    assert LEFT_OUT + OTHERS in result.stderr
    result = run("predict", tree, "--model", tiny, "--format", "csv", "--all-files")
    assert result.exit_code == 0, result.output
    assert paths(result) == [str(tree / name) for name in ("a/1.mp4", "b/0123abcd", "b/2.mp4")]
    assert f"{LEFT_OUT}1 file that is no video (.txt 1)\n" in result.stderr
    named = [tree / "b/2.mp4", tree / "b/../b/2.mp4", tree / ".ipynb_checkpoints/1.mp4"]
    result = run("predict", *named, "--model", tiny, "--format", "csv")
    assert result.exit_code == 3, "what is named is tried"
    assert paths(result) == [str(named[0]), str(named[2])]
    assert "1 path to a file again in another spelling: each is read once" in result.stderr
    assert "left out" not in result.stderr


def test_a_folder_without_videos_says_what_is_there(run: Run, tiny: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").touch()
    result = run("predict", tmp_path / "in", "--model", tiny)
    assert result.exit_code == 2
    assert f"error: no video in the folder {tmp_path / 'in'}\n" in result.stderr
    assert "hint: left out: 1 file that is no video (.txt 1); --all-files looks" in result.stderr


def test_extract_takes_the_same(run: Run, tiny: str, tree: Path, tmp_path: Path) -> None:
    result = run("extract", tree, "--model", tiny, "--out", tmp_path / "f.npz")
    assert result.exit_code == 0, result.output
    assert LEFT_OUT + OTHERS in result.stderr
    result = run("extract", tree, "--model", tiny, "--out", tmp_path / "g.npz", "--all-files")
    assert result.exit_code == 0, result.output
    assert "3 videos in" in result.stderr


def test_python_takes_the_same(tiny: str, tree: Path) -> None:
    assert len(predict(tree, model=tiny)) == 2
    assert len(predict(tree, model=tiny, all_files=True)) == 3
    assert len(extract(tree, model=tiny, all_files=True).paths) == 3


def test_eval_leaves_out_what_is_no_class(run: Run, tree: Path, tmp_path: Path, tiny: str) -> None:
    (tree / "notes.txt").unlink()
    (tmp_path / "labels.txt").write_text("".join(f"{name}\n" for name in "abcdefg"))
    options = ("--model", tiny, "--labels", tmp_path / "labels.txt", "--views", "1x1")
    result = run("eval", tree, *options)
    assert result.exit_code == 0, result.output
    assert "2 listed, 2 found, 0 failed" in result.stdout
    assert f"{LEFT_OUT}1 file that is no video (no extension 1); --all" in result.stderr
    result = run("eval", tree, "--all-files", *options)
    assert result.exit_code == 0, result.output
    assert "3 listed, 3 found, 0 failed" in result.stdout


def test_eval_refuses_parts(run: Run, tiny: str, tmp_path: Path) -> None:
    for name in ("train/a", "val/a"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.mp4").touch()
    result = run("eval", tmp_path / "data", "--model", tiny)
    assert result.exit_code == 2
    assert "holds parts of a data set, 'train', 'val', where class folders" in result.stderr
    assert f"hint: give one of them, such as {tmp_path / 'data/val'}" in result.stderr


@pytest.mark.parametrize("command", ["eval", "extract"])
def test_all_files_is_for_folders(run: Run, tiny: str, command: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a.mp4 0\n")
    more = ("--out", "f.npz") if command == "extract" else ()
    result = run(command, "--list", tmp_path / "list", "--all-files", "--model", tiny, *more)
    assert result.exit_code == 2
    assert "--all-files is for" in result.stderr


def test_bad_names_are_rows(run: Run, tiny: str, tree: Path, tmp_path: Path) -> None:
    names = ("a/1.mp4", "x" * 300 + ".mp4", "A/1.mp4", "2.mp4", "C:\\data\\b\\2.mp4", "1.mp4")
    shutil.copy(tree / "a/1.mp4", tree / "b/1.mp4")
    (tmp_path / "list").write_text("".join(f"{name} 0\n" for name in names))
    source = ("--list", tmp_path / "list", "--root", tree)
    result = run("eval", *source, "--model", tiny, "--min-found", "0.1", "--views", "1x1",
                 "--dump", tmp_path / "d.jsonl")  # fmt: skip
    assert result.exit_code == 3, result.output
    assert "5 listed, 2 found, 3 failed" in result.stdout
    assert "1 repeated row, 1 of them in another spelling" in result.stderr
    assert "their files were found under the root without C:/data/ (1)" in result.stderr
    failed = (tmp_path / "d.jsonl.failed.jsonl").read_text()
    for reason in (
        "File name too long",
        "no such file; a/1.mp4 differs in letter case",
        "ambiguous: 2 files are meant: a/1.mp4, b/1.mp4",
    ):
        assert reason in failed
        assert f"({reason})" in result.stderr
    result = run("extract", *source, "--model", tiny, "--out", tmp_path / "f.npy")
    assert result.exit_code == 3, result.output
    assert "failed: 1.mp4: ambiguous: 2 files are meant" in result.stderr


def test_a_list_that_finds_nothing_says_where_the_files_are(
    run: Run, tiny: str, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "list").write_text("1.mp4 0\nb/2.mp4 1\n")
    source = ("--list", tmp_path / "list", "--root", tmp_path)
    result = run("extract", *source, "--model", tiny, "--out", tmp_path / "f.npy")
    assert "b/2.mp4 (no such file; clips/b/2.mp4 exists: should --root be" in result.stderr


def test_names_of_a_path_list_are_rows(run: Run, tiny: str, tree: Path, tmp_path: Path) -> None:
    names = ("x" * 300 + ".mp4", "clips\\a\\1.mp4", "clips/./a/1.mp4", "gone\\1.mp4")
    (tmp_path / "list").write_text("".join(f"{name}\n" for name in names))
    result = run("predict", "@list", "--model", tiny, "--format", "csv")
    assert result.exit_code == 3, result.output
    assert paths(result) == [names[0], "clips/a/1.mp4", names[3]]
    assert "File name too long" in result.stdout
