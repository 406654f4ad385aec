"""`videoswin bench`: the numbers are of what was asked for, and add up."""

import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from make_video import write_video
from typer.testing import Result

from videoswin_cli.cli.bench import bench
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.options.run import ModelOptions
from videoswin_cli.tasks.bench.bench import count_gmacs

Run = Callable[..., Result]


def test_times_add_up(run: Run, tiny: str, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=40)
    args = (
        "bench",
        tmp_path / "a.mp4",
        "--model",
        tiny,
        "--views",
        "2x3",
        "--videos",
        3,
        "--format",
        "json",
    )
    result = run(*args)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["views"], found["videos"], found["workers"]) == ("2x3", 3, 0)
    assert (found["precision"], found["device"]) == ("fp32", "cpu")
    parts = [found[f"{name}_seconds"] for name in ("decode", "preprocess", "model")]
    assert min(parts) > 0
    assert sum(parts) <= found["seconds"]
    assert found["videos_per_second"] == pytest.approx(1 / found["seconds"])
    assert found["views_per_second"] == pytest.approx(6 / found["model_seconds"])
    flops = 2 * found["gmacs_per_view"] * found["views_per_second"]
    assert found["fraction_of_peak_matmul"] == pytest.approx(flops / found["matmul_gflops"])
    assert found["ratio"] is None


def test_a_table_and_a_video_of_its_own(run: Run, tiny: str) -> None:
    result = run("bench", "--model", tiny, "--videos", 1, "--workers", 1)
    assert result.exit_code == 0, result.output
    names = [line.split("  ")[0] for line in result.stdout.splitlines()]
    assert names == ["model", "runs", "decode", "preprocess", "network", "network alone",
                     "everything", "arithmetic", "memory"]  # fmt: skip
    assert "1 decoding processes" in result.stdout


def test_the_table_on_a_terminal(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", screen := Terminal())
    bench(model=ModelOptions(model=tiny), videos=1)
    lines = screen.getvalue().splitlines()
    assert len(lines) == 9
    assert "\x1b[1m" in lines[0]
    assert "large matrix product here" in lines[7]


@pytest.mark.parametrize("name", ["swin-tiny-k400", "swin-base-ssv2"])
def test_multiply_adds_are_those_of_the_catalog(name: str) -> None:
    spec = load_spec(name)
    assert count_gmacs(spec) == pytest.approx(spec.publication.gmacs_per_view, rel=0.005)


def test_what_cannot_be_measured(
    run: Run, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "none.mp4 is not there" in run("bench", tmp_path / "none.mp4").stderr
    assert "is not a file" in run("bench", tmp_path).stderr
    (tmp_path / "text.mp4").write_text("no video")
    broken = run("bench", tmp_path / "text.mp4", "--model", tiny)
    assert broken.exit_code == 3
    assert "not a readable video" in broken.stderr
    other = run("bench", "--model", tiny, "--against", "torchvision")
    assert other.exit_code == 2
    assert "torchvision has no network of embed_dim 8" in other.stderr
    monkeypatch.setitem(sys.modules, "torchvision", None)  # as where it is not installed
    absent = run("bench", "--against", "torchvision")
    assert absent.exit_code == 2
    assert "pip install --no-deps" in absent.stderr
