import gzip
import json
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from formula import (
    architecture_shapes,
    formula_input,
    image_shapes,
    image_tensors,
    official_tensors,
)
from safetensors.torch import save_file
from torch import Tensor

from videoswin_cli import load_model
from videoswin_cli.engine.runtime import DTYPES
from videoswin_cli.errors import CheckpointError, FetchError, UsageError
from videoswin_cli.model.catalog import flatten_spec, load_spec, read_spec
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.loading import LoadedModel, load, name_model, save
from videoswin_cli.options.run import Precision
from videoswin_cli.records import Architecture

GOLDEN = Path(__file__).parents[1] / "golden"
# {manifest: {family, heads: [classes], tensors: [[key, shape, dtype, kind, is it transposed]]}}
MANIFESTS = json.loads(gzip.decompress((GOLDEN / "manifests.json.gz").read_bytes()))
CASES = [(name, classes) for name, entry in MANIFESTS.items() for classes in entry["heads"]]
SHAPE = (1, 3, 8, 100, 130)
SMALL = (1, 3, 4, 32, 32)
LABELS = tuple(f"Größe {i}" if i else "走る" for i in range(16))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("VIDEOSWIN_OFFLINE", "1")


# --- files as the projects write them -------------------------------------------------------------


def official_name(family: str, key: str) -> str:
    """What the official code calls a tensor of another project's file."""
    if family == "mmaction2_1x":
        return key.replace("backbone.norm3.", "backbone.norm.")
    if family == "paddlevideo":
        return key.replace("head.fc.", "cls_head.fc_cls.")
    if family != "torchvision":
        return key
    key = key.replace(".mlp.0.", ".mlp.fc1.").replace(".mlp.3.", ".mlp.fc2.")
    key = re.sub(r"^features\.([0246])", lambda m: f"layers.{int(m[1]) // 2}.blocks", key)
    key = re.sub(r"^features\.([135])", lambda m: f"layers.{int(m[1]) // 2}.downsample", key)
    return key.replace("head.", "cls_head.fc_cls.") if key[:5] == "head." else f"backbone.{key}"


def file_tensors(manifest: str, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a published file under its own names, as far as `values` goes.

    Index buffers have their shape and dtype but one stored element.
    """
    family, tensors = MANIFESTS[manifest]["family"], {}
    for key, shape, dtype, kind, transposed in MANIFESTS[manifest]["tensors"]:
        name = official_name(family, key)
        if kind == "buffer":
            if name.replace("_position_index", "_position_bias_table") in values:
                tensors[key] = torch.zeros(1, dtype=getattr(torch, dtype)).expand(shape)
        elif name in values:
            tensors[key] = values[name].T.contiguous() if transposed else values[name]
    assert len([key for key in tensors if "index" not in key and "mask" not in key]) == len(values)
    return tensors


def hollow(manifest: str, classes: int) -> dict[str, Tensor]:
    """The tensors of a full file, all zero and almost without bytes."""
    return {
        key: torch.zeros(1, dtype=getattr(torch, dtype)).expand(
            [classes if size == "num_classes" else size for size in shape]
        )
        for key, shape, dtype, *_ in MANIFESTS[manifest]["tensors"]
    }


def write_paddle(path: Path, tensors: Mapping[str, Tensor]) -> None:
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
    names = {name: f"linear_{i}.w_0" for i, name in enumerate(arrays)}
    path.write_bytes(pickle.dumps({**arrays, "StructuredToParameterName@@": names}, protocol=2))


def bare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A backbone without a head, as the plain port names it."""
    found = {k: t for k, t in tensors.items() if k.startswith("backbone.")}
    return {key.removeprefix("backbone."): tensor for key, tensor in found.items()}


def prefixed(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in tensors.items()}


def half(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: t.half() if t.is_floating_point() else t for key, t in tensors.items()}


# --- a tiny model ---------------------------------------------------------------------------------


def nano_data(**changes: Any) -> dict[str, Any]:
    """The YAML of the golden data's `nano_w877`: Swin-T, but narrow and shallow."""
    flat = flatten_spec(load_spec("swin-tiny-k400"))
    flat |= dict.fromkeys(("url", "file", "file_mib", "parameters", "top1", "top5"))
    flat |= {"name": "nano", "embed_dim": 24, "depths": (2, 2, 2, 2), "num_classes": 16, **changes}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in flat.items()}


