import math
import re
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from formula import image_shapes

from videoswin_cli.errors import UsageError
from videoswin_cli.io.paths import configs_dir
from videoswin_cli.model.catalog import (
    PUBLISHERS,
    ModelSpec,
    Publication,
    Recipe,
    flatten_spec,
    list_specs,
    load_spec,
    model_names,
    parse_spec,
    read_spec,
)
from videoswin_cli.model.label_files import read_labels
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.options.run import DEFAULT_MODEL
from videoswin_cli.records import Architecture, InputProtocol

MODELS = configs_dir() / "models"
LABELS = configs_dir() / "labels"
OURS = ["camera-motion"]  # bundled; all others are published by somebody else
NAMES = [path.stem for path in sorted(MODELS.glob("*.yaml")) if path.stem not in OURS]
SPECS = {name: load_spec(name) for name in NAMES}
VIDEO = [name for name in NAMES if SPECS[name].kind == "video"]
IMAGE = [name for name in NAMES if SPECS[name].kind == "image"]
OFFICIAL = [
    "swin-tiny-k400",
    "swin-small-k400",
    "swin-base-k400",
    "swin-base-k400-in22k",
    "swin-base-k600",
    "swin-base-ssv2",
    "swin-base-k400-w16",
]
OTHERS = {
    "mmaction2": [
        "swin-tiny-k400-mmaction2",
        "swin-small-k400-mmaction2",
        "swin-base-k400-mmaction2",
        "swin-large-k400-mmaction2",
        "swin-large-k700-mmaction2",
        "swin-small-k710-mmaction2",
    ],
    "torchvision": [
        "swin-tiny-k400-torchvision",
        "swin-small-k400-torchvision",
        "swin-base-k400-torchvision",
        "swin-base-k400-in22k-torchvision",
    ],
    "paddlevideo": ["swin-small-k400-paddle", "swin-base-k400-paddle"],
    "microsoft": [
        "swin-tiny-in1k",
        "swin-small-in1k",
        "swin-base-in1k",
        "swin-base-in22k",
        "swin-base-in22k-w12",
        "swin-large-in22k",
        "swin-large-in22k-w12",
    ],
}
RECIPE_KEYS = {f"recipe_{field.name}" for field in fields(Recipe)}
KEYS = {"name", "kind", "labels"} | {
    field.name for kind in (Architecture, InputProtocol, Publication) for field in fields(kind)
}


def yaml_keys(name: str) -> set[str]:
    """Top-level keys by the text, so that no default can stand in for one."""
    text = (MODELS / f"{name}.yaml").read_text(encoding="utf-8")
    found = re.findall(r"^(\w+):", text, flags=re.MULTILINE)
    assert len(found) == len(set(found)), "a key twice"
    return set(found)


# --- every bundled file ---------------------------------------------------------------------------


