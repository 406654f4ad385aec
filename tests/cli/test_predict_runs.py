"""Long runs of predict: lists, shards, resume, formats by suffix, another frame rate."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from make_video import write_video
from typer.testing import Result

from videoswin_cli.engine.runner import Runner

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(4):
        write_video(folder / f"{number}.mp4", frames=12, seed=number)
    (folder / "list.txt").write_text("".join(f"{number} {number}\n" for number in range(4)))
    return folder


def rows_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_list_is_predicted_as_its_files_are(run: Run, tiny: str, folder: Path) -> None:
    more = ("--model", tiny, "--format", "jsonl")
    listed = run("predict", "--list", folder / "list.txt", *more)
    assert listed.exit_code == 0, listed.output
    assert "4 of 4 videos found" in listed.stderr
    rows = rows_of(listed.stdout)
    assert [row["path"] for row in rows] == [f"{number}.mp4" for number in range(4)]
    named = rows_of(run("predict", folder, *more).stdout)
    assert [row["top"] for row in rows] == [row["top"] for row in named]
    two = run("predict", "--list", folder / "list.txt", *more, "--limit", 2)
    assert rows_of(two.stdout) == rows[:2]


def test_a_list_and_inputs_are_two_sources(run: Run, tiny: str, folder: Path) -> None:
    both = run("predict", folder, "--list", folder / "list.txt", "--model", tiny)
    assert both.exit_code == 2
    assert "expected one source of videos" in both.stderr
    root = run("predict", folder, "--root", folder, "--model", tiny)
    assert "--root needs --list" in root.stderr


def test_shards_of_one_file_join(run: Run, tiny: str, folder: Path, tmp_path: Path) -> None:
    command = ("predict", folder, "--model", tiny, "--out")
    assert run(*command, tmp_path / "whole.jsonl").exit_code == 0
    first = run(*command, tmp_path / "parts.jsonl", "--shard", "1/2")
    assert first.exit_code == 0
    assert "2 of 4 videos done; waiting for the other shards" in first.stderr
    assert not (tmp_path / "parts.jsonl").exists()
    second = run(*command, tmp_path / "parts.jsonl", "--shard", "2/2")
    assert "waiting" not in second.stderr
    assert (tmp_path / "parts.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not (tmp_path / "parts.jsonl.part").exists()


def test_a_shard_on_stdout_is_its_part(run: Run, tiny: str, folder: Path) -> None:
    more = ("--model", tiny, "--format", "jsonl", "--shard", "2/3")
    assert [Path(row["path"]).name for row in rows_of(run("predict", folder, *more).stdout)] == [
        "1.mp4"
    ]


class StopError(Exception):
    pass


# Seven commands; the other format differs in how its file is read only.
@pytest.mark.parametrize("suffix", ["jsonl", pytest.param("json", marks=pytest.mark.slow)])
def test_an_interrupted_run_is_resumed(
    suffix: str, run: Run, tiny: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("predict", folder, "--model", tiny, "--out")
    assert run(*command, tmp_path / f"whole.{suffix}").exit_code == 0
    forward = Runner.forward

    def stop(self: Runner, videos: Any, compute: Any = None, **more: Any) -> Iterator[Any]:
        found = forward(self, videos, compute, **more)
        yield next(found)
        yield next(found)
        raise StopError

    out = tmp_path / f"out.{suffix}"
    with monkeypatch.context() as patch:
        patch.setattr(Runner, "forward", stop)
        assert isinstance(run(*command, out).exception, StopError)
    assert not out.exists()
    resumed = run(*command, out, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "2 of 4 videos were done before: skipped" in resumed.stderr
    assert out.read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()
    again = run(*command, out, "--resume")
    assert "4 of 4 videos were done before: skipped" in again.stderr
    assert out.read_bytes() == (tmp_path / f"whole.{suffix}").read_bytes()
    other = run(*command, out, "--resume", "--views", "2x1")
    assert other.exit_code == 2
    assert "belongs to a different run: --views was 1x1, now 2x1" in other.stderr
    assert run(*command, out, "--views", "2x1").exit_code == 0  # without --resume it starts over
    assert not Path(f"{out}.meta.json").exists()


def test_an_interrupted_list_is_not_printed_as_if_it_were_whole(
    run: Run, tiny: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Runner.forward

    def interrupt(self: Runner, videos: Any, compute: Any = None, **more: Any) -> Iterator[Any]:
        yield next(forward(self, videos, compute, **more))
        raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "forward", interrupt)
    stopped = run("predict", folder, "--model", tiny, "--format", "json")
    assert (stopped.exit_code, stopped.stdout) == (130, "")
    lines = run("predict", folder, "--model", tiny, "--format", "jsonl").stdout
    assert len(rows_of(lines)) == 1  # each line is whole


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--resume",), "--resume needs --out FILE"),
        (("--resume", "--out", "a.csv"), "--resume cannot read a.csv again"),
        (("--out", "a.xml"), "--out a.xml: unknown suffix '.xml'"),
        (("--out", "a.csv", "--format", "json"), "--format json does not fit --out a.csv"),
        (("--out", "a.csv", "--logits"), "--logits does not fit --format csv"),
    ],
)
def test_what_does_not_go_together(
    more: tuple[str, ...], message: str, run: Run, tiny: str, folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    result = run("predict", folder, "--model", tiny, *more)
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert message in result.stderr


@pytest.mark.parametrize(
    ("name", "begin"), [("a.csv", "path,model"), ("a.json", "[{"), ("a.jsonl", "{"), ("a.txt", "")]
)
def test_the_suffix_says_the_format(
    name: str, begin: str, run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / name
    assert run("predict", folder / "0.mp4", "--model", tiny, "-o", out).exit_code == 0
    text = out.read_text()
    assert text.startswith(begin or str(folder))
    assert run("predict", folder / "0.mp4", "-m", tiny, "-f", "csv").stdout.startswith("path,model")


def test_another_frame_rate_is_as_if_the_video_had_it(
    run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    """Of 25 frames per second half are left: clips cover twice the time, and outputs say so."""
    more = ("--model", tiny, "--format", "json")
    (plain,) = json.loads(run("predict", folder / "0.mp4", *more).stdout)
    (half,) = json.loads(run("predict", folder / "0.mp4", *more, "--fps", "12.5").stdout)
    assert (plain["frame_rate"], half["frame_rate"], half["fps"]) == (None, 12.5, 25.0)
    assert plain["top"] != half["top"]
    features = ("extract", folder / "0.mp4", "--model", tiny, "--fps", "12.5")
    assert run(*features, "--out", tmp_path / "f.npy").exit_code == 0
    meta = json.loads((tmp_path / "f.meta.json").read_text())
    assert meta["protocol"]["frame_rate"] == 12.5
    other = run("extract", folder / "0.mp4", "--model", tiny, "--out", tmp_path / "f.npy")
    assert other.exit_code == 2
    assert "belongs to a different run" in other.stderr
    assert "protocol" in other.stderr


@pytest.mark.parametrize("url", ["ftp://host/a.mp4", "rtsp://host/a"])
def test_schemes_that_are_not_read_are_named(url: str, run: Run, tiny: str) -> None:
    result = run("predict", url, "--model", tiny)
    assert result.exit_code == 2
    assert f"{url.partition(':')[0]}:// cannot be read" in result.stderr
    assert "addresses that can: http://, https://" in result.stderr


def test_an_input_that_is_named_twice_is_noticed(run: Run, tiny: str, folder: Path) -> None:
    result = run("predict", folder / "0.mp4", folder / "0.mp4", "--model", tiny, "-f", "jsonl")
    assert len(rows_of(result.stdout)) == 1
    assert "1 path named again: each is read once" in result.stderr


def test_quiet_prints_errors_alone_and_verbose_more(run: Run, tiny: str, folder: Path) -> None:
    (folder / "bad.mp4x").write_text("no video")
    command = ("predict", folder / "0.mp4", "--model", tiny)
    assert run(*command, "-q").stderr == ""
    assert "error: " in run("predict", "no.mp4", "-q").stderr
    assert "videos/s" in run(*command, "-v").stderr
    assert "videos/s" not in run(*command).stderr
