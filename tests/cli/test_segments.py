"""Rows of a list that name parts of a video, in eval, extract and finetune."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from make_video import write_video
from typer.testing import Result

from videoswin_cli import predict

Run = Callable[..., Result]


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Two segments of one video of 4 s, and the trimmed clip of another one."""
    (tmp_path / "v").mkdir()
    write_video(tmp_path / "v" / "long.mp4", frames=100)
    write_video(tmp_path / "v" / "cut_000001_000002.mp4", frames=25, seed=1)
    path = tmp_path / "v" / "list.csv"
    path.write_text(
        "label,youtube_id,time_start,time_end\n3,long,0,1.2\n0,long,2,3\n1,cut,1,2\n0,long,9,11\n"
    )
    return path


def test_eval_scores_each_segment(run: Run, tiny: str, listed: Path, tmp_path: Path) -> None:
    dump = tmp_path / "d.jsonl"
    result = run("eval", "--list", listed, "--model", tiny, "--dump", dump, "--views", "1x1")
    assert result.exit_code == 3, result.output
    rows = {row["path"]: row for row in map(json.loads, dump.read_text().splitlines())}
    assert list(rows) == [
        "long.mp4#t=0,1.2",
        "long.mp4#t=2,3",
        "cut_000001_000002.mp4",
        "long.mp4#t=9,11",
    ]
    for key, start, end in (("long.mp4#t=0,1.2", 0, 1.2), ("long.mp4#t=2,3", 2, 3)):
        (answer,) = predict(listed.parent / "long.mp4", model=tiny, start=start, end=end)
        expected = [score.prob for score in answer.top]
        assert [entry["prob"] for entry in rows[key]["top"]] == pytest.approx(expected, abs=1e-6)
    assert rows["long.mp4#t=0,1.2"]["top"] != rows["long.mp4#t=2,3"]["top"]
    assert "no frame from 9 s to 11 s" in rows["long.mp4#t=9,11"]["error"]


def test_extract_slides_windows_over_each_segment(
    run: Run, tiny: str, listed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.npy"
    result = run("extract", "--list", listed, "--out", out, "--model", tiny, "--per", "window")
    assert result.exit_code == 3, result.output
    with (tmp_path / "f.index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    spans = {row["path"]: (float(row["start"]), float(row["end"])) for row in rows if row["start"]}
    assert spans["long.mp4#t=2,3"][1] == pytest.approx(3.0)
    starts = [float(row["start"]) for row in rows if row["path"] == "long.mp4#t=2,3"]
    assert starts[0] == 2.0
    first = [float(row["end"]) for row in rows if row["path"] == "long.mp4#t=0,1.2"]
    assert max(first) == pytest.approx(1.2)
    features = np.load(out)
    assert np.isnan(features[[row["status"] != "ok" for row in rows]]).all()
    assert len(features) == len(rows)


def test_extract_writes_a_file_for_each_segment(
    run: Run, tiny: str, listed: Path, tmp_path: Path
) -> None:
    result = run("extract", "--list", listed, "--out", f"{tmp_path}/f/", "--model", tiny)
    assert result.exit_code == 3, result.output
    names = {path.name for path in (tmp_path / "f").glob("*.npy")}
    assert names == {"long.mp4#t=0,1.2.npy", "long.mp4#t=2,3.npy", "cut_000001_000002.mp4.npy"}


def test_finetune_learns_from_segments(run: Run, tiny: str, tmp_path: Path) -> None:
    lines = ["path,label,time_start,time_end"]
    for number in range(4):
        write_video(tmp_path / f"{number}.mp4", frames=100, seed=number)
        lines += [f"{number}.mp4,early,0,1.5", f"{number}.mp4,late,2,4"]
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "o"
    result = run("finetune", "--train-list", tmp_path / "train.csv", "--model", tiny, "--out", out,
                 "--epochs", 1, "--workers", 0)  # fmt: skip
    assert result.exit_code == 0, result.output
    with (out / "splits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["path"] for row in rows)[:2] == ["0.mp4#t=0,1.5", "0.mp4#t=2,4"]
    part_of: dict[str, set[str]] = {}
    for row in rows:
        part_of.setdefault(row["path"].split("#")[0], set()).add(row["split"])
    assert {len(parts) for parts in part_of.values()} == {1}, "segments of a video stay together"