def test_the_zoo_is_complete() -> None:
    wanted = {"official": OFFICIAL, **OTHERS}
    found: dict[str | None, set[str]] = {}
    for spec in SPECS.values():
        found.setdefault(spec.publication.publisher, set()).add(spec.name)
    assert found == {publisher: set(names) for publisher, names in wanted.items()}
    assert {"videoswin", *wanted} == set(PUBLISHERS)
    assert DEFAULT_MODEL in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_complete(name: str) -> None:
    spec, keys = SPECS[name], yaml_keys(name)
    assert spec.name == name
    assert keys - RECIPE_KEYS == KEYS - {"bundled"}
    # A whole recipe, or none where none was published.
    no_recipe = spec.publication.publisher == "torchvision" or name in [
        *IMAGE,
        "swin-base-k400-w16",
    ]
    assert keys & RECIPE_KEYS == (set() if no_recipe else RECIPE_KEYS)
    assert (spec.recipe is None) == no_recipe


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_commented_and_holds_no_inheritance(name: str) -> None:
    text = (MODELS / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert not re.search(r"<<:|^\w+: [&*]\w|^_?base", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_a_publication_has_all_that_is_needed_to_fetch_and_to_quote(name: str) -> None:
    source = SPECS[name].publication
    assert source.url
    assert source.url.startswith("https://")
    assert source.file == source.url.rpartition("/")[2]
    assert source.origin
    assert source.license
    assert source.pretraining
    assert source.file_mib
    digits = re.search(r"-([0-9a-f]{8})\.pth$", source.file)
    assert source.sha256 == (digits[1] if digits else None)
    if source.top1 is not None:
        assert 0 < source.top1 < (source.top5 or 100) < 100.1
        assert source.accuracy_source
    if SPECS[name].kind == "video":
        protocol = SPECS[name].protocol
        assert source.gmacs_per_view
        if source.top1 is not None:
            assert source.accuracy_source
            assert f"{protocol.clips}x{protocol.crops} views" in source.accuracy_source


@pytest.mark.parametrize("name", NAMES)
def test_sizes_fit_each_other(name: str) -> None:
    architecture, protocol = SPECS[name].architecture, SPECS[name].protocol
    assert len(architecture.depths) == len(architecture.num_heads) == 4
    for stage, heads in enumerate(architecture.num_heads):
        width = architecture.embed_dim * 2**stage
        assert width % heads == 0
        assert width // heads == 32  # in every published network
    assert architecture.patch_size == (2, 4, 4)
    assert architecture.window_size[1:] == (7, 7)
    assert protocol.clip_frames % architecture.patch_size[0] == 0
    assert protocol.crop_size <= protocol.short_side
    assert protocol.crop_size <= protocol.quick_short_side
    assert protocol.crops in (1, 3)
    assert all(0 < std < mean < 256 for mean, std in zip(protocol.mean, protocol.std, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_counted(name: str) -> None:
    spec = SPECS[name]
    with torch.device("meta"):
        network = Swin3D(spec.architecture)
    counted = sum(parameter.numel() for parameter in network.parameters())
    if spec.kind == "image":  # that of the image network with its head
        classes = 1000 if name.endswith("in1k") else 21841
        window = 12 if name.endswith("w12") else 7
        shapes = image_shapes(replace(spec.architecture, num_classes=classes), window=window)
        counted = sum(map(math.prod, shapes.values()))
    assert spec.publication.parameters == counted
    # A file holds these, and an index (N, N) of int64 a block; image files some masks too.
    assert spec.publication.file_mib is not None
    tokens = math.prod(spec.architecture.window_size) if spec.kind == "video" else 12**2
    most = 4 * counted + 8 * tokens**2 * sum(spec.architecture.depths)
    assert 4 * counted < spec.publication.file_mib * 2**20 < 1.03 * most


def test_the_k710_figures_are_ours() -> None:
    spec = SPECS["swin-small-k710-mmaction2"]
    assert spec.publication.parameters == 50055068
    assert spec.publication.gmacs_per_view == pytest.approx(165.7, abs=0.05)
    text = (MODELS / "swin-small-k710-mmaction2.yaml").read_text()
    assert "# The row of mmaction2's README repeats the figures of Swin-L" in text


def test_names_and_files_are_unique() -> None:
    for key in ("url", "file"):
        found = [getattr(spec.publication, key) for spec in SPECS.values()]
        assert len(set(found)) == len(found) == len(NAMES)


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ("mmaction2", OTHERS["mmaction2"]),
        ("torchvision", OTHERS["torchvision"]),
        ("uniform", ["swin-base-ssv2"]),
    ],
)
def test_each_model_names_its_sampling_rule(rule: str, names: list[str]) -> None:
    assert {n for n in VIDEO if SPECS[n].protocol.sampling == rule} == set(names)


def test_protocols() -> None:
    ssv2 = SPECS["swin-base-ssv2"]
    assert (ssv2.protocol.clips, ssv2.protocol.crops) == (1, 3)
    assert ssv2.architecture.window_size == (16, 7, 7)
    assert ssv2.architecture.num_classes == 174
    for name in OTHERS["torchvision"]:
        protocol = SPECS[name].protocol
        assert (protocol.clips, protocol.crops, protocol.frame_rate) == (12, 1, 15)
        assert protocol.resize == "torchvision"
    others = set(VIDEO) - {"swin-base-ssv2", *OTHERS["torchvision"]}
    assert {(SPECS[n].protocol.clips, SPECS[n].protocol.crops) for n in others} == {(4, 3)}
    assert {SPECS[name].protocol.frame_rate for name in others} == {None}


def test_large_models_are_large() -> None:
    for name, spec in SPECS.items():
        size = name.split("-")[1]
        width = {"tiny": 96, "small": 96, "base": 128, "large": 192}[size]
        assert spec.architecture.embed_dim == width
        assert spec.architecture.depths == (2, 2, 6 if size == "tiny" else 18, 2)


def test_order_is_video_before_image_then_publisher_then_size() -> None:
    first, *specs = list_specs()
    assert [first.name] == OURS
    assert [spec.name for spec in specs[: len(OFFICIAL)]][:3] == OFFICIAL[:3]
    assert [spec.kind for spec in specs] == ["video"] * len(VIDEO) + ["image"] * len(IMAGE)
    publishers = [spec.publication.publisher for spec in specs]
    assert publishers == sorted(publishers, key=PUBLISHERS.index)
    for publisher in PUBLISHERS:
        sizes = [s.publication.parameters for s in specs if s.publication.publisher == publisher]
        assert sizes == sorted(sizes)  # type: ignore[type-var]
    assert sorted(spec.name for spec in specs) == sorted(NAMES)
    assert model_names() == sorted([*NAMES, *OURS])


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_there_and_as_many_as_classes(name: str) -> None:
    spec = SPECS[name]
    assert (spec.labels is None) == (spec.kind == "image") == (spec.architecture.num_classes == 0)
    if spec.labels is not None:
        assert spec.labels == LABELS / f"{spec.publication.dataset}.txt"
        labels = read_labels(spec.labels, num_classes=spec.architecture.num_classes)
        assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("dataset", "first", "sixth", "last"),
    [
        ("kinetics400", "abseiling", "archery", "zumba"),
        ("kinetics600", "abseiling", "answering questions", "zumba"),
        ("kinetics700", "abseiling", "answering questions", "zumba"),
        (
            "sthv2",
            "Approaching something with your camera",
            "Closing something",
            "Wiping something off of something",
        ),
    ],
)
def test_labels_are_in_alphabetical_order(dataset: str, first: str, sixth: str, last: str) -> None:
    labels = (LABELS / f"{dataset}.txt").read_text(encoding="utf-8").splitlines()
    assert labels == sorted(labels)
    assert (labels[0], labels[5], labels[-1]) == (first, sixth, last)


def test_the_labels_of_k710_are_those_of_k400_and_then_more() -> None:
    """Sorting them would spoil every answer. Thirteen carry another name than in Kinetics-400."""
    k400 = read_labels(LABELS / "kinetics400.txt", num_classes=400)
    k710 = read_labels(LABELS / "kinetics710.txt", num_classes=710)
    renamed = {old: new for old, new in zip(k400, k710, strict=False) if old != new}
    assert len(renamed) == 13
    assert renamed["balloon blowing"] == "inflating balloons"
    assert list(k710) != sorted(k710)
    assert k710[399:402] == ("zumba", "poaching eggs", "playing nose flute")


def test_read_labels(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffÜben\r\n\r\n  two words \r\nthree".encode())
    assert read_labels(path, num_classes=3) == ("Üben", "two words", "three")
    with pytest.raises(UsageError, match=r"mine\.txt holds 3 class names, the model has 4 class"):
        read_labels(path, num_classes=4)
    path.write_bytes(b"\xff\xfe")
    for wrong in (path, tmp_path / "none.txt", tmp_path):
        with pytest.raises(UsageError, match=f"cannot read the labels {re.escape(str(wrong))}: "):
            read_labels(wrong, num_classes=3)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("swin-tinny-k400", "swin-tiny-k400"),
        ("swin_tiny_k400", "swin-tiny-k400"),
        ("Swin-Tiny-K400", "swin-tiny-k400"),
        ("swin-t-k400", "swin-tiny-k400"),
        ("swin-base-k40", "swin-base-k400"),
        ("swin-base-22k", "swin-base-in22k"),
        ("swin-large-k700", "swin-large-k700-mmaction2"),
        ("swin-base-ssv2.yaml.bak", "swin-base-ssv2"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_spec(name)
    assert caught.value.message == f"unknown model {name!r}"
    assert nearest in caught.value.hint.removeprefix("nearest: ").split(", ")


@pytest.mark.parametrize("name", ["resnet", "", "x" * 300, "../models/swin-tiny-k400", "a\0b", "."])
def test_a_name_like_no_other_gets_a_hint(name: str) -> None:
    with pytest.raises(UsageError, match="unknown model") as caught:
        load_spec(name)
    assert caught.value.hint


def test_a_yaml_is_told_by_its_suffix(tmp_path: Path) -> None:
    assert load_spec(str(MODELS / "swin-base-ssv2.yaml")) == SPECS["swin-base-ssv2"]
    with pytest.raises(UsageError, match=r"cannot read .*mine\.yml"):
        load_spec(str(tmp_path / "mine.yml"))


# --- a file of one's own --------------------------------------------------------------------------


def nano(**changes: Any) -> dict[str, Any]:
    """All that one's own model must say."""
    spec = SPECS["swin-tiny-k400"]
    data = {"name": "mine", "kind": "video", **asdict(spec.architecture), **asdict(spec.protocol)}
    return {**data, "embed_dim": 24, "num_classes": 3, **changes}


def read(tmp_path: Path, data: dict[str, Any]) -> ModelSpec:
    path = tmp_path / "mine.yaml"
    path.write_text(
        yaml.safe_dump({k: list(v) if type(v) is tuple else v for k, v in data.items()})
    )
    return read_spec(path)


def test_ones_own_model_needs_no_publication(tmp_path: Path) -> None:
    spec = read(tmp_path, nano())
    assert (spec.name, spec.kind, spec.labels, spec.recipe) == ("mine", "video", None, None)
    assert spec.publication == Publication()
    assert spec.protocol == SPECS["swin-tiny-k400"].protocol
    assert spec.architecture.embed_dim == 24


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("kinetics400", lambda folder: LABELS / "kinetics400.txt"),
        ("names.txt", lambda folder: folder / "names.txt"),
        ("sub/names.txt", lambda folder: folder / "sub/names.txt"),
        ("/data/names.txt", lambda folder: Path("/data/names.txt")),
        (None, lambda folder: None),
    ],
)
def test_labels_are_bundled_or_beside_the_file(
    tmp_path: Path, value: str | None, place: Callable[[Path], Path | None]
) -> None:
    assert read(tmp_path, nano(labels=value)).labels == place(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"widnow_size": [8, 7, 7]}, "unknown key 'widnow_size'", "window_size"),
        ({"layer_norm": 1}, "unknown key 'layer_norm'", "patch_norm"),
        ({"xyz": 1}, "unknown key 'xyz'", "known keys: accuracy_source, "),
        ({"recipe_lrr": 1}, "unknown key 'recipe_lrr'", "recipe_lr"),
        ({"kind": "audio"}, "kind: expected video or image, found 'audio'", ""),
        ({"kind": ["video"]}, r"kind: expected video or image, found \['video'\]", ""),
        ({"embed_dim": "96"}, "embed_dim: expected a whole number from 1 to 1024, found '96'", ""),
        (
            {"window_size": [8, 7]},
            "window_size: expected a list of 3 whole numbers from 1 to 64",
            "",
        ),
        (
            {"sampling": "random"},
            "sampling: expected one of official, mmaction2, ",
            "",
        ),
        ({"qkv_bias": 1}, "qkv_bias: expected true or false, found 1", ""),
        ({"recipe_lr": 1e-3}, "missing key .*'recipe_betas', ", ""),
        ({"labels": 400}, "labels: expected text or null, found 400", ""),
        ({"labels": ["a", "b", "c"]}, r"labels: expected text or null, found \['a', 'b", ""),
        ({"name": None}, "name: expected text, found nothing", ""),
        ({"name": 7}, "name: expected text, found 7", ""),
        ({"embed_dim": -96}, "embed_dim: expected a number from 1 to 1024, found -96", ""),
        ({"embed_dim": 25}, "embed_dim: 25 cannot be shared", ""),
        ({"depths": [2, 2]}, "depths and num_heads: expected as many of each, found 2 and 4", ""),
        (
            {"window_size": [0, 7, 7]},
            r"window_size: expected numbers from 1 to 64, found \[0, ",
            "",
        ),
        ({"depths": [], "num_heads": []}, "depths: expected from 1 to 8 of them, found 0", ""),
        ({"mlp_ratio": float("nan")}, "mlp_ratio: expected a number above 0 to 16, found nan", ""),
        ({"num_classes": -1}, "num_classes: expected a number from 0 to 100000, found -1", ""),
        ({"clip_frames": 0}, "clip_frames: expected a number from 1 to 1024, found 0", ""),
        (
            {"clip_frames": 10**9},
            "clip_frames: expected a number from 1 to 1024, found 1000000000",
            "",
        ),
        ({"interval_frames": 0}, "interval_frames: expected a number from 1 to 1000", ""),
        ({"clips": 0}, "clips: expected a number from 1 to 999", ""),
        ({"crops": 2}, "crops: expected 1 or 3, found 2", ""),
        ({"crop_size": 0}, "crop_size: expected a number from 1 to 1024", ""),
        ({"crop_size": 448}, "short_side: 224 px have no room for crops of 448 px", ""),
        ({"frame_rate": 0.0}, "frame_rate: expected a number above 0 to 1000", ""),
        ({"std": [58.0, 0.0, 57.0]}, "std: expected numbers above 0 to 1000", ""),
    ],
)
def test_a_wrong_file_is_told(
    tmp_path: Path, changes: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=rf"mine\.yaml: {message}") as caught:
        read(tmp_path, nano(**changes))
    assert hint in caught.value.hint


@pytest.mark.parametrize("key", sorted(nano()))
def test_a_missing_key_is_told(tmp_path: Path, key: str) -> None:
    data = nano()
    del data[key]
    with pytest.raises(UsageError, match=rf"mine\.yaml: missing key '{key}'$"):
        read(tmp_path, data)


# --- and back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_flat_keys_and_back(name: str) -> None:
    spec = SPECS[name]
    flat = flatten_spec(spec)
    assert parse_spec(flat, source="x", folder=None) == replace(spec, labels=None)
    # All keys of the file but the labels, with the values that stand there.
    raw = yaml.safe_load((MODELS / f"{name}.yaml").read_text(encoding="utf-8"))
    assert flat.keys() | {"labels"} == raw.keys()
    for key, value in flat.items():
        assert (list(value) if isinstance(value, tuple) else value) == raw[key], key
