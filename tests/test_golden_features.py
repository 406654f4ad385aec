"""`videoswin extract` gives the backbone's output of the references, whatever the weights' layout.

The recorded inputs are no pictures but numbers from a formula, so they take the place of the
normalized clips of a dummy video; all else is the command's own path, from the weight file to the
file of features.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
import yaml
from formula import architecture_shapes, formula_input, official_tensors, to_torchvision
from make_video import write_video
from typer.testing import CliRunner

from videoswin_cli.cli.app import app
from videoswin_cli.engine import forward as inference
from videoswin_cli.model.catalog import flatten_spec, load_spec
from videoswin_cli.records import Architecture

GOLDEN = Path(__file__).parent / "golden"
FORWARD = json.loads((GOLDEN / "forward.json").read_text())
SHAPES = {name: case["input_shape"] for name, case in FORWARD["cases"].items()}
SQUARE = [name for name, shape in SHAPES.items() if shape[0] == 1 and shape[3] == shape[4]]


def extract(
    case: str, layout: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> np.ndarray:
    """What the command writes for the recorded input of a case."""
    sizes = msgspec.convert(
        FORWARD["architectures"][FORWARD["cases"][case]["architecture"]], Architecture
    )
    tensors = official_tensors(architecture_shapes(sizes))
    if layout == "torchvision":
        tensors = to_torchvision(tensors, len(sizes.depths))
    torch.save(tensors, folder / "weights.pth")
    _, _, frames, side, _ = SHAPES[case]
    feeding = {"clip_frames": frames, "crop_size": side, "short_side": side}
    spec: dict[str, Any] = flatten_spec(load_spec("swin-tiny-k400")) | asdict(sizes) | feeding
    (folder / "model.yaml").write_text(yaml.safe_dump(spec | {"quick_short_side": side}))
    write_video(folder / "dummy.mp4", frames=4)
    monkeypatch.setattr(inference, "normalize", lambda *_, **__: formula_input(SHAPES[case]))
    command = ["extract", str(folder / "dummy.mp4"), "--out", str(folder / "out.npy")]
    model = ["--model", str(folder / "model.yaml"), "--checkpoint", str(folder / "weights.pth")]
    result = CliRunner().invoke(app, [*command, *model, *options, "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert f"{layout} layout" in result.stderr
    features: np.ndarray = np.load(folder / "out.npy")
    assert features.dtype == np.float32
    return features


@pytest.mark.parametrize(
    ("case", "layout"),
    [
        # The layouts differ in names alone, which a small network shows as well.
        pytest.param(case, layout, marks=[pytest.mark.slow] if slow else [])
        for case in SQUARE
        for layout in ("official", "torchvision")
        for slow in [case.startswith("swin_t") and layout == "torchvision"]
    ],
)
def test_pooled(case: str, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For torchvision's weights this is its penultimate layer: what its head is given."""
    found = extract(case, layout, tmp_path, monkeypatch)
    with np.load(GOLDEN / "forward.npz") as golden:
        expected = golden[f"{case}/pooled_f64"]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("case", SQUARE)
def test_features(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = extract(case, "official", tmp_path, monkeypatch, "--pool", "none")
    assert list(found.shape) == FORWARD["cases"][case]["feature_shape"]
    with np.load(GOLDEN / "forward.npz") as golden:
        places = golden[f"{case}/features_idx"].astype(np.int64)
        expected = golden[f"{case}/features_f64"]
    assert np.abs(found.flatten()[places] - expected).max() < 1e-4


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_stages(stage: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = "nano_w877__1x3x16x112x112"
    options = ("--pool", "none", "--stage", str(stage))
    found = extract(case, "official", tmp_path, monkeypatch, *options)
    with np.load(GOLDEN / "forward.npz") as golden:
        places = golden[f"{case}/stage{stage - 1}_idx"].astype(np.int64)
        expected = golden[f"{case}/stage{stage - 1}_f32"]
    assert np.abs(found.flatten()[places] - expected).max() < 1e-3 * np.abs(expected).max()
