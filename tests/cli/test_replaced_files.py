"""A video that was replaced under its name is computed again; one that was copied is not."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from make_video import write_video
from typer.testing import Result

from videoswin_cli import extract
from videoswin_cli.engine.dumps import read_dump

Run = Callable[..., Result]
CHANGED = "1 file changed since: computed again"
OLD = "3 results have no size and time of their files, as an older version wrote them"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three videos and a list of them."""
    folder = tmp_path / "in"
    folder.mkdir()
    for seed, name in enumerate("abc"):
        write_video(folder / f"{name}.mp4", frames=9, seed=seed)
    (folder / "list.txt").write_text("a.mp4 0\nb.mp4 1\nc.mp4 2\n")
    return folder


def replace(video: Path) -> None:
    """Another video, of which the time is that of the one before."""
    time = video.stat().st_mtime_ns
    before = video.stat().st_size
    write_video(video, frames=30, size=(96, 64), seed=7)
    os.utime(video, ns=(time, time))
    assert video.stat().st_size != before


def touch(video: Path) -> None:
    """Equal bytes of a later time."""
    later = video.stat().st_mtime_ns + 1_000_000_000
    os.utime(video, ns=(later, later))


def copy(video: Path) -> None:
    """Another file of the same bytes, size and time."""
    shutil.copy2(video, video.with_name("copy"))
    video.with_name("copy").replace(video)


def features(out: str, tmp_path: Path) -> list[np.ndarray]:
    if out == "f.npy":
        return list(np.load(tmp_path / out))
    return [np.load(path) for path in sorted((tmp_path / out).rglob("*.npy"))]


@pytest.mark.parametrize("out", ["f.npy", "f/"])
def test_extract_computes_a_replaced_video_again(
    out: str, run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    command = ("extract", folder, "--out", f"{tmp_path}/{out}", "--model", tiny, "--workers", 0)
    assert run(*command).exit_code == 0
    before = features(out, tmp_path)

    copy(folder / "a.mp4")
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "3 of 3 videos were done before: skipped" in result.stderr
    assert "changed since" not in result.stderr

    replace(folder / "b.mp4")
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert CHANGED in result.stderr
    assert "2 of 3 videos were done before: skipped" in result.stderr
    found, expected = features(out, tmp_path), extract(folder, model=tiny, workers=0).features
    for row, (one, fresh, old) in enumerate(zip(found, expected, before, strict=True)):
        assert np.array_equal(one.ravel(), fresh)
        assert np.array_equal(one, old) == (row != 1)

    touch(folder / "c.mp4")
    assert CHANGED in run(*command).stderr
    again = run(*command)
    assert "3 of 3 videos were done before: skipped" in again.stderr
    assert "changed since" not in again.stderr


@pytest.mark.parametrize(("out", "index"), [("f.npy", "f.index.csv"), ("f/", "f/index.csv")])
def test_features_of_an_older_version_are_taken(
    out: str, index: str, run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    command = ("extract", folder, "--out", f"{tmp_path}/{out}", "--model", tiny, "--workers", 0)
    assert run(*command).exit_code == 0
    with (tmp_path / index).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with (tmp_path / index).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [name for name in rows[0] if name != "file_stamp"],
                                extrasaction="ignore")  # fmt: skip
        writer.writeheader()
        writer.writerows(rows)
    replace(folder / "b.mp4")  # nobody can know
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert OLD in result.stderr
    assert "3 of 3 videos were done before: skipped" in result.stderr


@pytest.mark.parametrize("suffix", ["jsonl", "npz"])
def test_eval_scores_a_replaced_video_again(
    suffix: str, run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    dump, fresh = tmp_path / f"d.{suffix}", tmp_path / f"fresh.{suffix}"
    line = ("eval", "--list", folder / "list.txt", "--model", tiny, "--workers", 0, "--views",
            "1x1", "--format", "json", "--dump")  # fmt: skip
    assert run(*line, dump).exit_code == 0
    before = read_dump(dump)

    copy(folder / "a.mp4")
    result = run(*line, dump, "--resume")
    assert result.exit_code == 0, result.output
    assert "3 of 3 videos were done before" in result.stderr
    assert "changed since" not in result.stderr

    replace(folder / "b.mp4")
    result = run(*line, dump, "--resume")
    assert result.exit_code == 0, result.output
    assert CHANGED in result.stderr
    assert "2 of 3 videos were done before" in result.stderr
    assert json.loads(result.stdout)["timing"]["videos"] == 1
    assert run(*line, fresh).exit_code == 0
    assert dump.read_bytes() == fresh.read_bytes()
    same = [
        old.top_probs == new.top_probs for old, new in zip(before, read_dump(dump), strict=True)
    ]
    assert same == [True, False, True]


@pytest.mark.parametrize("suffix", ["jsonl", "npz"])
def test_scores_of_an_older_version_are_taken(
    suffix: str, run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    dump = tmp_path / f"d.{suffix}"
    line = ("eval", "--list", folder / "list.txt", "--model", tiny, "--workers", 0, "--views",
            "1x1", "--dump", dump)  # fmt: skip
    assert run(*line).exit_code == 0
    if suffix == "npz":
        arrays = dict(np.load(dump))
        del arrays["file_stamps"]
        np.savez(dump, **arrays)
    else:
        rows = [json.loads(row) for row in dump.read_text(encoding="utf-8").splitlines()]
        for row in rows:
            del row["file_stamp"]
        dump.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    replace(folder / "b.mp4")
    result = run(*line, "--resume")
    assert result.exit_code == 0, result.output
    assert OLD in result.stderr
    assert "3 of 3 videos were done before" in result.stderr
