import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from formula import (
    architecture_shapes,
    formula_input,
    formula_tensor,
    image_shapes,
    image_tensors,
    official_tensors,
)
from torch import Tensor

from videoswin_cli.errors import CheckpointError
from videoswin_cli.model.layouts import (
    detect_layout,
    fit_problems,
    infer_architecture,
    inflate_image_weights,
    to_canonical,
)
from videoswin_cli.records import Architecture

GOLDEN = Path(__file__).parents[1] / "golden"
# Every tensor of every published file: {manifest: {family, heads: [classes], tensors: [[key, shape,
# dtype, "parameter" or "buffer", is it transposed]]}}.
MANIFESTS = json.loads(gzip.decompress((GOLDEN / "manifests.json.gz").read_bytes()))
CASES = [(name, classes) for name, entry in MANIFESTS.items() for classes in entry["heads"]]
LAYOUTS = {"mmaction2_1x": "mmaction2", "paddlevideo": "paddle"}  # the others have our name
SIZES = {
    "t": (96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "s": (96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "b": (128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "l": (192, (2, 2, 18, 2), (6, 12, 24, 48)),
}


def make_architecture(size: str = "nano", **changes: Any) -> Architecture:
    width, depths, heads = SIZES.get(size, (24, (2, 2, 2, 2), (3, 6, 12, 24)))
    sizes: dict[str, Any] = {
        "embed_dim": width,
        "depths": depths,
        "num_heads": heads,
        "window_size": (8, 7, 7),
        "patch_size": (2, 4, 4),
        "mlp_ratio": 4.0,
        "qkv_bias": True,
        "patch_norm": True,
        "num_classes": 16,
    }
    return Architecture(**(sizes | changes))


def manifest_architecture(name: str, classes: int) -> Architecture:
    size = name.partition("swin")[2].lstrip("3d_")[0]
    window = (16, 7, 7) if name.endswith("w1677") else (8, 7, 7)
    return make_architecture(size, window_size=window, num_classes=classes)


def manifest_tensors(name: str, classes: int) -> dict[str, Tensor]:
    """All tensors of the file, almost without memory."""
    # Bicubic resizing of meta tensors makes torch import for seconds: the small tables are real.
    return {
        key: torch.empty(
            [classes if size == "num_classes" else size for size in shape],
            dtype=getattr(torch, dtype),
            device="cpu" if key.endswith("bias_table") else "meta",
        )
        for key, shape, dtype, _kind, _transposed in MANIFESTS[name]["tensors"]
    }


def ours(official: dict[str, Any]) -> dict[str, Any]:
    """Official names to ours, the long way round from the code under test."""
    return {
        key.replace("backbone.", "").replace("cls_head.fc_cls.", "head."): value
        for key, value in official.items()
    }


def shapes_of(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


# --- the formula itself, against the checksums of the golden data ---------------------------------


@pytest.mark.parametrize(
    ("key", "shape", "crc32"),
    [
        ("backbone.patch_embed.proj.weight", (96, 3, 2, 4, 4), 326527259),
        ("backbone.patch_embed.norm.weight", (96,), 1132231639),
        ("backbone.layers.0.blocks.0.attn.qkv.weight", (288, 96), 2512047429),
        ("backbone.layers.0.blocks.0.attn.proj.weight", (96, 96), 925645248),
        ("backbone.layers.0.blocks.0.attn.qkv.bias", (288,), 2537406945),
        (
            "backbone.layers.0.blocks.0.attn.relative_position_bias_table",
            (2535, 3),
            3878050891,
        ),
        ("backbone.layers.0.blocks.0.mlp.fc1.weight", (384, 96), 1681811620),
        ("backbone.layers.0.blocks.0.mlp.fc2.weight", (96, 384), 402184283),
        ("backbone.layers.0.downsample.reduction.weight", (192, 384), 3369721829),
        ("backbone.norm.bias", (768,), 2637653824),
        ("cls_head.fc_cls.weight", (400, 768), 1182601507),
    ],
)
def test_formula_weights(key: str, shape: tuple[int, ...], crc32: int) -> None:
    assert zlib.crc32(formula_tensor(key, shape).numpy().tobytes()) == crc32


def test_formula_image_weights() -> None:
    key = "layers.0.blocks.0.attn.qkv.weight"
    expected = [-0.44560444355010986, 0.5311686396598816, -0.14109842479228973]
    assert image_tensors({key: (72, 24)})[key].flatten()[:3].tolist() == expected


@pytest.mark.parametrize(
    ("shape", "crc32"),
    [
        ((1, 3, 16, 112, 112), 2791677127),
        ((1, 3, 5, 64, 64), 1414986954),
        ((2, 3, 20, 120, 80), 3533827358),
        ((1, 3, 32, 224, 224), 2045125385),
    ],
)
def test_formula_inputs(shape: tuple[int, ...], crc32: int) -> None:
    assert zlib.crc32(formula_input(shape).numpy().tobytes()) == crc32


@pytest.mark.parametrize(
    ("name", "classes"), [case for case in CASES if case[0].startswith(("official", "image2d"))]
)
def test_formula_shapes_are_the_published_ones(name: str, classes: int) -> None:
    parameters = {key for key, *_, kind, _ in MANIFESTS[name]["tensors"] if kind == "parameter"}
    found = shapes_of(manifest_tensors(name, classes))
    architecture = manifest_architecture(name, classes)
    expected = (
        image_shapes(architecture, window=12 if name.endswith("w12") else 7)
        if name.startswith("image2d")
        else architecture_shapes(architecture)
    )
    assert {key: found[key] for key in parameters} == expected


# --- every published file -------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "classes"), CASES)
def test_published_file_becomes_ours(name: str, classes: int) -> None:
    tensors = manifest_tensors(name, classes)
    family = MANIFESTS[name]["family"]
    architecture = manifest_architecture(name, classes)
    expected = ours(architecture_shapes(architecture))

    layout = detect_layout(tensors)
    canonical = to_canonical(tensors, layout)
    if layout == "image2d":
        canonical = inflate_image_weights(
            canonical, window_size=architecture.window_size, patch_size=architecture.patch_size
        )
        expected = {key: shape for key, shape in expected.items() if "head" not in key}

    assert layout == LAYOUTS.get(family, family)
    assert shapes_of(canonical) == expected
    assert not fit_problems(canonical, expected)
    assert infer_architecture(canonical).fit(architecture)


@pytest.mark.parametrize(
    ("name", "classes"), [case for case in CASES if case[0].startswith("paddle")]
)
def test_paddle_turns_exactly_the_linear_weights(name: str, classes: int) -> None:
    # Told by memory layout, which shows a transposition that the shape hides.
    tensors = manifest_tensors(name, classes)
    expected = {key for key, *_, transposed in MANIFESTS[name]["tensors"] if transposed}
    canonical = to_canonical(tensors, "paddle")
    turned = {name for name, tensor in canonical.items() if not tensor.is_contiguous()}
    assert turned == {ours({key: 0}).popitem()[0].replace("head.fc.", "head.") for key in expected}
    assert any(shape[0] == shape[1] for name in turned if (shape := canonical[name].shape))


@pytest.mark.parametrize("layout", ["official", "mmaction2", "torchvision", "paddle", "videoswin"])
def test_every_layout_gives_the_same_values(layout: str) -> None:
    official = official_tensors(architecture_shapes(make_architecture()))
    tensors = {foreign_name(layout, key): tensor for key, tensor in official.items()}
    if layout == "paddle":
        linear = ("qkv.weight", "attn.proj.weight", "fc1.weight", "fc2.weight", "reduction.weight")
        tensors = {
            key: tensor.T.contiguous() if key.endswith((*linear, "head.fc.weight")) else tensor
            for key, tensor in tensors.items()
        }
    assert detect_layout(tensors) == layout
    canonical = to_canonical(tensors, detect_layout(tensors))
    assert canonical.keys() == ours(official).keys()
    for name, tensor in ours(official).items():
        assert torch.equal(canonical[name], tensor), name


def foreign_name(layout: str, key: str) -> str:
    if layout == "mmaction2":
        return key.replace("backbone.norm.", "backbone.norm3.")
    if layout == "paddle":
        return key.replace("cls_head.fc_cls.", "head.fc.")
    if layout == "official":
        return key
    key = ours({key: 0}).popitem()[0]
    if layout == "videoswin" or not key.startswith("layers."):
        return key
    _layers, stage, part, *rest = key.split(".")
    if part == "downsample":
        return ".".join(["features", str(2 * int(stage) + 1), *rest])
    rest = [{"fc1": "0", "fc2": "3"}.get(word, word) for word in rest]
    return ".".join(["features", str(2 * int(stage)), *rest])


# --- detection at the edges -----------------------------------------------------------------------


def test_mmaction2_file_with_the_official_norm_name_is_official() -> None:
    tensors = manifest_tensors("mmaction2_swin_t_w877", 400)
    tensors = {key.replace("norm3", "norm"): tensor for key, tensor in tensors.items()}
    assert detect_layout(tensors) == "official"
    assert to_canonical(tensors, "official").keys() >= {"norm.weight", "norm.bias", "head.weight"}


def test_bare_video_backbone_is_ours_without_a_head() -> None:
    tensors = manifest_tensors("official_swin_b_w1677", 174)
    port = {
        key.removeprefix("backbone."): tensor
        for key, tensor in tensors.items()
        if key.startswith("backbone.")
    }
    assert detect_layout(port) == "videoswin"
    canonical = to_canonical(port, "videoswin")
    expected = ours(architecture_shapes(manifest_architecture("official_swin_b_w1677", 174)))
    assert fit_problems(canonical, expected).missing == ("head.weight", "head.bias")
    assert infer_architecture(canonical).num_classes == 0


def test_paddle_backbone_alone_is_told_by_its_shapes() -> None:
    tensors = manifest_tensors("paddle_swin_s_w877", 400)
    assert detect_layout({k: t for k, t in tensors.items() if "head" not in k}) == "paddle"


def test_preprocessing_constants_are_dropped() -> None:
    tensors = manifest_tensors("mmaction2_swin_t_w877", 400)
    tensors["data_preprocessor.mean"] = torch.empty(3, 1, 1, 1)
    assert "data_preprocessor.mean" not in to_canonical(tensors, detect_layout(tensors))


@pytest.mark.parametrize(
    "tensors",
    [
        {f"layer{i}.conv.weight": torch.empty(1) for i in range(7)},
        {"patch_embed.proj.weight": torch.empty(1, 3, 2, 4, 4)},  # any video transformer
        {"patch_embed.proj.weight": torch.empty(1), "features.0.0.attn.qkv.weight": torch.empty(1)},
        {},
    ],
)
def test_other_networks_are_refused(tensors: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointError) as caught:
        detect_layout(tensors)
    assert all(name in caught.value.message for name in list(tensors)[:5])
    assert "mmaction2, torchvision, paddle" in caught.value.hint


def test_two_names_for_one_tensor_are_refused() -> None:
    tensors = {"backbone.norm.weight": torch.empty(1), "backbone.norm3.weight": torch.empty(1)}
    with pytest.raises(CheckpointError, match=r"norm\.weight.*backbone\.norm3\.weight"):
        to_canonical(tensors, "mmaction2")


# --- images to videos -----------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "window"), [("w7_to_w877", 7), ("w12_to_w877", 12)])
def test_inflation_gives_the_golden_numbers(case: str, window: int) -> None:
    architecture = make_architecture()
    tensors = image_tensors(image_shapes(architecture, window=window))
    inflated = inflate_image_weights(
        to_canonical(tensors, detect_layout(tensors)),
        window_size=architecture.window_size,
        patch_size=architecture.patch_size,
    )
    with np.load(GOLDEN / "inflate2d.npz") as golden:
        patch = torch.from_numpy(golden[f"{case}/patch_embed_weight"])
        torch.testing.assert_close(inflated["patch_embed.proj.weight"], patch, rtol=0, atol=1e-7)
        for stage, block in [(0, 0), (3, 1)]:
            table = inflated[f"layers.{stage}.blocks.{block}.attn.relative_position_bias_table"]
            first = torch.from_numpy(
                golden[f"{case}/table_first_169_rows_stage{stage}_block{block}"]
            )
            # Every one of the 15 distances in time has the same 13 x 13 table.
            torch.testing.assert_close(table, first.tile(15, 1), rtol=0, atol=2e-6)
    assert torch.equal(inflated["norm.weight"], tensors["norm.weight"])


def test_inflation_refuses_a_window_that_is_not_square() -> None:
    table = {"layers.0.blocks.0.attn.relative_position_bias_table": torch.zeros(13 * 11, 3)}
    with pytest.raises(CheckpointError, match="143 rows"):
        inflate_image_weights(table, window_size=(8, 7, 7), patch_size=(2, 4, 4))


# --- what a file says of itself, and how it differs -----------------------------------------------


def test_infer_architecture() -> None:
    architecture = make_architecture(window_size=(16, 7, 7), patch_norm=False, qkv_bias=False)
    canonical = ours(official_tensors(architecture_shapes(architecture)))
    facts = infer_architecture(canonical)
    assert facts.embed_dim == 24
    assert facts.depths == (2, 2, 2, 2)
    assert facts.num_heads == (3, 6, 12, 24)
    assert facts.table_rows == (31 * 13 * 13,) * 4
    assert facts.patch_size == (2, 4, 4)
    assert (facts.patch_norm, facts.qkv_bias) == (False, False)
    assert facts.mlp_ratio == 4
    assert facts.num_classes == 16
    assert facts.fit(architecture)


@pytest.mark.parametrize(
    "change",
    [
        {"embed_dim": 48},
        {"depths": (2, 2, 6, 2)},
        {"num_heads": (1, 6, 12, 24)},
        {"window_size": (16, 7, 7)},
        {"patch_size": (4, 4, 4)},
        {"patch_norm": False},
        {"qkv_bias": False},
        {"mlp_ratio": 2.0},
    ],
)
def test_another_architecture_does_not_fit(change: dict[str, Any]) -> None:
    facts = infer_architecture(ours(official_tensors(architecture_shapes(make_architecture()))))
    assert facts.fit(make_architecture(num_classes=3))
    assert not facts.fit(make_architecture(**change))


def test_infer_architecture_of_nothing() -> None:
    facts = infer_architecture({})
    assert (facts.embed_dim, facts.depths, facts.mlp_ratio) == (None, (), None)
    assert not facts.fit(make_architecture())


def test_fit_problems_lists_all_and_shows_five() -> None:
    tensors = {f"extra{i}": torch.empty(1) for i in range(7)} | {"head.weight": torch.empty(5, 3)}
    expected = {"norm.weight": (3,), "head.weight": (4, 3)}
    problems = fit_problems(tensors, expected)
    assert problems
    assert problems.missing == ("norm.weight",)
    assert problems.unexpected == tuple(f"extra{i}" for i in range(7))
    assert problems.misshapen == ("head.weight ((5, 3), expected (4, 3))",)
    assert str(problems) == (
        "1 missing: norm.weight; "
        "7 unexpected: extra0, extra1, extra2, extra3, extra4 and 2 more; "
        "1 of another shape: head.weight ((5, 3), expected (4, 3))"
    )
    assert not fit_problems({"a": torch.empty(2)}, {"a": [2]})
