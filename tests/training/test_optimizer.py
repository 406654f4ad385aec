import math

import pytest
import torch
from tiny import TINY

from videoswin_cli.errors import UsageError
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.training.ema import EMA
from videoswin_cli.training.optimizer import (
    group_parameters,
    make_optimizer,
    schedule,
    set_lr,
)
from videoswin_cli.training.recipe import Recipe, read_recipe


def recipe(*changes: str) -> Recipe:
    return read_recipe(None, list(changes))


def rates(*changes: str) -> dict[str, tuple[float, float]]:
    """Parameter -> learning rate for a head rate of 1, and weight decay."""
    network = Swin3D(TINY)
    chosen = recipe("weight_decay=0.02", *changes)
    optimizer = make_optimizer(network, group_parameters(network, chosen), chosen)
    set_lr(optimizer, 1.0)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_groups_are_those_of_mmaction2() -> None:
    """The table `optimizer_groups.mmaction2_1x` of the references, here for a head rate of 1."""
    found = rates()
    assert found.keys() == dict(Swin3D(TINY).named_parameters()).keys()
    for name, (lr, decay) in found.items():
        head, norm = name.startswith("head."), "norm" in name
        table = name.endswith("relative_position_bias_table")
        assert lr == pytest.approx(1.0 if head else 0.1), name
        assert decay == (0.0 if norm or table else 0.02), name


def test_layers_below_learn_slower() -> None:
    found = rates("layer_decay=0.5", "backbone_lr_mult=1")
    # 3 blocks: the head 1, the last norm and block a half, ..., the patch embedding 1/16
    assert found["head.weight"][0] == 1
    assert found["norm.weight"][0] == 0.5
    assert found["layers.1.blocks.0.attn.qkv.weight"][0] == 0.5
    assert found["layers.0.downsample.reduction.weight"][0] == 0.25
    assert found["layers.0.blocks.1.mlp.fc1.weight"][0] == 0.25
    assert found["layers.0.blocks.0.norm1.weight"][0] == 0.125
    assert found["patch_embed.proj.weight"][0] == 0.0625


def test_the_schedule_warms_up_and_falls_to_nothing() -> None:
    shares = [schedule(step, steps=100, warmup_steps=10, warmup_start=0.1) for step in range(101)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[5] == pytest.approx(0.55)
    assert shares[10] == 1
    assert shares[55] == pytest.approx(0.5)
    assert shares[100] == pytest.approx(0)
    assert max(shares) == 1
    assert schedule(0, steps=1, warmup_steps=0, warmup_start=0.1) == 1


def test_averaged_weights_follow() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, 0.0)
    averaged = EMA(network, 0.9)
    expected = 0.0
    for step in range(50):
        network.weight.data.fill_(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        averaged.update(network, step)
        assert averaged.tensors["weight"].item() == pytest.approx(expected, rel=1e-5)
    assert math.isclose(network.weight.item(), 49)


@pytest.mark.parametrize("name", ["encoder", "layers", "patch_embedding"])
def test_parameters_of_other_names_get_no_rate(name: str) -> None:
    """To guess would give all of them one depth."""
    network = torch.nn.ModuleDict({name: torch.nn.Linear(1, 1)})
    with pytest.raises(UsageError, match=f"parameter '{name}.weight' is of no Video Swin network"):
        group_parameters(network, recipe())
