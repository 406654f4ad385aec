"""Dumps of several models as one: `eval --from-dump A B --fuse`, and its interval."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from videoswin_cli.cli.app import app
from videoswin_cli.engine.dumps import write_dump
from videoswin_cli.engine.metrics import ScoredVideo
from videoswin_cli.tasks.evaluate.fusing import fuse_dumps

NAMES = ("a", "b", "c")


def video(path: str, label: int, *scores: float, **more: Any) -> ScoredVideo:
    if not scores:
        return ScoredVideo(path=path, label=label, error="unreadable")
    return ScoredVideo(
        path=path, label=label, top=(0,), top_probs=(0.5,),
        scores=np.array(scores, dtype=np.float32), **more,
    )  # fmt: skip


def dump(path: Path, *videos: ScoredVideo) -> Path:
    write_dump(path, videos, NAMES)
    return path


def run(*args: object) -> Result:
    return CliRunner().invoke(app, ["eval", "--from-dump", *map(str, args)])


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return dump(
        tmp_path / "first.npz",
        video("x.mp4", 0, 0.6, 0.3, 0.1),
        video("y.mp4", 1, 0.6, 0.4, 0.0),
        video("z.mp4", 2, 0.5, 0.4, 0.1),
    )


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """The same videos in another order."""
    return dump(
        tmp_path / "second.npz",
        video("z.mp4", 2, 0.3, 0.1, 0.6),
        video("y.mp4", 1, 0.1, 0.9, 0.0),
        video("x.mp4", 0, 0.4, 0.5, 0.1),
    )


def test_probabilities_are_averaged_by_video(first: Path, second: Path) -> None:
    fused = fuse_dumps([first, second], None, multi_label=False)
    assert [v.path for v in fused] == ["x.mp4", "y.mp4", "z.mp4"]
    assert [v.top[0] for v in fused] == [0, 1, 0]
    assert fused[0].top_probs == pytest.approx((0.5, 0.4, 0.1))


def test_weights_count_the_dumps_in_their_order(first: Path, second: Path) -> None:
    fused = fuse_dumps([first, second], (1, 3), multi_label=False)
    assert fused[2].scores == pytest.approx([0.35, 0.175, 0.475])
    assert fused[2].top == (2, 0, 1)
    alone = fuse_dumps([first, second], (0, 1), multi_label=False)
    assert alone[0].scores == pytest.approx([0.4, 0.5, 0.1])


def test_the_command_states_what_was_averaged(first: Path, second: Path, tmp_path: Path) -> None:
    (tmp_path / "first.npz.meta.json").write_text('{"model": "swin-tiny-k400"}')
    table = run(first, second, "--fuse", "--weights", "1,3")
    assert table.exit_code == 0, table.output
    assert f"mean of 1 x swin-tiny-k400 + 3 x {second}" in table.stdout
    assert table.stdout.startswith("top-1                100.00 %\n")
    assert "warning" not in table.stderr


def test_without_fuse_dumps_are_parts_of_one_run(first: Path, second: Path) -> None:
    assert "disagree about z.mp4" in run(first, second).stderr


def test_a_video_that_failed_for_one_has_failed(first: Path, tmp_path: Path) -> None:
    other = dump(
        tmp_path / "other.npz",
        video("x.mp4", 0),
        video("y.mp4", 1, 0.1, 0.9, 0.0),
        video("z.mp4", 2, 0.0, 0.0, 1.0),
    )
    result = run(first, other, "--fuse", "--format", "json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["failed"] == 1
    (failed, *_) = fuse_dumps([first, other], None, multi_label=False)
    assert (failed.error, failed.top, failed.scores) == ("other.npz: unreadable", (), None)


def test_what_cannot_be_averaged_is_refused(first: Path, tmp_path: Path) -> None:
    x, y = video("x.mp4", 0, 0.6, 0.3, 0.1), video("y.mp4", 1, 0.6, 0.4, 0.0)
    z = video("z.mp4", 2, 0.5, 0.4, 0.1)
    short = dump(tmp_path / "short.npz", x, y)
    longer = dump(tmp_path / "longer.npz", x, y, z, video("w.mp4", 1, 0.6, 0.4, 0.0))
    relabeled = dump(tmp_path / "relabeled.npz", x, y, video("z.mp4", 1, 0.5, 0.4, 0.1))
    lines = dump(tmp_path / "lines.jsonl", x, y, z)
    raw = dump(tmp_path / "raw.npz", x, y, video("z.mp4", 2, 0.9, 0.8, 0.7))
    wide = tmp_path / "wide.npz"
    write_dump(
        wide,
        [video(v.path, v.label, 0.6, 0.3, 0.1, 0.0) for v in (x, y, z)],
        ("a", "b", "c", "d"),
    )
    for other, told in {
        short: f"{first} has 1 video that {short} has not: z.mp4",
        longer: f"{longer} has 1 video that {first} has not: w.mp4",
        relabeled: f"{first} and {relabeled} disagree about the class of 1 video: z.mp4",
        lines: f"{lines} has the likeliest classes only",
        raw: f"{raw}: the scores of z.mp4 are no probabilities: 0.7 to 0.9, sum 2.4",
        wide: "scores of different numbers of classes: [3, 4]",
    }.items():
        result = run(first, other, "--fuse")
        assert result.exit_code == 2
        assert told in result.stderr


def test_options_that_do_not_fit(first: Path, second: Path) -> None:
    for args, told in {
        (first, "--fuse"): "--fuse averages dumps: 1 given, expected two or more",
        (first, second, "--fuse", "--weights", "1"): "--weights has 1 numbers for 2 dumps",
        (first, second, "--weights", "1,2"): "--weights needs --fuse",
        (first, second, "--fuse", "--weights", "0,0"): "expected one above 0",
        (first, second, "--fuse", "--weights", "-1,2"): "expected a number per dump",
    }.items():
        result = run(*args)
        assert result.exit_code == 2
        assert told in result.stderr
    without = CliRunner().invoke(app, ["eval", "--list", str(first), "--fuse"])
    assert "--fuse needs --from-dump" in without.stderr


def test_the_interval_stands_in_table_and_json(first: Path) -> None:
    table = run(first, "--ci")
    assert "top-1 interval" in table.stdout
    assert "percentiles of a bootstrap of 10000 resamples, seed 0" in table.stdout
    said = json.loads(run(first, "--ci", "--format", "json").stdout)["interval"]
    assert said == {"low": 0.0, "high": 100.0, "level": 95.0, "resamples": 10000, "seed": 0}
    assert json.loads(run(first, "--format", "json").stdout)["interval"] is None


def test_an_interval_of_several_classes_per_video_is_refused(tmp_path: Path) -> None:
    several = dump(
        tmp_path / "d.npz",
        video("x.mp4", 0, 0.6, 0.3, 0.1, more_labels=(1,)),
        video("y.mp4", 1, 0.6, 0.4, 0.0),
    )
    result = run(several, "--ci")
    assert result.exit_code == 2
    assert "--ci is of top-1" in result.stderr
    fused = fuse_dumps([several, several], None, multi_label=False)
    assert fused[0].labels == (0, 1)