def write_yaml(path: Path, **changes: Any) -> str:
    path.write_text(yaml.safe_dump(nano_data(**changes)), encoding="utf-8")
    return str(path)


@pytest.fixture
def nano(tmp_path: Path) -> str:
    return write_yaml(tmp_path / "nano.yaml")


@pytest.fixture(scope="module")
def nano_values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    path = tmp_path_factory.mktemp("nano") / "nano.yaml"
    write_yaml(path)
    return official_tensors(architecture_shapes(read_spec(path).architecture))


@pytest.fixture
def nano_file(tmp_path: Path, nano_values: dict[str, Tensor]) -> Path:
    path = tmp_path / "nano.pth"
    torch.save({"state_dict": nano_values}, path)
    return path


@torch.inference_mode()
def run(model: LoadedModel, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return model.module(formula_input(shape))


def golden(case: str, file: str = "forward.npz") -> Tensor:
    with np.load(GOLDEN / file) as arrays:
        return torch.from_numpy(arrays[f"{case}/logits_f64"]).float()


NANO_LOGITS = golden("nano_w877__1x3x8x100x130")


# --- every layout, whatever is around it ----------------------------------------------------------

LAYOUTS = {
    "official": "official_swin_t_w877",
    "mmaction2": "mmaction2_swin_t_w877",
    "torchvision": "torchvision_swin3d_t",
    "paddle": "paddle_swin_s_w877",
}
WRAPPED: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "bare": lambda t: t,
    "state_dict": lambda t: {"state_dict": t, "meta": {"epoch": 30, "classes": ("a", "b")}},
    "model": lambda t: {"model": t, "optimizer": {"state": {0: torch.zeros(9)}}, "epoch": 3},
    "module.": lambda t: {"state_dict": prefixed(t, "module.")},
    "deep": lambda t: {"model": {"state_dict": prefixed(t, "module.model.")}},
    "data_preprocessor": lambda t: {"state_dict": {**t, "data_preprocessor.mean": torch.ones(3)}},
}


def assert_same_weights(model: LoadedModel, values: Mapping[str, Tensor]) -> None:
    """Official values under our names, and no other."""
    found = {
        (f"cls_head.fc_cls{name[4:]}" if name[:5] == "head." else f"backbone.{name}"): tensor
        for name, tensor in model.network.state_dict().items()
    }
    assert found.keys() == values.keys()
    for name, tensor in values.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_golden_logits(
    tmp_path: Path, nano: str, nano_values: dict[str, Tensor], layout: str
) -> None:
    path = tmp_path / "weights"
    tensors = file_tensors(LAYOUTS[layout], nano_values)
    if layout == "paddle":
        write_paddle(path, tensors)
    else:
        torch.save({"state_dict": tensors}, path)
    model = load(nano, checkpoint=path)
    assert model.layout == layout
    assert model.weights == path
    assert_same_weights(model, nano_values)
    torch.testing.assert_close(run(model), NANO_LOGITS, rtol=0, atol=5e-5)


@pytest.mark.parametrize("wrapping", WRAPPED)
@pytest.mark.parametrize("layout", ["official", "mmaction2", "torchvision"])
def test_every_wrapping_is_taken_off(
    tmp_path: Path, nano: str, nano_values: dict[str, Tensor], layout: str, wrapping: str
) -> None:
    torch.save(WRAPPED[wrapping](file_tensors(LAYOUTS[layout], nano_values)), tmp_path / "w.pth")
    model = load(nano, checkpoint=tmp_path / "w.pth")
    assert model.layout == layout
    assert_same_weights(model, nano_values)


