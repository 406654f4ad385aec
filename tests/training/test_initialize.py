"""What training starts from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from formula import image_shapes
from tiny import PROTOCOL, TINY

from videoswin_cli.data.augment import Augmentation
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import flatten_spec, load_spec
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.training.initialize import (
    Initialized,
    freeze,
    initialize_model,
    spec_for,
    train_mode,
)
from videoswin_cli.training.inputs import ClipInputs, EvalLoader
from videoswin_cli.training.recipe import read_recipe

CLASSES = ("a", "b", "c")


def start(
    model: str, *changes: str, checkpoint: Path | None = None, scratch: bool = False
) -> Initialized:
    recipe = read_recipe(None, list(changes))
    spec = spec_for(model, recipe, CLASSES, name="mine", scratch=scratch)
    return initialize_model(model, spec, recipe, CLASSES, checkpoint=checkpoint, scratch=scratch)


@pytest.fixture
def image_model(tmp_path: Path) -> tuple[str, Path]:
    """A tiny image network: YAML and weights with windows of 5x5 tokens."""
    sizes = replace(TINY, num_classes=0)
    spec = flatten_spec(
        replace(load_spec("swin-tiny-in1k"), name="image", architecture=sizes, protocol=PROTOCOL)
    )
    (tmp_path / "image.yaml").write_text(yaml.safe_dump(spec))
    shapes = image_shapes(replace(TINY, num_classes=9), window=5)
    torch.manual_seed(0)
    tensors = {name: torch.randn(shape) for name, shape in shapes.items()}
    torch.save({"model": tensors}, tmp_path / "image.pth")
    return str(tmp_path / "image.yaml"), tmp_path / "image.pth"


def test_image_weights_are_inflated(image_model: tuple[str, Path]) -> None:
    model, checkpoint = image_model
    found = start(model, checkpoint=checkpoint)
    names = found.model.module.state_dict().keys()
    assert set(found.transfer.inflated) == names - {"head.weight", "head.bias"}
    assert found.transfer.loaded == ()
    assert "tensors inflated; 2 new (head)" in found.transfer.summary
    patch = read_checkpoint(checkpoint).tensors["model.patch_embed.proj.weight"]
    own = found.model.module.state_dict()["patch_embed.proj.weight"]
    assert torch.allclose(own.sum(dim=2), patch, atol=1e-6)


def test_what_the_new_model_is(tiny: str) -> None:
    found = start(tiny, "crop_size=64", "clip_frames=6", "window_size=[4,3,3]")
    spec = found.model.spec
    assert (spec.name, spec.architecture.num_classes, spec.publication.pretraining) == (
        "mine",
        3,
        "tiny",
    )
    assert (spec.protocol.crop_size, spec.protocol.short_side) == (64, 64)
    assert (spec.protocol.quick_short_side, spec.protocol.clip_frames) == (72, 6)
    assert found.model.labels == CLASSES
    assert len(found.transfer.resized) == 3


def test_scratch_follows_from_the_seed(tiny: str) -> None:
    weights = [
        start(tiny, f"seed={seed}", scratch=True).model.module.state_dict() for seed in (0, 0, 1)
    ]
    name = "layers.0.blocks.0.attn.qkv.weight"
    assert torch.equal(weights[0][name], weights[1][name])
    assert not torch.equal(weights[0][name], weights[2][name])
    filters = start(tiny, "init=motion", scratch=True).model.module.state_dict()
    assert filters["patch_embed.proj.weight"].mean(dim=(2, 3, 4)).abs().max() < 1e-6


def test_rates_of_the_network_are_those_of_the_recipe(tiny: str) -> None:
    network = start(
        tiny, "drop_path_rate=0.4", "head_dropout=0.3", "checkpointing=true"
    ).model.module
    block: Any = network.get_submodule("layers.1.blocks.0")
    assert block.drop_path_rate == pytest.approx(0.4)
    assert network.head_dropout == 0.3
    assert all(stage.recompute for stage in network.layers)


@pytest.mark.parametrize(
    ("freeze", "trained"),
    [
        ("none", {"patch_embed", "layers.0", "layers.1", "norm", "head"}),
        ("stages:1", {"layers.1", "norm", "head"}),
        ("stages:2", {"norm", "head"}),
        ("backbone", {"head"}),
    ],
)
def test_frozen_parts(freeze: str, trained: set[str], tiny: str) -> None:
    network = start(tiny, f"freeze={freeze}").model.module
    found = {
        ".".join(name.split(".")[: 2 if name.startswith("layers") else 1])
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    assert found == trained


@pytest.mark.parametrize(
    ("freeze", "still"), [("none", 0), ("stages:1", 1), ("stages:2", 2), ("backbone", 2)]
)
def test_frozen_stages_answer_as_in_evaluation(freeze: str, still: int, tiny: str) -> None:
    """Drop path is off in them and on in all others; after a validation too."""
    network = start(tiny, f"freeze={freeze}", "drop_path_rate=0.9").model.module
    reading = EvalLoader(
        sampling=PROTOCOL,
        opening=OpenOptions(),
        runtime=Runtime(device=torch.device("cpu"), dtype=torch.float32),
        dtype=torch.float32,
        workers=0,
        batch_size=1,
    )
    inputs = ClipInputs(network, [], reading=reading, augmentation=Augmentation(), seed=0)
    torch.manual_seed(0)
    clips = torch.randn(8, 3, 4, 32, 32)

    def answers(stage: int) -> torch.Tensor:
        return network.forward_features(clips, stage=stage)

    network.eval()
    evaluated = [answers(stage) for stage in (1, 2)]
    for begin in (lambda: train_mode(network), lambda: list(inputs.logits([]))):
        begin()
        for stage in (1, 2):
            assert torch.equal(answers(stage), evaluated[stage - 1]) == (stage <= still)
            assert torch.equal(answers(stage), answers(stage)) == (stage <= still)
        assert network.training, "dropout of the head stays on"


def test_what_cannot_be(tiny: str) -> None:
    with pytest.raises(UsageError, match="has 2 stages, not 3"):
        start(tiny, "freeze=stages:3")
    with pytest.raises(UsageError, match="would keep random weights"):
        start(tiny, "freeze=backbone", scratch=True)


def test_a_network_of_other_names_is_not_frozen() -> None:
    """To guess would freeze all of it, or nothing."""
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    network.layers = torch.nn.ModuleList([torch.nn.Linear(2, 2)])
    for parts in ("stages:1", "backbone"):
        with pytest.raises(UsageError, match=r"parameter '0\.weight' is of no Video Swin network"):
            freeze(network, read_recipe(None, [f"freeze={parts}"]))
    assert all(parameter.requires_grad for parameter in network.parameters())
