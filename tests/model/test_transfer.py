"""Weights that start another network."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import TINY

from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.model.transfer import (
    fresh_tensors,
    motion_energy_filters,
    resize_bias_table,
    transfer,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(**changes: object) -> Swin3D:
    return Swin3D(replace(TINY, **changes))  # type: ignore[arg-type]


# --- bias tables ----------------------------------------------------------------------------------


def table_of(function: object, window: tuple[int, int, int]) -> torch.Tensor:
    """A table whose rows are a function of the distance."""
    axes = [torch.arange(1.0 - n, n) for n in window]
    grid = torch.meshgrid(*axes, indexing="ij")
    values = function(*grid)  # type: ignore[operator]
    return torch.stack([values.flatten(), -values.flatten()], dim=1)


@pytest.mark.parametrize("new", [(16, 7, 7), (4, 7, 7), (8, 12, 12), (16, 5, 9)])
def test_what_does_not_depend_on_distance_stays(new: tuple[int, int, int]) -> None:
    table = table_of(lambda t, h, w: torch.full_like(t, 3.0), (8, 7, 7))
    found = resize_bias_table(table, (8, 7, 7), new)
    assert torch.allclose(found, table_of(lambda t, h, w: torch.full_like(t, 3.0), new), atol=1e-5)


@pytest.mark.parametrize("time", [4, 9, 16, 32])
def test_time_is_resized_linearly_and_space_is_left_alone(time: int) -> None:
    table = table_of(lambda t, h, w: t + 10 * h + 100 * w, (8, 3, 3))
    found = resize_bias_table(table, (8, 3, 3), (time, 3, 3))[:, 0]
    found = found.reshape(2 * time - 1, 5, 5)
    expected = np.interp(
        (np.arange(2 * time - 1) + 0.5) * 15 / (2 * time - 1) - 0.5, np.arange(15), np.arange(-7, 8)
    )
    assert np.abs(found[:, 2, 2].numpy() - expected).max() < 1e-4
    assert torch.allclose(found[0, :, 2] - found[0, 2, 2], 10 * torch.arange(-2.0, 3), atol=1e-3)
    assert abs(found[time - 1, 2, 2]) < 1e-4, "no distance stays no distance"


def test_space_is_resized_as_for_image_weights() -> None:
    table = torch.randn(15 * 23 * 23, 4, generator=generator())
    found = resize_bias_table(table, (8, 12, 12), (8, 7, 7)).reshape(15, 13, 13, 4)
    plane = table.reshape(15, 23, 23, 4)[3].permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(
        plane, size=(13, 13), mode="bicubic", align_corners=False
    )
    assert torch.allclose(found[3].permute(2, 0, 1)[None], expected, atol=1e-6)


def test_equal_windows_change_nothing() -> None:
    table = torch.randn(15 * 13 * 13, 3, generator=generator())
    assert torch.equal(resize_bias_table(table, (8, 7, 7), (8, 7, 7)), table)


# --- what comes from where ------------------------------------------------------------------------


def test_a_new_head_on_the_old_backbone() -> None:
    old, new = network(num_classes=7), network(num_classes=3)
    done = transfer(
        old.state_dict(),
        new.state_dict(),
        source_architecture=TINY,
        architecture=replace(TINY, num_classes=3),
    )
    assert set(done.new) == {"head.weight", "head.bias"}
    assert set(done.loaded) == old.state_dict().keys() - set(done.new)
    assert (done.resized, done.inflated, done.kept_classes) == ((), (), ())
    for name in done.loaded:
        assert torch.equal(done.tensors[name], old.state_dict()[name])
    for name in done.new:
        assert torch.equal(done.tensors[name], new.state_dict()[name])
    new.load_state_dict(done.tensors)
    assert done.summary == f"{len(done.loaded)} tensors loaded; 2 new (head)"


def test_classes_of_the_same_name_keep_their_rows() -> None:
    old, new = network(num_classes=3), network(num_classes=4)
    done = transfer(
        old.state_dict(),
        new.state_dict(),
        source_architecture=replace(TINY, num_classes=3),
        architecture=replace(TINY, num_classes=4),
        source_labels=("Riding a bike", "jump", "walk"),
        labels=("swim", "WALK", "fly", "riding_a_bike"),
    )
    assert done.kept_classes == ("WALK", "riding_a_bike")
    for name in ("head.weight", "head.bias"):
        found, before = done.tensors[name], old.state_dict()[name]
        assert torch.equal(found[1], before[2])
        assert torch.equal(found[3], before[0])
        for row in (0, 2):
            assert torch.equal(found[row], new.state_dict()[name][row])


def test_another_window_resizes_every_table() -> None:
    wider = replace(TINY, window_size=(4, 3, 3))
    old, new = network(), network(window_size=(4, 3, 3))
    for name, parameter in old.named_parameters():
        if name.endswith("relative_position_bias_table"):
            torch.nn.init.normal_(parameter, generator=generator())
    done = transfer(
        old.state_dict(), new.state_dict(), source_architecture=TINY, architecture=wider
    )
    assert len(done.resized) == 3
    for name in done.resized:
        expected = resize_bias_table(old.state_dict()[name], (2, 3, 3), (4, 3, 3))
        assert torch.equal(done.tensors[name], expected)
    assert "3 tensors resized" in done.summary


def test_from_scratch_everything_is_new() -> None:
    new = network()
    fresh = fresh_tensors(new.state_dict(), generator(), for_motion=False)
    done = transfer({}, fresh, source_architecture=TINY, architecture=TINY)
    assert set(done.new) == new.state_dict().keys()
    new.load_state_dict(done.tensors)


def test_initialisation_is_that_of_the_references() -> None:
    shapes = network(embed_dim=32).state_dict()
    fresh = fresh_tensors(shapes, generator(), for_motion=False)
    assert {name: value.shape for name, value in fresh.items()} == {
        name: value.shape for name, value in shapes.items()
    }
    assert fresh["layers.0.blocks.0.mlp.fc1.weight"].std() == pytest.approx(0.02, rel=0.15)
    assert torch.equal(fresh["layers.0.blocks.0.norm1.weight"], torch.ones(32))
    assert not fresh["layers.0.blocks.0.attn.qkv.bias"].any()
    again = fresh_tensors(shapes, generator(), for_motion=False)
    other = fresh_tensors(shapes, generator(1), for_motion=False)
    name = "layers.0.blocks.0.attn.qkv.weight"
    assert torch.equal(fresh[name], again[name])
    assert not torch.equal(fresh[name], other[name])


def grating(angle: float, steps: int) -> torch.Tensor:
    """Two frames of a wave of 5 px that moves 1.25 px a frame towards `angle`; (3, 2, 4, 4)."""
    y, x = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
    across = x * math.cos(angle) + y * math.sin(angle)
    frames = [torch.cos(2 * math.pi / 5 * (across - 1.25 * (t + steps))) for t in range(2)]
    return torch.stack(frames).expand(3, -1, -1, -1)


@pytest.mark.parametrize("count", [32, 96, 30])
def test_motion_filters_tell_directions(count: int) -> None:
    filters = motion_energy_filters((count, 3, 2, 4, 4))
    assert filters.shape == (count, 3, 2, 4, 4)
    assert filters.flatten(1).norm(dim=1) == pytest.approx(torch.ones(count), abs=1e-5)
    assert filters.mean(dim=(2, 3, 4)).abs().max() < 1e-6, "even brightness gives nothing"
    directions = math.ceil(count / 4)
    for number in range(directions):
        angle = 2 * math.pi * number / directions
        # wherever the wave is, the pair of its own direction answers more than that of the opposite
        for steps in range(4):
            answers = (filters * grating(angle, steps)).flatten(1).sum(dim=1) ** 2
            energies = answers[: 2 * directions].view(directions, 2).sum(dim=1)
            opposite = (number + directions // 2) % directions
            assert energies[number] > 4 * energies[opposite]


def test_start_for_motion_has_wide_matrices_and_a_small_head() -> None:
    shapes = network(embed_dim=32, num_classes=100).state_dict()
    fresh = fresh_tensors(shapes, generator(), for_motion=True)
    name = "layers.0.blocks.0.mlp.fc2.weight"
    spread = 1.7 / math.sqrt(fresh[name].shape[1]) * 0.88  # of a normal cut at two deviations
    assert fresh[name].std() == pytest.approx(spread, rel=0.1)
    assert fresh["head.weight"].std() == pytest.approx(0.02 * 0.88, rel=0.1)
    assert fresh["layers.0.blocks.0.attn.relative_position_bias_table"].std() < 0.03


# --- the network in training ----------------------------------------------------------------------


def test_drop_path_rises_and_acts_in_training_only() -> None:
    net = network(depths=(2, 2), num_heads=(2, 4))
    rates = [block.drop_path_rate for stage in net.layers for block in stage.blocks]
    assert rates == [0, 0, 0, 0]
    dropping = Swin3D(replace(TINY, depths=(2, 2)), drop_path_rate=0.3)
    rates = [block.drop_path_rate for stage in dropping.layers for block in stage.blocks]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3])
    clips = torch.randn(2, 3, 4, 32, 32, generator=generator())
    dropping.load_state_dict(net.state_dict())
    assert torch.equal(dropping.eval()(clips), net.eval()(clips))
    torch.manual_seed(0)
    outputs = torch.stack([dropping.train()(clips) for _ in range(8)])
    assert outputs.std(dim=0).max() > 1e-4
    torch.manual_seed(0)
    assert torch.equal(dropping(clips), outputs[0])


def test_drop_path_keeps_the_mean() -> None:
    from videoswin_cli.model.swin3d import drop_path

    torch.manual_seed(0)
    x = torch.ones(20_000, 2)
    found = drop_path(x, 0.25)
    assert sorted(set(found.flatten().tolist())) == pytest.approx([0, 4 / 3])
    assert found.mean() == pytest.approx(1, abs=0.02)
    assert drop_path(x, 0.0) is x


def test_head_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    net = Swin3D(TINY, head_dropout=0.5)
    clips = torch.randn(1, 3, 4, 32, 32, generator=generator())
    assert not torch.equal(net.train()(clips), net(clips))
    assert torch.equal(net.eval()(clips), net(clips))


def test_recomputing_changes_no_gradient() -> None:
    torch.manual_seed(0)
    net = Swin3D(TINY, drop_path_rate=0.5).train()
    clips = torch.randn(2, 3, 4, 32, 32, generator=generator())
    gradients = []
    for wanted in (False, True):
        net.recompute(wanted)
        torch.manual_seed(1)
        net.zero_grad()
        net(clips).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in net.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        assert torch.allclose(plain, recomputed, atol=1e-6)