def test_a_bare_backbone_gives_features_only(
    tmp_path: Path, nano: str, nano_file: Path, nano_values: dict[str, Tensor]
) -> None:
    torch.save(bare(nano_values), tmp_path / "port.pth")
    model, whole = load(nano, checkpoint=tmp_path / "port.pth"), load(nano, checkpoint=nano_file)
    assert model.layout == "videoswin"
    assert model.spec.architecture.num_classes == 0
    assert model.labels == ()
    assert "no head, features only" in model.summary
    clip = formula_input(SMALL)
    with torch.inference_mode():
        features = model.network.forward_features(clip)
        assert torch.equal(features, whole.network.forward_features(clip))
    with pytest.raises(RuntimeError, match="forward_features"):
        model.module(clip)


@pytest.mark.parametrize(("case", "window"), [("w7_to_w877", 7), ("w12_to_w877", 12)])
def test_image_weights_become_the_golden_video_network(
    tmp_path: Path, nano_values: dict[str, Tensor], case: str, window: int
) -> None:
    model = write_yaml(tmp_path / "image.yaml", kind="image", num_classes=0)
    architecture = replace(read_spec(Path(model)).architecture, num_classes=10)
    values = image_tensors(image_shapes(architecture, window=window))
    manifest = "image2d_swin_t" if window == 7 else "image2d_swin_b_w12"
    torch.save({"model": file_tensors(manifest, values)}, tmp_path / "image.pth")
    loaded = load(model, checkpoint=tmp_path / "image.pth")
    assert loaded.layout == "image2d"
    assert loaded.labels == ()
    with torch.inference_mode():
        features = loaded.network.forward_features(formula_input((1, 3, 16, 112, 112)))
        weight, bias = (nano_values[f"cls_head.fc_cls.{name}"] for name in ("weight", "bias"))
        logits = features.mean(dim=(2, 3, 4)) @ weight.T + bias
    torch.testing.assert_close(logits, golden(case, "inflate2d.npz"), rtol=0, atol=5e-5)


# --- full size ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "manifest"),
    [
        ("swin-tiny-k400-torchvision", "torchvision_swin3d_t"),
        pytest.param("swin-tiny-k400", "official_swin_t_w877", marks=pytest.mark.slow),
        pytest.param("swin-tiny-k400-mmaction2", "mmaction2_swin_t_w877", marks=pytest.mark.slow),
    ],
)
def test_swin_tiny_gives_the_golden_logits(tmp_path: Path, name: str, manifest: str) -> None:
    values = official_tensors(architecture_shapes(load_spec(name).architecture))
    torch.save(file_tensors(manifest, values), tmp_path / "tiny.pth")
    model = load(name, checkpoint=tmp_path / "tiny.pth")
    assert model.labels[:2] == ("abseiling", "air drumming")
    assert model.summary.startswith(f"{name}: 28.2M parameters, 400 classes, {model.layout} layout")
    found = run(model, (1, 3, 32, 224, 224))
    expected = golden("swin_t_k400__1x3x32x224x224")
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-5)


SIZES = {"t": "tiny", "s": "small", "b": "base", "l": "large"}


def full_size_yaml(path: Path, manifest: str, classes: int) -> tuple[str, Architecture, int]:
    """A YAML that the file of a manifest fits, its architecture, and an image file's window."""
    image = MANIFESTS[manifest]["family"] == "image2d"
    size = SIZES[manifest.partition("swin")[2].lstrip("3d_")[0]]
    like = {"large": "swin-large-k400-mmaction2"}.get(size, f"swin-{size}-k400")
    sizes = asdict(load_spec(like).architecture)
    sizes |= {"window_size": (16, 7, 7) if "1677" in manifest else (8, 7, 7)}
    sizes |= {"num_classes": 0 if image else classes}
    model = write_yaml(path, **sizes, kind="image" if image else "video")
    architecture = Architecture(**sizes | {"num_classes": classes})
    return model, architecture, 12 if manifest.endswith("w12") else 7


