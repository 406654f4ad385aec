"""`videoswin eval` from the outside."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sixty
from make_video import write_video
from plain_machine import make_home
from tiny import LABELS
from typer.testing import Result

from videoswin_cli import predict
from videoswin_cli.engine.dumps import read_dump
from videoswin_cli.engine.runner import Runner

Run = Callable[..., Result]


@pytest.fixture
def listed(clips: Path, tmp_path: Path) -> Path:
    """Three good videos and one broken one, with a list."""
    folder = tmp_path / "videos"
    shutil.copytree(clips, folder)
    (folder / "list.txt").write_text("a [1].mp4 0\nb.mp4 6\nsub/c.mp4 2\ntext.mp4 1\n")
    return folder


def summary(result: Result) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def test_the_table_tells_everything(run: Run, tiny: str, listed: Path, tmp_path: Path) -> None:
    dump = tmp_path / "d.jsonl"
    result = run("eval", "--list", listed / "list.txt", "--model", tiny, "--dump", dump)
    assert result.exit_code == 3, result.output
    answers = predict([listed / "a [1].mp4", listed / "b.mp4", listed / "sub/c.mp4"], model=tiny,
                      views="paper")  # fmt: skip
    hits = sum(a.top[0].index == label for a, label in zip(answers, (0, 6, 2), strict=True))
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        f"top-1                {100 * hits / 4:6.2f} %  published 78.8 with 2x3"
    )
    assert lines[3] == "videos               4 listed, 4 found, 1 failed, counted as wrong"
    assert "2x3 views" in result.stdout
    assert "fp32 on cpu" in result.stdout
    assert "videos/s" in result.stdout
    assert "4 rows (path-label)" in result.stderr
    assert "4 of 4 videos found" in result.stderr
    failed = [
        json.loads(line) for line in (tmp_path / "d.jsonl.failed.jsonl").read_text().splitlines()
    ]
    assert [row["path"] for row in failed] == ["text.mp4"]
    rows = [json.loads(line) for line in dump.read_text(encoding="utf-8").splitlines()]
    assert [row["path"] for row in rows] == ["a [1].mp4", "b.mp4", "sub/c.mp4", "text.mp4"]
    for row, answer in zip(rows, answers, strict=False):
        assert [entry["label"] for entry in row["top"]] == [score.label for score in answer.top]
        expected = [score.prob for score in answer.top]
        assert [entry["prob"] for entry in row["top"]] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("how", "counted", "code"), [("wrong", 4, 3), ("skip", 3, 3), ("fail", 0, 3)]
)
def test_what_failed_videos_count_for(
    how: str, counted: int, code: int, run: Run, tiny: str, listed: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    options = ("--topk", "1,7", "--on-error", how, "--format", "json", "--views", "1x1")
    result = run("eval", "--list", listed / "list.txt", "--model", tiny, *options)
    assert result.exit_code == code
    assert not (tmp_path / "failed.jsonl").exists()  # a command that prints does not litter
    if how == "fail":
        assert result.stdout == ""
        assert "error: text.mp4: " in result.stderr
    else:
        assert summary(result)["accuracy"]["top7"] == pytest.approx(300 / counted)
        assert "1 of 4 videos failed: text.mp4" in result.stderr


def test_a_folder_has_all_that_was_measured(
    run: Run, tiny: str, listed: Path, tmp_path: Path
) -> None:
    options = ("--views", "1x1", "--format", "json", "--out", tmp_path / "out")
    result = run("eval", "--list", listed / "list.txt", "--model", tiny, *options)
    assert result.exit_code == 3
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {"result.json", "failed.jsonl", "per_class.csv", "confusion.csv"}
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == summary(result)
    (failed,) = (tmp_path / "out" / "failed.jsonl").read_text().splitlines()
    assert json.loads(failed)["path"] == "text.mp4"
    assert f"see {tmp_path / 'out' / 'failed.jsonl'}" in result.stderr


def test_class_folders(run: Run, tiny: str, tmp_path: Path) -> None:
    for number, label in enumerate((*LABELS, "walk")):
        (tmp_path / label).mkdir(exist_ok=True)
        write_video(tmp_path / label / f"{number}.mp4", frames=8, seed=number)
    table, pairs = tmp_path / "classes.csv", tmp_path / "pairs.csv"
    options = ("--per-class", table, "--confusion", pairs, "--format", "json")
    result = run("eval", tmp_path, "--model", tiny, *options)
    assert result.exit_code == 0, result.output
    assert summary(result)["listed"] == 8
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == list(LABELS)
    assert [row["videos"] for row in rows] == ["1"] * 6 + ["2"]
    hits = sum(int(row["correct"]) for row in rows)
    assert summary(result)["accuracy"]["top1"] == pytest.approx(100 * hits / 8)
    with pairs.open(encoding="utf-8", newline="") as file:
        assert sum(int(row["videos"]) for row in csv.DictReader(file)) == 8


def test_missing_videos_stop_it_before_the_model(run: Run, tiny: str, listed: Path) -> None:
    names = [f"missing{n} 0\n" for n in range(7)]
    (listed / "list.txt").write_text("b.mp4 1\n" + "".join(names))
    result = run("eval", "--list", listed / "list.txt", "--model", "swin-base-k600")
    assert result.exit_code == 2
    assert "only 1 of 8 videos found" in result.stderr
    assert "missing0, missing1, missing2, missing3, missing4" in result.stderr
    assert "missing5" not in result.stderr
    options = ("--min-found", "0.1", "--format", "json", "--views", "1x1")
    dump = ("--dump", listed / "d.jsonl")
    result = run("eval", "--list", listed / "list.txt", "--model", tiny, *options, *dump)
    assert result.exit_code == 3
    assert (summary(result)["found"], summary(result)["failed"]) == (1, 7)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("b.mp4 400", "list.txt:1: label 400 of b.mp4 is out of range"),
        ("b.mp4 dancing everywhere", "unknown class 'dancing everywhere'"),
        ("b.mp4 1\nb.mp4 2", "b.mp4 has label 2 here and 1 in line 1"),
    ],
)
def test_wrong_labels_stop_it_before_the_model(
    rows: str, message: str, run: Run, listed: Path
) -> None:
    (listed / "list.txt").write_text(rows)
    result = run("eval", "--list", listed / "list.txt")
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "expected one source of videos"),
        (("a", "b"), "expected one source of videos"),
        (("--list", "l", "a"), "expected one source of videos"),
        (("--list", "l", "--resume"), "--resume needs --dump"),
        (("--from-dump", "l", "--dump", "m.npz"), "--dump does not fit --from-dump"),
        (("--from-dump", "l", "--limit", "3"), "--limit does not fit --from-dump"),
        (("--from-dump", "l", "--shard", "1/2"), "--shard does not fit --from-dump"),
        (("--list", "l", "--min-found", "nan"), "min_found nan: expected 0 to 1"),
        (("--list", "l", "--expect", "200"), "'--expect': 200.0 is not in the range"),
        (("--list", "l", "--topk", "0"), "--topk '0'"),
        (("--list", "l", "--topk", "5", "--expect", "1"), "--expect is about top-1"),
        (("--list", "no-list.txt"), "cannot read the list no-list.txt"),
        (("no-folder",), "no such folder: no-folder"),
        (("--from-dump", "no.npz"), "no.npz: no such file"),
    ],
)
def test_wrong_usage_is_told_at_once(args: tuple[str, ...], message: str, run: Run) -> None:
    result = run("eval", *args)
    assert result.exit_code == 2, result.output
    assert message in result.stderr


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--shard", "3/2", "no such shard"),
        ("--dump", "d.txt", "unknown kind of dump '.txt'"),
        ("--dump", "/proc/none/d.npz", "cannot write"),
        ("--per-class", "/proc/none/d.csv", "cannot write"),
        ("--views", "2x2", "unknown views"),
    ],
)
def test_wrong_options_are_told_before_the_model(
    option: str, value: str, message: str, run: Run, listed: Path
) -> None:
    result = run("eval", "--list", listed / "list.txt", "--model", "swin-base-k600",
                 "--labels", _many_labels(listed), option, value)  # fmt: skip
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def _many_labels(folder: Path) -> Path:
    (folder / "labels.txt").write_text("".join(f"class {n}\n" for n in range(600)))
    return folder / "labels.txt"


def test_the_expected_accuracy(run: Run, tiny: str, listed: Path, tmp_path: Path) -> None:
    (listed / "list.txt").write_text("b.mp4 1\nsub/c.mp4 2\n")
    command = ("eval", "--list", listed / "list.txt", "--model", tiny, "--format", "json")
    result = run(*command, "--expect", "60", "--tolerance", "60")
    assert result.exit_code == 0, result.output
    top1 = summary(result)["accuracy"]["top1"]
    assert run(*command, "--expect", top1).exit_code == 0
    result = run(*command, "--expect", top1 + 3, "--tolerance", 2.5)
    assert result.exit_code == 5
    assert f"top-1 is {top1:.2f} %, expected {top1 + 3:g} within 2.5" in result.stderr


@pytest.mark.parametrize(
    ("fps", "said"), [("source", ", own frame rate"), ("10", " at 10 frames per second")]
)
def test_another_frame_rate_is_not_compared_with_the_published_figure(
    fps: str, said: str, run: Run, tmp_path: Path
) -> None:
    write_video(tmp_path / "a.mp4", frames=20)
    (tmp_path / "list.txt").write_text("a.mp4 0\n")
    args = ("--list", tmp_path / "list.txt", "--model", "camera-motion")
    own = run("eval", *args, "--fps", "15")
    assert "published" in own.stdout
    assert "1x1 views (clips x crops), mean of" in own.stdout
    dump = tmp_path / "d.jsonl"
    other = (*args, "--fps", fps, "--dump", dump)
    for result in (
        run("eval", *other),
        run("eval", "--from-dump", dump, "--model", "camera-motion"),
    ):
        assert "published" not in result.stdout
        assert f"1x1 views (clips x crops){said}, mean of" in result.stdout
    found = summary(run("eval", *other, "--resume", "--format", "json"))
    assert found["frame_rate"] == (fps if fps == "source" else 10.0)
    assert (found["published"], found["difference"]) == ({}, {})


def test_a_dump_is_not_overwritten_nor_mixed(
    run: Run, tiny: str, listed: Path, tmp_path: Path
) -> None:
    (listed / "list.txt").write_text("b.mp4 1\nsub/c.mp4 2\n")
    command = ("eval", "--list", listed / "list.txt", "--model", tiny, "--format", "json")
    dump = ("--dump", tmp_path / "d.npz")
    assert run(*command, *dump, "--limit", 1).exit_code == 0
    before = (tmp_path / "d.npz").read_bytes()
    again = run(*command, *dump)
    assert again.exit_code == 2
    assert "d.npz exists" in again.stderr
    other = run(*command, *dump, "--resume", "--views", "1x1")
    assert other.exit_code == 2
    assert "--views was 2x3, now 1x1" in other.stderr
    assert (tmp_path / "d.npz").read_bytes() == before
    more = run(*command, *dump, "--resume")
    assert more.exit_code == 0
    assert "1 of 2 videos were done before" in more.stderr
    assert summary(more)["timing"]["videos"] == 1
    (tmp_path / "d.npz.meta.json").unlink()
    unknown = run(*command, *dump, "--resume")
    assert unknown.exit_code == 2
    assert f"there is no {tmp_path / 'd.npz.meta.json'} that says it" in unknown.stderr


@pytest.mark.parametrize("order", ["this version", "an older version"])
def test_killed_between_dump_and_description(
    order: str, run: Run, tiny: str, listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older version wrote the dump first; `DUMP.part` says of which run it is."""
    (listed / "list.txt").write_text("b.mp4 1\nsub/c.mp4 2\n")
    dump = tmp_path / "d.npz"
    command = ("eval", "--list", listed / "list.txt", "--model", tiny, "--dump", dump)
    with monkeypatch.context() as patch:
        patch.setattr("videoswin_cli.engine.output_journal.discard", lambda folder: None)
        assert run(*command).exit_code == 0
    before = dump.read_bytes(), Path(f"{dump}.meta.json").read_bytes()
    gone = dump if order == "this version" else Path(f"{dump}.meta.json")
    gone.unlink()
    other = run(*command, "--resume", "--views", "1x1")
    assert other.exit_code == 2
    assert "--views was 2x3, now 1x1" in other.stderr
    again = run(*command, "--resume")
    assert again.exit_code == 0, again.output
    assert "2 of 2 videos were done before" in again.stderr
    assert (dump.read_bytes(), Path(f"{dump}.meta.json").read_bytes()) == before
    assert sorted(path.name for path in tmp_path.glob("d.npz*")) == ["d.npz", "d.npz.meta.json"]


