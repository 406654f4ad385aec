import json
from collections.abc import Callable
from pathlib import Path

import torch
from formula import architecture_shapes, formula_tensor
from tiny import TINY
from typer.testing import Result

from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.checkpoint import read_checkpoint

Run = Callable[..., Result]


def write_zeros(path: Path, model: str) -> None:
    """An official file of the model's architecture, without its gigabytes."""
    shapes = architecture_shapes(load_spec(model).architecture)
    torch.save({key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}, path)


def test_converted_weights_say_what_they_are(
    run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again.safetensors"
    result = run("convert", tiny, out)
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    assert out.read_bytes() == Path(tiny).read_bytes()
    result = run("predict", clips / "b.mp4", "--model", out, "--format", "json")
    assert json.loads(result.stdout)[0]["model"] == "tiny"


def test_the_only_model_that_fits_is_found(run: Run, tmp_path: Path) -> None:
    write_zeros(tmp_path / "k710.pth", "swin-small-k710-mmaction2")
    result = run("convert", tmp_path / "k710.pth", tmp_path / "k710.safetensors")
    assert result.exit_code == 0, result.output
    assert "swin-small-k710-mmaction2" in result.stderr


def test_several_models_that_fit_are_named(run: Run, tmp_path: Path) -> None:
    write_zeros(tmp_path / "tiny.pth", "swin-tiny-k400")
    result = run("convert", tmp_path / "tiny.pth", tmp_path / "tiny.safetensors")
    assert result.exit_code == 2
    for name in ("swin-tiny-k400", "swin-tiny-k400-mmaction2", "swin-tiny-k400-torchvision"):
        assert name in result.stderr
    assert not (tmp_path / "tiny.safetensors").exists()


def test_a_network_of_nobody(run: Run, tmp_path: Path) -> None:
    tensors = {key: formula_tensor(key, s) for key, s in architecture_shapes(TINY).items()}
    torch.save(tensors, tmp_path / "own.pth")
    result = run("convert", tmp_path / "own.pth", tmp_path / "own.safetensors")
    assert result.exit_code == 2
    assert "no published model fits" in result.stderr
    result = run(
        "convert", tmp_path / "own.pth", tmp_path / "own.safetensors", "--model", "swin-tiny-k400"
    )
    assert result.exit_code == 2
    assert "does not fit swin-tiny-k400" in result.stderr


def test_the_name_of_the_result(run: Run, tiny: str, tmp_path: Path) -> None:
    result = run("convert", tiny, tmp_path / "model.pth")
    assert result.exit_code == 2
    assert ".safetensors" in result.stderr


def test_labels_travel_along(run: Run, tiny: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join("tuvwxyz"))
    out = tmp_path / "named.safetensors"
    assert run("convert", tiny, out, "--labels", tmp_path / "names.txt").exit_code == 0
    assert json.loads(read_checkpoint(out).metadata["videoswin-1"])["labels"] == list("tuvwxyz")