@pytest.mark.slow
@pytest.mark.parametrize(("manifest", "classes"), CASES)
def test_every_published_file_loads_to_the_formula(
    tmp_path: Path, manifest: str, classes: int
) -> None:
    model, architecture, window = full_size_yaml(tmp_path / "full.yaml", manifest, classes)
    family = MANIFESTS[manifest]["family"]
    if family == "image2d":
        values = image_tensors(image_shapes(architecture, window=window))
    else:
        values = official_tensors(architecture_shapes(architecture))
    path = tmp_path / "weights"
    tensors = file_tensors(manifest, values)
    if family == "paddlevideo":
        write_paddle(path, tensors)
    else:
        torch.save({"state_dict": tensors}, path)
    network = load(model, checkpoint=path).network
    path.unlink()
    found = network.state_dict()
    assert len(found) == len(values) - 2 * (family == "image2d")
    for name, tensor in found.items():
        if family == "image2d":
            value = values[name]
            if name == "patch_embed.proj.weight":
                torch.testing.assert_close(tensor.sum(2), value, rtol=0, atol=1e-6)
            elif name.endswith("bias_table"):
                steps = tensor.reshape(2 * architecture.window_size[0] - 1, 169, -1)
                assert torch.equal(steps, steps[:1].expand_as(steps))
                if window == 7:
                    assert torch.equal(steps[0], value)
            else:
                assert torch.equal(tensor, value), name
            continue
        official = f"backbone.{name}".replace("backbone.head.", "cls_head.fc_cls.")
        assert torch.equal(tensor, values[official]), name


# --- strict ---------------------------------------------------------------------------------------


def refused(model: str, checkpoint: Path | None = None) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        load(model, checkpoint=checkpoint)
    return caught.value


def test_a_missing_tensor_is_told(
    tmp_path: Path, nano: str, nano_values: dict[str, Tensor]
) -> None:
    tensors = dict(nano_values)
    del tensors["backbone.layers.2.blocks.1.mlp.fc1.bias"]
    torch.save(tensors, tmp_path / "w.pth")
    error = refused(nano, tmp_path / "w.pth")
    assert error.message == (
        f"{tmp_path / 'w.pth'} does not fit nano: 1 missing: layers.2.blocks.1.mlp.fc1.bias"
    )
    assert error.hint == "no published model fits it either"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone.extra.weight": (3,)}, "1 unexpected: extra.weight"),
        ({"backbone.layers.0.blocks.2.norm1.weight": (24,)}, "layers.0.blocks.2.norm1.weight"),
        ({"backbone.norm.bias": (5,)}, r"norm.bias \(\(5,\), expected \(192,\)\)"),
        (
            {"cls_head.fc_cls.weight": (9, 190), "cls_head.fc_cls.bias": (9,)},
            r"1 of another shape: head.weight \(\(9, 190\), expected \(9, 192\)\)",
        ),
        ({"cls_head.fc_cls.bias": (9,)}, r"head.bias \(\(9,\), expected \(16,\)\)"),
        (
            {"backbone.layers.0.blocks.0.attn.proj.weight": (25, 24), "backbone.extra": (1,)},
            r"1 unexpected: extra; 1 of another shape: layers.0.blocks.0.attn.proj.weight",
        ),
        ({"backbone.patch_embed.proj.weight": (24, 3, 4, 4, 4)}, "patch_embed.proj.weight"),
    ],
)
def test_what_does_not_fit_is_told(
    tmp_path: Path,
    nano: str,
    nano_values: dict[str, Tensor],
    changes: dict[str, tuple[int, ...]],
    message: str,
) -> None:
    changed = {name: torch.ones(shape) for name, shape in changes.items()}
    torch.save({**nano_values, **changed}, tmp_path / "w.pth")
    error = refused(nano, tmp_path / "w.pth")
    assert re.search(rf"w\.pth does not fit nano: .*{message}", error.message)