def test_a_dump_that_another_process_writes_is_left(
    run: Run, tiny: str, listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (listed / "list.txt").write_text("b.mp4 1\nsub/c.mp4 2\n")
    command = ("eval", "--list", listed / "list.txt", "--model", tiny, "--dump")
    found: list[Result] = []
    compute = Runner.views

    def meanwhile(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(Runner, "views", compute)
        for options in ((), ("--resume",), ("--resume", "--views", "1x1")):
            found.append(run(*command, tmp_path / "d.npz", *options))
        return compute(*args, **more)

    monkeypatch.setattr(Runner, "views", meanwhile)
    assert run(*command, tmp_path / "d.npz").exit_code == 0
    for result in found:
        assert result.exit_code == 2
        assert "another process is writing" in result.stderr
    assert len(found) == 3
    assert run(*command, tmp_path / "alone.npz").exit_code == 0
    assert (tmp_path / "d.npz").read_bytes() == (tmp_path / "alone.npz").read_bytes()


@pytest.mark.parametrize("suffix", ["jsonl", "npz", "pkl"])
def test_notes_go_with_their_video(
    suffix: str, run: Run, tiny: str, listed: Path, tmp_path: Path
) -> None:
    """b.mp4 is shorter than a clip."""
    (listed / "list.txt").write_text("b.mp4 1\nsub/c.mp4 2\n")
    dump = tmp_path / f"d.{suffix}"
    result = run("eval", "--list", listed / "list.txt", "--model", tiny, "--dump", dump)
    assert result.exit_code == 0, result.output
    first, second = read_dump(dump)
    assert any("fewer than one clip" in note for note in first.notes)
    assert "notes                2 videos with notes" in result.stdout
    assert any("50 frames per second" in note for note in second.notes)
    again = run("eval", "--from-dump", dump, "--model", tiny, "--format", "json")
    assert json.loads(again.stdout)["noted"] == 2


def test_dumps_of_one_name_and_two_kinds_do_not_meet(
    run: Run, tiny: str, listed: Path, tmp_path: Path
) -> None:
    (listed / "list.txt").write_text("b.mp4 1\nsub/c.mp4 2\n")
    command = ("eval", "--list", listed / "list.txt", "--model", tiny, "--limit", 1)
    assert run(*command, "--dump", tmp_path / "s.npz").exit_code == 0
    assert run(*command, "--dump", tmp_path / "s.jsonl", "--views", "1x1").exit_code == 0
    mixed = run(*command, "--dump", tmp_path / "s.npz", "--views", "1x1", "--resume")
    assert mixed.exit_code == 2
    assert "--views was 2x3, now 1x1" in mixed.stderr
    again = run("eval", "--from-dump", tmp_path / "s.npz")
    assert "tiny" in again.stdout
    assert "2x3 views" in again.stdout


def test_a_shard_may_be_empty(run: Run, tiny: str, listed: Path) -> None:
    (listed / "list.txt").write_text("b.mp4 1\nsub/c.mp4 2\n")
    result = run("eval", "--list", listed / "list.txt", "--model", tiny, "--shard", "3/3")
    assert result.exit_code == 0
    assert "nan" not in result.stdout
    assert "no videos" in result.stdout


def test_dumps_of_too_few_classes_are_told(
    run: Run, tiny: str, listed: Path, tmp_path: Path
) -> None:
    (listed / "list.txt").write_text("b.mp4 1\nsub/c.mp4 2\n")
    dump = tmp_path / "d.jsonl"
    command = ("eval", "--list", listed / "list.txt", "--model", tiny, "--views", "1x1")
    assert run(*command, "--dump", dump).exit_code == 0
    assert run("eval", "--from-dump", dump).exit_code == 0
    result = run("eval", "--from-dump", dump, "--topk", "6")
    assert result.exit_code == 2
    assert "top-6 cannot be computed: the dump stores only the top 5 of each" in result.stderr


def test_a_list_in_another_order_is_warned_of(run: Run, tmp_path: Path) -> None:
    scores = np.full((400, 400), 0.001, dtype=np.float32)
    scores[np.arange(400), np.arange(400)] = 0.9
    arrays = {"paths": np.array([f"{n}.mp4" for n in range(400)]), "scores": scores}
    right, wrong = tmp_path / "right.npz", tmp_path / "wrong.npz"
    np.savez(right, allow_pickle=False, labels=np.arange(400), **arrays)
    np.savez(wrong, allow_pickle=False, labels=(np.arange(400) + 1) % 400, **arrays)
    options = ("--model", "swin-tiny-k400", "--format", "json")
    assert run("eval", "--from-dump", right, *options).stderr == ""
    result = run("eval", "--from-dump", wrong, *options)
    assert result.exit_code == 0
    assert "warning: top-1 is no better than guessing one of 400 classes" in result.stderr
    assert summary(result)["warnings"]


# --- sixty videos, whatever the number of processes and restarts ----------------------------------


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sixty.write_videos(tmp_path_factory.mktemp("sixty"))


@pytest.fixture(scope="module")
def undisturbed(videos: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the dump and the output of one process without pauses."""
    folder = tmp_path_factory.mktemp("undisturbed")
    done = sixty.run(line(videos, tiny, folder), folder, threads=4)
    assert done.returncode == 3, done.stderr
    (folder / "summary.json").write_text(done.stdout)
    return folder


def options(videos: Path, tiny: str, folder: Path) -> tuple[object, ...]:
    source = ("--list", videos / "list.txt", "--model", tiny, "--workers", 2)
    return ("eval", *source, "--dump", folder / "d.npz", "--format", "json", "--batch-size", 4)


def line(videos: Path, tiny: str, folder: Path, *more: object) -> list[str]:
    return sixty.command(*options(videos, tiny, folder), *more)


def check_same(folder: Path, undisturbed: Path, stdout: str) -> None:
    expected = json.loads((undisturbed / "summary.json").read_text())
    found = json.loads(stdout)
    assert found.keys() == expected.keys()
    for key in expected.keys() - {"timing"}:
        assert found[key] == expected[key], key
    for name in ("d.npz", "d.npz.meta.json", "d.npz.failed.jsonl"):
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), name
    beside = {"d.npz.meta.json", "d.npz.failed.jsonl"}
    assert {path.name for path in folder.iterdir()} <= {"d.npz", *beside}


def test_broken_videos_are_rows(undisturbed: Path) -> None:
    with np.load(undisturbed / "d.npz") as arrays:
        assert arrays["paths"].tolist() == list(sixty.NAMES)
        failed = np.isnan(arrays["scores"]).any(axis=1)
        assert np.flatnonzero(failed).tolist() == list(sixty.BROKEN)
        assert np.allclose(arrays["scores"][~failed].sum(axis=1), 1, atol=1e-5)
    rows = (undisturbed / "d.npz.failed.jsonl").read_text().splitlines()
    assert [json.loads(row)["path"] for row in rows] == [sixty.NAMES[n] for n in sixty.BROKEN]


# Slurm starts two in the default run.
@pytest.mark.slow
def test_three_processes(videos: Path, tiny: str, undisturbed: Path, tmp_path: Path) -> None:
    done = sixty.run(sixty.torchrun(3, *options(videos, tiny, tmp_path)), tmp_path)
    # torchrun's own exit code is 1 whatever its processes' were.
    assert done.returncode == 1, done.stderr
    assert "exitcode  : 3" in done.stderr
    assert done.stderr.count("60 of 60 videos found") == 1
    check_same(tmp_path, undisturbed, done.stdout)


def test_two_tasks_of_slurm(videos: Path, tiny: str, undisturbed: Path, tmp_path: Path) -> None:
    """As srun starts them: no torchrun, only Slurm's variables."""
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost"}
    step["SLURM_JOB_ID"] = str(os.getpid())  # the port follows from it
    tasks = [
        subprocess.Popen(
            line(videos, tiny, tmp_path),
            env=sixty.environment(tmp_path, 1) | step | {"SLURM_PROCID": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    (first, first_errors), (second, second_errors) = (
        task.communicate(timeout=120) for task in tasks
    )
    assert [task.returncode for task in tasks] == [3, 0], (first_errors, second_errors)
    assert second == ""
    check_same(tmp_path, undisturbed, first)


def test_two_tasks_that_would_decide_differently(
    run: Run, listed: Path, tiny: str, tmp_path: Path
) -> None:
    """The first one's machine is fast with bf16."""
    step = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost"}
    step["SLURM_JOB_ID"] = str(os.getpid() + 10_000)  # the port follows from it
    dump = tmp_path / "d.npz"
    command = ("eval", "--list", listed / "list.txt", "--model", tiny, "--dump", dump)
    homes = [make_home(tmp_path / name, bf16=bf16) for name, bf16 in (("a", 9.0), ("b", 1.0))]
    tasks = [
        subprocess.Popen(
            sixty.command(*command, "--precision", "auto"),
            env=sixty.environment(tmp_path, 1)
            | step
            | {"SLURM_PROCID": str(rank), "VIDEOSWIN_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, home in enumerate(homes)
    ]
    told = [task.communicate(timeout=120)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [3, 0], told
    assert "computing on cpu in bf16: --precision fp32 for the exact scores" in told[0]
    assert "computing" not in told[1]
    assert json.loads((tmp_path / "d.npz.meta.json").read_text())["precision"] == "bf16"
    again = run(*command, "--precision", "auto", "--resume")  # here it would be fp32
    assert again.exit_code == 3, again.output
    assert "computing on cpu in bf16: as the output was begun" in again.stderr
    other = run(*command, "--resume")
    assert other.exit_code == 2
    assert "--precision was bf16, now fp32" in other.stderr


def test_dumps_of_different_precisions_are_warned_of(
    run: Run, listed: Path, tiny: str, tmp_path: Path
) -> None:
    dumps = []
    for shard, precision in enumerate(("fp32", "bf16"), start=1):
        dumps.append(tmp_path / f"{shard}.npz")
        more = ("--shard", f"{shard}/2", "--dump", dumps[-1], "--precision", precision)
        run("eval", "--list", listed / "list.txt", "--model", tiny, *more)
    merged = run("eval", "--from-dump", *dumps, "--model", tiny)
    assert "warning: the dumps are of different precisions: bf16, fp32" in merged.stderr
    assert "different weights" not in merged.stderr
    (meta,) = tmp_path.glob("2.npz.meta.json")
    said = json.loads(meta.read_text())
    meta.write_text(json.dumps(said | {"weights_sha256": "0123456789abcdef", "weights_set": "ema"}))
    mixed = run("eval", "--from-dump", *dumps, "--model", tiny)
    assert mixed.exit_code == merged.exit_code
    told = (
        f"the dumps are of different weights ({dumps[0]}: tiny, sha256 "
        f"{said['weights_sha256'][:8]}; {dumps[1]}: tiny, sha256 01234567, set ema)"
    )
    assert told in " ".join(mixed.stderr.split())


# As two tasks of Slurm, which are in the default run, but by hand.
@pytest.mark.slow
def test_two_shards(videos: Path, tiny: str, undisturbed: Path, tmp_path: Path) -> None:
    expected = json.loads((undisturbed / "summary.json").read_text())
    dumps = []
    for shard in (1, 2):
        (tmp_path / str(shard)).mkdir()
        part = line(videos, tiny, tmp_path / str(shard), "--shard", f"{shard}/2")
        done = sixty.run(part, tmp_path)
        assert json.loads(done.stdout)["listed"] == 30
        dumps.append(tmp_path / str(shard) / "d.npz")
    again = sixty.command("eval", "--from-dump", *dumps, "--model", tiny, "--format", "json")
    merged = sixty.run(again, tmp_path)
    assert merged.returncode == 3, merged.stderr
    found = json.loads(merged.stdout)
    for key in ("accuracy", "mean_class_accuracy", "listed", "failed", "decoders", "difference"):
        assert found[key] == expected[key], key


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes to kill in /proc")
# Three processes and a kill are tested apart by default; together they take half a minute.
@pytest.mark.parametrize("processes", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_killed_and_resumed(
    processes: int, videos: Path, tiny: str, undisturbed: Path, tmp_path: Path
) -> None:
    start = options(videos, tiny, tmp_path)
    killed = sixty.command(*start) if processes == 1 else sixty.torchrun(3, *start)
    sixty.kill_after(killed, tmp_path / "d.npz.part", tmp_path, lines=12)
    assert not (tmp_path / "d.npz").exists()
    parts = (tmp_path / "d.npz.part").glob("*.jsonl")
    kept = [json.loads(row) for file in parts for row in file.read_bytes().split(b"\n")[:-1]]
    good = sum(row["error"] is None for row in kept)
    assert len(kept) >= 12
    done = sixty.run(line(videos, tiny, tmp_path, "--resume"), tmp_path)
    assert done.returncode == 3, done.stderr
    assert f"{good} of 60 videos were done before" in done.stderr
    assert json.loads(done.stdout)["timing"]["videos"] == 60 - good
    check_same(tmp_path, undisturbed, done.stdout)
