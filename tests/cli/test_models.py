import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import Result

from videoswin_cli.cli.models import models
from videoswin_cli.model.catalog import model_names

Run = Callable[..., Result]


def test_the_table_is_complete_and_plain_where_it_is_piped(run: Run) -> None:
    header, *rows = run("models").stdout.splitlines()
    assert header.split()[:3] == ["model", "dataset", "classes"]
    assert sorted(row.split()[0] for row in rows) == model_names()
    tiny = next(row for row in rows if row.startswith("swin-tiny-k400 "))
    assert tiny.split()[1:7] == ["k400", "400", "28.2M", "88", "78.8", "93.6"]
    assert "4x3" in tiny
    assert "image weights" in next(row for row in rows if row.startswith("swin-tiny-in1k"))


def test_the_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr(sys, "stdout", screen := Terminal())
    models(name=None, dataset="ssv2", format="table")
    assert "swin-base-ssv2" in screen.getvalue()
    assert "69.6" in screen.getvalue()


@pytest.mark.parametrize("name", ["k710", "K710", "kinetics710"])
def test_one_data_set(name: str, run: Run) -> None:
    _, *rows = run("models", "--dataset", name).stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["swin-small-k710-mmaction2"]
    assert "50.1M" in rows[0]  # counted: upstream's table repeats the figures of Swin-L


def test_an_unknown_data_set(run: Run) -> None:
    result = run("models", "--dataset", "imagenet")
    assert result.exit_code == 2
    assert "kinetics400" in result.stderr


def test_json(run: Run) -> None:
    rows = json.loads(run("models", "--format", "json").stdout)
    assert sorted(row["name"] for row in rows) == model_names()
    assert [row["name"] for row in rows if row["cached"]] == ["camera-motion"], "it is bundled"


def test_cached_models_are_marked(run: Run, tmp_path: Path) -> None:
    name = "swin_tiny_patch244_window877_kinetics400_1k.pth"
    (tmp_path / "own/checkpoints").mkdir(parents=True)
    (tmp_path / "own/checkpoints" / name).touch()
    cached = [row for row in run("models").stdout.splitlines() if row.endswith("yes")]
    assert [row.split()[0] for row in cached] == ["swin-tiny-k400"]


def test_one_model_shows_everything(run: Run) -> None:
    page = run("models", "swin-base-ssv2").stdout
    for text in ("Apache-2.0", "SwinTransformer/Video-Swin-Transformer", "sthv2", "uniform"):
        assert text in page
    for text in ("16, 7, 7", "69.6", "recipe_drop_path_rate", "0.4", "https://github.com/"):
        assert text in page
    facts = json.loads(run("models", "swin-base-ssv2", "--format", "json").stdout)
    assert facts["labels"] == "sthv2.txt"
    assert facts["window_size"] == [16, 7, 7]


def test_an_unknown_model(run: Run) -> None:
    result = run("models", "swin-base-sv2")
    assert result.exit_code == 2
    assert "swin-base-ssv2" in result.stderr