def test_half_a_head_is_told(tmp_path: Path, nano: str, nano_values: dict[str, Tensor]) -> None:
    tensors = {k: t for k, t in nano_values.items() if k != "cls_head.fc_cls.weight"}
    torch.save(tensors, tmp_path / "w.pth")
    assert "1 missing: head.weight" in refused(nano, tmp_path / "w.pth").message


@pytest.mark.parametrize(
    ("model", "manifest", "classes", "message", "likeliest"),
    [
        ("swin-small-k400", "official_swin_t_w877", 400, "missing", "swin-tiny-k400"),
        ("swin-tiny-k400", "official_swin_s_w877", 400, "unexpected", "swin-small-k400"),
        ("swin-base-k400", "official_swin_b_w1677", 400, "shape", "swin-base-k400-w16"),
        ("swin-tiny-k400", "torchvision_swin3d_b", 400, "shape", "swin-base-k400-"),
        ("swin-tiny-k400", "mmaction2_swin_l_w877", 700, "shape", "swin-large-k700-mmaction2"),
        ("swin-tiny-k400", "mmaction2_swin_s_w877", 710, "unexpected", "swin-small-k710-mmaction2"),
    ],
)
def test_the_likeliest_model_is_named(
    tmp_path: Path, model: str, manifest: str, classes: int, message: str, likeliest: str
) -> None:
    path = tmp_path / "w.pth"
    torch.save({"state_dict": hollow(manifest, classes)}, path)
    error = refused(model, path)
    assert error.message.startswith(f"{path} does not fit {model}: ")
    assert message in error.message
    assert error.hint.startswith(f"it fits {likeliest}")


def test_a_file_without_metadata_as_the_model_gets_the_likeliest_named(tmp_path: Path) -> None:
    path = tmp_path / "swin3d_t-7615ae03.pth"
    torch.save(hollow("torchvision_swin3d_t", 400), path)
    error = refused(str(path))
    assert error.message == (
        f"{path} does not say which model it is: torchvision layout, 185 tensors"
    )
    assert error.hint == (
        f"use --model swin-tiny-k400-torchvision --checkpoint {path}; "
        "it also fits swin-tiny-k400, swin-tiny-k400-mmaction2"
    )


def test_a_stranger_as_the_model_is_told(nano_file: Path) -> None:
    assert refused(str(nano_file)).hint == f"use --model NAME --checkpoint {nano_file}"


@pytest.mark.parametrize(
    ("manifest", "classes", "name"),
    [
        ("official_swin_b_w877", 600, "swin-base-k600"),
        ("official_swin_b_w1677", 174, "swin-base-ssv2"),
        ("official_swin_b_w1677", 400, "swin-base-k400-w16"),
        ("mmaction2_swin_l_w877", 700, "swin-large-k700-mmaction2"),
        ("mmaction2_swin_s_w877", 710, "swin-small-k710-mmaction2"),
    ],
)
def test_a_file_that_one_model_fits_needs_no_name(
    tmp_path: Path, manifest: str, classes: int, name: str
) -> None:
    torch.save(hollow(manifest, classes), tmp_path / "w.pth")
    assert name_model(tmp_path / "w.pth") == name


