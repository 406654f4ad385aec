"""`--weights-set` and other classes through the commands: results of two sets never mix."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from typer.testing import Result

from videoswin_cli import extract, load_model, predict

Run = Callable[..., Result]


@pytest.fixture
def weights(tiny: str) -> dict[str, Tensor]:
    return load_file(tiny)


@pytest.fixture
def averaged(weights: dict[str, Tensor], tmp_path: Path) -> Path:
    """Plain weights, and averaged ones that answer otherwise."""
    ema = {name: tensor * 1.5 for name, tensor in weights.items()}
    torch.save({"model": weights, "model_ema": ema}, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def test_each_command_takes_the_set_that_is_chosen(
    run: Run, tiny: str, averaged: Path, clips: Path, tmp_path: Path
) -> None:
    clip = clips / "b.mp4"
    told = "weights 'model' of 2 sets in the file (model, model_ema (averaged))"
    line = ("predict", clip, "--model", tiny, "--checkpoint", averaged, "--format", "json")
    plain, ema = run(*line), run(*line, "--weights-set", "ema")
    assert told in plain.stderr
    assert "weights 'model_ema' of 2" in ema.stderr
    assert json.loads(plain.stdout)[0]["top"] != json.loads(ema.stdout)[0]["top"]
    (own,) = predict(clip, model=tiny, checkpoint=averaged, weights_set="model_ema")
    found = [score.prob for score in own.top]
    assert found == pytest.approx([row["prob"] for row in json.loads(ema.stdout)[0]["top"]])
    features = [
        extract(clip, model=tiny, checkpoint=averaged, weights_set=name).features
        for name in ("model", "ema")
    ]
    assert not np.allclose(features[0], features[1])
    network = load_model(tiny, checkpoint=averaged, weights_set="ema").network
    head = load_file(tiny)["head.weight"] * 1.5
    assert torch.equal(network.state_dict()["head.weight"], head)
    none = run(*line, "--weights-set", "swa")
    assert none.exit_code == 2
    assert "no set of weights named 'swa'; the file has model, model_ema" in none.stderr


def test_results_of_two_sets_do_not_mix(
    run: Run, tiny: str, averaged: Path, clips: Path, tmp_path: Path
) -> None:
    line: tuple[object, ...] = (
        "extract",
        clips / "b.mp4",
        "--model",
        tiny,
        "--checkpoint",
        averaged,
    )
    line = (*line, "--out", tmp_path / "f.npz")
    assert run(*line, "--weights-set", "ema").exit_code == 0
    other = run(*line, "--resume")
    assert other.exit_code == 2
    assert "--weights-set was model_ema, now model" in other.stderr


def test_converting_chooses_too_and_refuses_what_is_no_number(
    run: Run, tiny: str, averaged: Path, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    out = tmp_path / "ema.safetensors"
    line = ("convert", averaged, out, "--model", tiny, "--weights-set", "ema")
    result = run(*line)
    assert result.exit_code == 0, result.output
    assert torch.equal(load_file(out)["norm.bias"], weights["norm.bias"] * 1.5)
    out.unlink()
    torch.save({**weights, "norm.bias": torch.full((16,), torch.nan)}, averaged)
    result = run("convert", averaged, out, "--model", tiny)
    assert result.exit_code == 2
    assert "NaN or infinite numbers in 1 tensor, in float32: norm.bias" in result.stderr
    assert not out.exists()


def test_a_checkpoint_of_other_classes_is_evaluated(
    run: Run, tiny: str, weights: dict[str, Tensor], clips: Path, tmp_path: Path
) -> None:
    three = {n: t[:3] if n.startswith("head.") else t for n, t in weights.items()}
    torch.save(three, tmp_path / "w.pth")
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    (tmp_path / "list.txt").write_text("b.mp4 2\n")
    line: tuple[object, ...]
    line = ("eval", "--list", tmp_path / "list.txt", "--root", clips, "--model", tiny)
    line = (*line, "--checkpoint", tmp_path / "w.pth", "--views", "1x1", "--topk", 3)
    for more in ((), ("--labels", tmp_path / "names.txt")):
        result = run(*line, *more)
        assert result.exit_code == 0, result.output
        assert "the file has 3 classes, tiny has 7" in result.stderr
        assert "100.00" in result.stdout
    (tmp_path / "list.txt").write_text("b.mp4 c\n")
    assert run(*line, "--labels", tmp_path / "names.txt").exit_code == 0
    (tmp_path / "names.txt").write_text("a\nb\n")
    result = run(*line, "--labels", tmp_path / "names.txt")
    assert result.exit_code == 2
    assert "2 class names, the model has 3 classes" in result.stderr


def test_a_dump_has_no_set_of_weights(run: Run, tmp_path: Path) -> None:
    result = run("eval", "--from-dump", tmp_path / "d.npz", "--weights-set", "ema")
    assert result.exit_code == 2
    assert "--weights-set does not fit --from-dump" in result.stderr
