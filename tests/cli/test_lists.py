"""Lists of the field and of splits through the commands, on two clips of the bundled model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

Run = Callable[..., Result]

LISTS = Path(__file__).parents[1] / "field" / "lists"
SAMPLES = Path(__file__).parents[2] / "samples"
SPLITS = "path,label,split\npan-left/a.mp4,pan-left,train\nzoom-in/b.mp4,zoom-in,valid\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name, place in (("pan-left", "pan-left/a.mp4"), ("zoom-in", "zoom-in/b.mp4")):
        (folder / place).parent.mkdir()
        shutil.copy(SAMPLES / f"{name}.mp4", folder / place)
    return folder


def eval_list(run: Run, root: Path, path: Path, *args: str) -> Result:
    fixed = ("--root", root, "--model", "camera-motion", "--views", "1x1", "--format", "json")
    return run("eval", "--list", path, *fixed, *args)


@pytest.mark.parametrize("name", ["jester.csv", "map.json", "underscore_names.csv", "utf16.csv"])
def test_eval_reads_what_people_have(name: str, run: Run, root: Path) -> None:
    result = eval_list(run, root, LISTS / name)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["accuracy"]["top1"] == 100


def test_eval_says_what_it_left_out(run: Run, root: Path) -> None:
    result = eval_list(run, root, LISTS / "comment.txt")
    assert result.exit_code == 0, result.output
    assert "left out as a comment, such as line 1: '# my videos'" in result.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gbk.txt", "iconv -f GBK -t UTF-8"),
        ("kinetics_test.csv", "no column for the class among"),
        ("only_path.csv", "no column for the class among 'path'"),
        ("label_first.txt", "the label comes before the path"),
        ("ucf_classind.txt", "counted from 1"),
    ],
)
def test_eval_refuses_what_it_cannot_be_sure_of(
    name: str, message: str, run: Run, root: Path
) -> None:
    result = eval_list(run, root, LISTS / name)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())


def test_eval_asks_which_split(run: Run, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text(SPLITS)
    result = eval_list(run, root, path)
    assert result.exit_code == 2
    assert "holds several splits: train (1), val (1)" in " ".join(result.stderr.split())
    assert "--split NAME" in result.stderr
    result = eval_list(run, root, path, "--split", "validation")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["listed"] == 1
    result = eval_list(run, root, path, "--split", "test")
    assert result.exit_code == 2
    assert "has no split 'test'" in result.stderr


def test_extract_takes_all_splits_or_one(run: Run, root: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "all.csv", tmp_path / "x.npy"
    path.write_text(
        SPLITS.replace(",label", "").replace(",pan-left,", ",").replace(",zoom-in,", ",")
    )
    fixed = ("--list", path, "--root", root, "--model", "camera-motion", "--out", out)
    result = run("extract", *fixed)
    assert result.exit_code == 0, result.output
    assert "all splits are taken: train (1), val (1); --split NAME chooses one" in result.stderr
    assert len(np.load(out)) == 2
    result = run("extract", *fixed, "--split", "train", "--overwrite")
    assert result.exit_code == 0, result.output
    assert len(np.load(out)) == 1


@pytest.mark.parametrize("command", [("eval",), ("extract", "--out", "x.npy")])
def test_a_split_is_of_a_list(command: tuple[str, ...], run: Run, root: Path) -> None:
    result = run(*command, root, "--split", "val")
    assert result.exit_code == 2
    assert "--split needs --list" in result.stderr


VERBS = "path,verb,noun\npan-left/a.mp4,pan-left,cup\nzoom-in/b.mp4,zoom-in,cup\n"


def test_the_column_of_the_class_can_be_chosen(run: Run, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "verbs.csv"
    path.write_text(VERBS)
    result = eval_list(run, root, path)
    assert result.exit_code == 2
    assert "choose it with --label-column verb or noun" in " ".join(result.stderr.split())
    result = eval_list(run, root, path, "--label-column", "verb")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["accuracy"]["top1"] == 100


def test_ids_are_looked_for_in_the_folder_of_the_chosen_class(
    run: Run, root: Path, tmp_path: Path
) -> None:
    videos, path, out = tmp_path / "videos", tmp_path / "ids.csv", tmp_path / "x.npy"
    for name in ("pan-left", "zoom-in"):
        (videos / name).mkdir(parents=True)
        shutil.copy(SAMPLES / f"{name}.mp4", videos / name / "a.mp4")
    path.write_text("id,verb\na,zoom-in\n")
    fixed = ("extract", "--list", path, "--root", videos, "--model", "camera-motion", "--out", out)
    assert run(*fixed).exit_code == 2, "two files are called so"
    result = run(*fixed, "--label-column", "verb")
    assert result.exit_code == 0, result.output
    assert "zoom-in/a.mp4" in (tmp_path / "x.index.csv").read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("eval",), "--label-column needs --list"),
        (("extract", "--out", "x.npy"), "--label-column needs --list"),
        (("finetune",), "--label-column goes with --train-list"),
    ],
)
def test_a_column_is_of_a_list(
    command: tuple[str, ...], message: str, run: Run, root: Path
) -> None:
    result = run(*command, root, "--label-column", "verb")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_hostile_list_is_one_sentence(run: Run, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "list"
    for text in ("[" * 100_000, "..\n", f"a.mp4 {'9' * 5000}\n", f"a{' ' * 30_000}b\n"):
        path.write_text(text)
        result = eval_list(run, root, path)
        assert result.exit_code == 2, result.output
        assert "Traceback" not in result.output
        assert isinstance(result.exception, SystemExit)