def test_a_file_that_several_models_fit_needs_a_name(tmp_path: Path, nano_file: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save(hollow("mmaction2_swin_s_w877", 400), path)
    with pytest.raises(CheckpointError, match=r"w\.pth: mmaction2 layout, 353 .*; 4 models") as one:
        name_model(path)
    assert one.value.hint.startswith("choose one with --model: swin-small-k400-mmaction2, swin-")
    assert len(one.value.hint.split(", ")) == 4
    with pytest.raises(CheckpointError, match="no published model fits") as none:
        name_model(nano_file)
    assert "--model" in none.value.hint


def test_image_weights_are_no_video_model(tmp_path: Path) -> None:
    path = tmp_path / "swin_tiny_patch4_window7_224.pth"
    torch.save({"model": hollow("image2d_swin_t", 1000)}, path)
    error = refused("swin-tiny-k400", path)
    assert error.message == (
        f"{path} holds weights of an image network, swin-tiny-k400 is a video model"
    )
    assert "fine-tuning" in error.hint
    assert load("swin-tiny-in1k", checkpoint=path).spec.kind == "image"
    with pytest.raises(CheckpointError, match="does not fit swin-base-in1k: "):
        load("swin-base-in1k", checkpoint=path)


def test_video_weights_are_no_image_model(tmp_path: Path) -> None:
    torch.save(hollow("official_swin_t_w877", 400), tmp_path / "w.pth")
    error = refused("swin-tiny-in1k", tmp_path / "w.pth")
    assert "does not fit swin-tiny-in1k: 2 unexpected: head.weight, head.bias" in error.message
    assert error.hint.startswith("it fits swin-tiny-k400")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\0\x20ftypisom" + bytes(90), "an MP4 video"),
        (b"RIFF" + bytes(90), "an AVI or WAV file"),
        (b"", "the file is empty"),
        (b"name: nano\n", "no weight file"),
    ],
)
def test_other_files_are_no_checkpoints(
    tmp_path: Path, nano: str, content: bytes, message: str
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    for error in (refused(nano, path), refused(str(path))):
        assert error.message.startswith(f"{path}: ")
        assert message in error.message


def test_another_network_is_told_with_its_file(tmp_path: Path, nano: str) -> None:
    torch.save({"layer1.conv.weight": torch.ones(3)}, tmp_path / "resnet.pth")
    assert refused(nano, tmp_path / "resnet.pth").message.startswith(
        f"{tmp_path / 'resnet.pth'}: 1 tensor, but of no known Swin Transformer: layer1.conv"
    )


# --- what comes out -------------------------------------------------------------------------------


def test_load_model_gives_a_module_in_eval_mode(nano: str, nano_file: Path) -> None:
    model = load_model(nano, checkpoint=nano_file, device="cpu")
    assert isinstance(model.network, torch.nn.Module)
    network: Any = model.network
    assert not any(module.training for module in network.modules())
    assert {str(p.device) for p in network.parameters()} == {"cpu"}
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert list(network.buffers()) == []
    clip = formula_input((2, 3, 5, 64, 64))
    with torch.inference_mode():
        assert network(clip).shape == (2, 16)
        features = network.forward_features(clip)
    assert features.shape == (2, 192, 3, 2, 2)
    assert all(p.requires_grad for p in network.parameters())  # ready to be fine-tuned


def test_paths_need_not_be_text(tmp_path: Path, nano: str, nano_file: Path) -> None:
    assert load_model(Path(nano), checkpoint=str(nano_file))
    save(tmp_path / "own.safetensors", load(nano, checkpoint=nano_file))
    assert load_model(tmp_path / "own.safetensors")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_load_model_in_another_precision(
    nano: str, nano_file: Path, nano_values: dict[str, Tensor], precision: Precision
) -> None:
    dtype = DTYPES[precision]
    network = load_model(nano, checkpoint=nano_file, device="cpu", precision=precision).network
    assert {p.dtype for p in network.parameters()} == {dtype}
    weight = nano_values["backbone.norm.weight"].to(dtype)
    assert torch.equal(network.state_dict()["norm.weight"], weight)


def test_a_half_precision_file_becomes_float32(
    tmp_path: Path, nano: str, nano_values: dict[str, Tensor]
) -> None:
    torch.save({"state_dict": half(nano_values)}, tmp_path / "half.pth")
    model = load(nano, checkpoint=tmp_path / "half.pth")
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    torch.testing.assert_close(run(model), NANO_LOGITS, rtol=0, atol=0.02)


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "cpu:x", ""])
def test_a_device_that_is_not_there_is_told(nano: str, nano_file: Path, device: str) -> None:
    with pytest.raises(UsageError, match=f"cannot use the device '{device}'"):
        load_model(nano, checkpoint=nano_file, device=device)


