"""`videoswin finetune` on made clips: from the bundled model's backbone, and from nothing."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest
from colors import read_state
from typer.testing import Result

from videoswin_cli.synthetic.dataset import make_camera_motion

pytestmark = pytest.mark.slow  # 300 made clips and a thousand steps: minutes

Run = Callable[..., Result]
RECIPE = Path(__file__).parents[2] / "configs/finetune/camera-motion.yaml"
FIVE = ("pan-left", "pan-right", "zoom-in", "zoom-out", "static")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty clips of each of ten classes, as the README's example has them."""
    folder = tmp_path_factory.mktemp("made") / "clips"
    for _ in make_camera_motion(folder, clips_per_class=30, seed=0, notice=print):
        pass
    return folder


def best(folder: Path) -> float:
    return float(read_state(folder)["progress"]["best"])


def test_the_example_of_the_readme(run: Run, made: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "o", "--epochs", 3)
    result = run("finetune", made, "--model", "camera-motion", *out)
    assert result.exit_code == 0, result.output
    assert "2 new (head)" in result.stderr
    assert best(tmp_path / "o") >= 90


def test_a_linear_probe_of_the_bundled_backbone(run: Run, made: Path, tmp_path: Path) -> None:
    probe = ("--freeze", "backbone", "--epochs", 20, "--set", "lr=0.0025")
    result = run("finetune", made, "--model", "camera-motion", "--out", tmp_path / "o", *probe)
    assert result.exit_code == 0, result.output
    assert best(tmp_path / "o") >= 90


def test_some_classes_with_the_others_held_out(run: Run, made: Path, tmp_path: Path) -> None:
    for name in FIVE:
        copytree(made / name, tmp_path / "five" / name)
    out = ("--out", tmp_path / "o", "--epochs", 3)
    result = run("finetune", tmp_path / "five", "--model", "camera-motion", *out)
    assert result.exit_code == 0, result.output
    assert "5 classes, 120 training and 30 validation clips" in result.stderr
    assert best(tmp_path / "o") >= 90


def test_from_scratch(run: Run, made: Path, tmp_path: Path) -> None:
    """240 clips are few: what is learned is far from chance, and far from the bundled model."""
    scratch = ("--scratch", "--config", RECIPE, "--epochs", 20)
    result = run("finetune", made, "--model", "camera-motion", "--out", tmp_path / "o", *scratch)
    assert result.exit_code == 0, result.output
    assert "82 new" in result.stderr
    assert best(tmp_path / "o") >= 60
