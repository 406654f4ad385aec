"""`videoswin timeline` from outside."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from make_video import write_video
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    (folder / "sub").mkdir()
    write_video(folder / "a.mp4", frames=40)
    write_video(folder / "sub" / "b.mp4", frames=12, seed=1)
    (folder / "bad.mp4").write_text("no video")
    return folder


def test_a_table_of_a_folder(run: Run, videos: Path, tiny: str) -> None:
    done = run("timeline", videos, "-m", tiny, "--threshold", 0, "-q", "-j", 0)
    assert done.exit_code == 3
    lines = done.stdout.splitlines()
    assert lines[0] == f"{videos}/a.mp4  (1.56 s, tiny, windows of 0.32 s every 0.16 s)"
    assert lines[1].startswith("  00:00:00.00  00:00:01.")
    assert any("failed: not a readable video" in line for line in lines)


def test_one_process_decodes_beside_the_network(run: Run, videos: Path, tiny: str) -> None:
    here = run("timeline", videos / "a.mp4", "-m", tiny, "--threshold", 0, "-q", "-j", 0)
    beside = run("timeline", videos / "a.mp4", "-m", tiny, "--threshold", 0, "-q")
    assert beside.stdout == here.stdout


def test_windows_are_json_lines_unless_another_format_is_asked_for(
    run: Run, videos: Path, tiny: str
) -> None:
    line = ("timeline", videos / "a.mp4", "--model", tiny, "--windows", "-q", "-j", 0)
    assert all("top" in json.loads(row) for row in run(*line).stdout.splitlines())
    refused = run(*line, "--format", "csv")
    assert refused.exit_code == 2
    assert "--windows does not fit --format csv" in refused.stderr


def test_raw_windows(run: Run, videos: Path, tiny: str) -> None:
    args = ("-f", "jsonl", "--windows", "--topk", 2, "--stride", "8f", "-q", "-j", 0)
    done = run("timeline", videos / "a.mp4", videos / "bad.mp4", "-m", tiny, *args)
    *windows, failed = map(json.loads, done.stdout.splitlines())
    assert [window["start"] for window in windows] == [0, 0.32, 0.64, 0.96, 1.28]
    assert all(len(window["top"]) == 2 for window in windows)
    assert failed["path"].endswith("bad.mp4")
    assert "not a readable video" in failed["error"]


def test_a_folder_has_a_file_per_video_and_an_index(
    run: Run, videos: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(videos)
    args = ("-m", tiny, "-f", "vtt", "--out", "out", "--threshold", 0, "-q", "-j", 0)
    done = run("timeline", "a.mp4", "bad.mp4", "sub/b.mp4", *args)
    assert done.exit_code == 3
    assert done.stdout == ""
    out = videos / "out"
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    assert files == ["a.vtt", "index.csv", "sub/b.vtt"]
    assert (out / "a.vtt").read_text().startswith("WEBVTT\n\n00:00:00.000 --> ")
    rows = list(csv.reader((out / "index.csv").read_text().splitlines()))
    assert rows[0] == ["path", "file", "segments", "error"]
    assert [row[:2] for row in rows[1:]] == [
        *(["a.mp4", "a.vtt"], ["bad.mp4", ""], ["sub/b.mp4", "sub/b.vtt"]),
    ]


def test_two_videos_do_not_share_a_file(run: Run, videos: Path, tiny: str) -> None:
    other = write_video(videos / "a.mkv", frames=12)
    done = run("timeline", videos / "a.mp4", other, "-m", tiny, "-f", "srt", "--out", "dir/")
    other.unlink()
    assert done.exit_code == 2
    assert "would both be written to" in done.stderr


def test_two_shards_write_one_file(run: Run, videos: Path, tiny: str) -> None:
    args = ("timeline", videos / "a.mp4", videos / "sub/b.mp4", "-m", tiny, "-j", 0)
    run(*args, "--out", "whole.csv")
    first = run(*args, "--out", "out.csv", "--shard", "1/2")
    assert "1 of 2 videos done; waiting for the other shards" in first.stderr
    assert not Path("out.csv").exists()
    run(*args, "--out", "out.csv", "--shard", "2/2")
    assert Path("out.csv").read_text() == Path("whole.csv").read_text()


def test_resume_needs_a_file(run: Run, videos: Path, tiny: str) -> None:
    done = run("timeline", videos / "a.mp4", "-m", tiny, "--resume")
    assert done.exit_code == 2
    assert "--resume needs --out" in done.stderr


def test_an_input_is_never_written_over(run: Run, videos: Path, tiny: str) -> None:
    done = run("timeline", videos / "a.mp4", "-m", tiny, "-f", "srt", "--out", videos / "a.mp4")
    assert done.exit_code == 2
    assert "it is an input" in done.stderr


def test_labels_of_a_list_are_not_needed(run: Run, videos: Path, tiny: str) -> None:
    """Parts of a list have the times of their video."""
    lines = "path,start,end\na.mp4,0.4,0.8\na.mp4,0.8,1.2\n"
    (videos / "list.csv").write_text(lines)
    args = ("--list", videos / "list.csv", "-m", tiny, "-f", "activitynet", "--threshold", 0)
    done = run("timeline", *args, "--min-duration", 0, "-q", "-j", 0)
    found = json.loads(done.stdout)["results"]["a.mp4"]
    assert min(each["segment"][0] for each in found) == 0.4
    assert max(each["segment"][1] for each in found) == pytest.approx(1.2, abs=0.05)