# --- our own file ---------------------------------------------------------------------------------


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("\n".join(LABELS), encoding="utf-8")
    return path


def test_our_own_file_says_all_of_itself(
    tmp_path: Path, nano_file: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_yaml(tmp_path / "nano.yaml", clips=2, sampling="mmaction2", name="größer")
    written = load(model, checkpoint=nano_file, labels=labels)
    own = tmp_path / "elsewhere" / "own.safetensors"
    own.parent.mkdir()
    save(own, written)
    for path in (Path(model), nano_file, labels):
        path.unlink()
    monkeypatch.chdir(own.parent)
    read = load("own.safetensors")
    assert read.layout == "videoswin"
    assert read.labels == LABELS
    assert read.spec == written.spec
    assert read.spec.name == "größer"
    assert (read.spec.protocol.clips, read.spec.protocol.sampling) == (2, "mmaction2")
    assert read.spec.recipe is not None
    state = written.network.state_dict()
    assert list(read.network.state_dict()) == list(state)
    assert all(torch.equal(t, state[name]) for name, t in read.network.state_dict().items())
    assert name_model(own) == str(own)


def test_equal_models_are_equal_files(
    tmp_path: Path, nano: str, nano_file: Path, nano_values: dict[str, Tensor]
) -> None:
    for name in ("a", "b"):
        save(tmp_path / name, load(nano, checkpoint=nano_file))
    # Also by way of another layout, and of our own file.
    torch.save(file_tensors(LAYOUTS["torchvision"], nano_values), tmp_path / "tv.pth")
    save(tmp_path / "c", load(nano, checkpoint=tmp_path / "tv.pth"))
    save(tmp_path / "d", load(str(tmp_path / "a")))
    first = (tmp_path / "a").read_bytes()
    assert all((tmp_path / name).read_bytes() == first for name in "bcd")


def test_our_own_file_lends_its_description_to_other_weights(
    tmp_path: Path, nano: str, nano_file: Path, labels: Path
) -> None:
    own, zeros = tmp_path / "own.safetensors", tmp_path / "zeros.pth"
    save(own, load(nano, checkpoint=nano_file, labels=labels))
    torch.save(
        {k: torch.zeros_like(t) for k, t in read_checkpoint(nano_file).tensors.items()}, zeros
    )
    model = load(str(own), checkpoint=zeros)
    assert model.weights == zeros
    assert model.labels == LABELS
    assert not run(model, SMALL).any()


def test_a_backbone_of_our_own_has_no_labels(
    tmp_path: Path, nano: str, nano_values: dict[str, Tensor]
) -> None:
    torch.save(bare(nano_values), tmp_path / "port.pth")
    save(tmp_path / "own", load(nano, checkpoint=tmp_path / "port.pth"))
    model = load(str(tmp_path / "own"))
    assert model.labels == ()
    assert model.spec.architecture.num_classes == 0


@pytest.mark.parametrize(
    "description",
    [
        "{",
        "[]",
        "{}",
        '{"spec": {}, "labels": []}',
        '{"spec": 7, "labels": []}',
        '{"labels": ["a"]}',
    ],
)
def test_a_description_that_makes_no_sense_is_told(
    tmp_path: Path, nano_values: dict[str, Tensor], description: str
) -> None:
    path = tmp_path / "own.safetensors"
    save_file(bare(nano_values), path, metadata={"videoswin-1": description})
    with pytest.raises(UsageError, match=re.escape(str(path))):
        load(str(path))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (LABELS[:-1], "holds 15 class names, the model has 16 classes"),
        ((*LABELS, "more"), "holds 17 class names, the model has 16 classes"),
        ((), "holds 0 class names, the model has 16 classes"),
        ((*LABELS[:-1], LABELS[0]), "occurs 2 times"),
    ],
)
def test_a_description_whose_labels_do_not_fit_is_told(
    tmp_path: Path, nano: str, nano_file: Path, names: tuple[str, ...], message: str
) -> None:
    path = tmp_path / "own.safetensors"
    save(path, replace(load(nano, checkpoint=nano_file), labels=names))
    assert message in refused(str(path)).message


