import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from formula import architecture_shapes, formula_tensor
from tiny import TINY
from typer.testing import Result

from videoswin_cli.model.catalog import flatten_spec, load_spec
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.loading import load, save

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


def test_a_file_that_says_it_is_another_model_is_told(
    run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    spec = flatten_spec(load(tiny).spec) | {"name": "mine"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(spec))
    options = ("--model", tmp_path / "mine.yaml", "--checkpoint", tiny)
    result = run("predict", clips / "b.mp4", *options)
    assert result.exit_code == 0, result.output
    assert "described as tiny" in result.stderr
    assert "which says" not in run("predict", clips / "b.mp4", "--model", tiny).stderr


def test_the_result_can_be_read_by_others(run: Run, tiny: str, tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    assert run("convert", tiny, tmp_path / "a.safetensors", "--model", tiny).exit_code == 0
    usual = (tmp_path / "usual").stat().st_mode
    assert (tmp_path / "a.safetensors").stat().st_mode == usual


def test_the_source_is_not_written_over(run: Run, tiny: str, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    own.write_bytes(Path(tiny).read_bytes())
    result = run("convert", own, own, "--model", own)
    assert result.exit_code == 2
    assert "it is an input" in result.stderr


def test_half_precision_is_half_the_size_and_runs_as_ever(
    run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "half.safetensors"
    assert run("convert", tiny, out, "--dtype", "fp16").exit_code == 0
    whole, half = read_checkpoint(tiny).tensors, read_checkpoint(out).tensors
    assert {tensor.dtype for tensor in half.values()} == {torch.float16}
    for name, tensor in half.items():
        assert torch.equal(tensor, whole[name].half())
    assert {p.dtype for p in load(str(out)).network.parameters()} == {torch.float32}
    found = [
        json.loads(run("predict", clips / "b.mp4", "--model", m, "--format", "json").stdout)[0]
        for m in (tiny, out)
    ]
    assert found[0]["top"][0]["prob"] == pytest.approx(found[1]["top"][0]["prob"], abs=2e-3)


def test_how_a_model_was_trained_is_kept(run: Run, tiny: str, tmp_path: Path) -> None:
    model = load(tiny)
    save(tmp_path / "a.safetensors", model, training={"metrics": {"top1": 97.5}})
    assert run("convert", tmp_path / "a.safetensors", tmp_path / "b.safetensors").exit_code == 0
    assert load(str(tmp_path / "b.safetensors")).training == {"metrics": {"top1": 97.5}}
