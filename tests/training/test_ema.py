"""Averaged weights in the network: for a validation, and never longer."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from few_clips import train, write_few
from torch import Tensor, nn

from videoswin_cli.training import trainer as module
from videoswin_cli.training.ema import EMA
from videoswin_cli.training.trainer import Trainer


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def test_own_weights_are_put_back_whatever_happens() -> None:
    network = nn.Linear(2, 2)
    network.bias.requires_grad_(False)
    own, averages = weights_of(network), EMA(network, 0.9)
    assert averages.tensors.keys() == {"weight"}
    averages.tensors["weight"].fill_(7)
    seen = []
    with suppress(KeyError), averages.applied(network):
        seen.append(network.weight.mean().item())
        raise KeyError
    assert seen == [7]
    assert torch.equal(network.weight, own["weight"])
    averages.tensors["weight"] = torch.zeros(3, 3)  # cannot be copied
    with pytest.raises(RuntimeError), averages.applied(network):
        raise AssertionError
    assert torch.equal(network.weight, own["weight"])


def test_a_validation_that_fails_leaves_the_trained_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    update, make = EMA.update, Trainer.__init__

    def kept(trainer: Trainer, *args: Any, **more: Any) -> None:
        make(trainer, *args, **more)
        seen["trainer"] = trainer

    def trained(averages: EMA, network: nn.Module, step: int) -> None:
        update(averages, network, step)
        seen["trained"] = weights_of(network)

    def fail(*_: Any, **__: Any) -> None:
        seen["validated"] = weights_of(seen["trainer"].model.network)
        raise MemoryError

    monkeypatch.setattr(Trainer, "__init__", kept)
    monkeypatch.setattr(EMA, "update", trained)
    monkeypatch.setattr(module, "validate", fail)
    with pytest.raises(MemoryError):
        train(write_few(tmp_path), tmp_path / "o")
    after = weights_of(seen["trainer"].model.network)
    assert all(torch.equal(after[name], seen["trained"][name]) for name in after)
    assert not torch.equal(seen["validated"]["head.bias"], after["head.bias"])