def test_safetensors_of_somebody_else_do_not_say_what_they_are(
    tmp_path: Path, nano: str, nano_values: dict[str, Tensor]
) -> None:
    path = tmp_path / "other.safetensors"
    save_file(nano_values, path, metadata={"format": "pt"})
    assert "does not say which model it is: official layout" in refused(str(path)).message
    assert load(nano, checkpoint=path).layout == "official"


# --- labels and names -----------------------------------------------------------------------------


def test_a_yaml_finds_its_labels_beside_it(
    tmp_path: Path, nano_file: Path, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    labels.rename(tmp_path / "models" / "names.txt")
    write_yaml(tmp_path / "models" / "mine.yaml", labels="names.txt")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    nano_file.rename("w.pth")
    assert load("../models/mine.yaml", checkpoint="w.pth").labels == LABELS


def test_labels_of_the_user_go_before_those_of_the_model(
    tmp_path: Path, nano: str, nano_file: Path, labels: Path
) -> None:
    assert load(nano, checkpoint=nano_file).labels == tuple(f"class {i}" for i in range(16))
    save(tmp_path / "own.safetensors", load(nano, checkpoint=nano_file, labels=labels))
    other = tmp_path / "other.txt"
    other.write_text("\n".join("abcdefghijklmnop"))
    found = load(str(tmp_path / "own.safetensors"), labels=other).labels
    assert found == tuple("abcdefghijklmnop")


@pytest.mark.parametrize("count", [15, 17, 0])
def test_labels_that_are_not_as_many_as_classes_are_told(
    tmp_path: Path, nano: str, nano_file: Path, count: int
) -> None:
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("".join(f"name {i}\n" for i in range(count)))
    message = rf"holds {count} class names, the model has 16 classes" if count else "holds no name"
    with pytest.raises(UsageError, match=message):
        load(nano, checkpoint=nano_file, labels=wrong)


def test_labels_that_are_not_there_are_told(tmp_path: Path, nano_file: Path) -> None:
    model = write_yaml(tmp_path / "mine.yaml", labels="kinetics40")
    with pytest.raises(UsageError, match=r"cannot read the labels .*kinetics40\.txt"):
        load(model, checkpoint=nano_file)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("none.safetensors", "no such file: none.safetensors"),
        ("none.pth", "no such file: none.pth"),
        ("some/where", "no such file: some/where"),
        ("none.yaml", "cannot read none.yaml: No such file"),
        ("swin-tinny-k400", "unknown model 'swin-tinny-k400'"),
    ],
)
def test_a_model_that_is_not_there_is_told(model: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(model)


def test_a_missing_checkpoint_is_told(tmp_path: Path, nano: str) -> None:
    assert refused(nano, tmp_path / "none.pth").message == f"{tmp_path / 'none.pth'}: no such file"
    with pytest.raises(UsageError, match="model nano has no published checkpoint"):
        load(nano)
    with pytest.raises(
        FetchError, match=r"no checkpoint for swin-tiny-k400: .* is missing and off"
    ):
        load("swin-tiny-k400")


def test_a_cached_checkpoint_is_used(tmp_path: Path, nano_values: dict[str, Tensor]) -> None:
    model = write_yaml(tmp_path / "nano.yaml", file="nano.pth", url="https://127.0.0.1:9/nano.pth")
    cache = tmp_path / "own" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(nano_values, cache / "nano.pth")
    assert load(model).weights == cache / "nano.pth"
