"""Weights on the disk while OpenVINO computes: the same numbers, and no memory."""

import gc
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_forward import random_network
from torch import nn

from videoswin_cli.model.inference_plan import InferencePlan
from videoswin_cli.model.openvino.offload import offload

ROWS = 4096  # of 4 KiB: 16 MiB


def anonymous_mib() -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) / 1024


def test_a_network_gives_the_same_bits() -> None:
    network, clips = random_network(), torch.randn(1, 3, 8, 56, 56)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.inference_mode():  # as the loop that computes videos is
        answers = InferencePlan(network)(clips)
        offload(network)
        assert torch.equal(InferencePlan(network)(clips), answers)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(each.data_ptr() % 64 == 0 for each in network.parameters())


def test_a_network_can_be_trained() -> None:
    network = nn.Linear(8, 8)
    expected = network.bias.detach() - 0.1 * 2
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    offload(network)
    network(torch.ones(2, 8)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(network.bias.detach(), expected)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="nobody tells the memory here")
def test_weights_leave_memory_and_come_back() -> None:
    network = nn.Linear(1024, ROWS)
    total = network.weight.sum()
    held = anonymous_mib()
    offload(network)
    gc.collect()
    assert held - anonymous_mib() > 15
    assert torch.equal(network.weight.sum(), total)
    assert held - anonymous_mib() > 15  # as pages of the file


def test_parts_without_order_or_numbers_are_kept() -> None:
    network = nn.Linear(3, 5)
    network.weight = nn.Parameter(torch.randn(3, 5).t())
    network.empty = nn.Parameter(torch.empty(0, 4))
    before = network.weight.clone()
    offload(network)
    assert torch.equal(network.weight, before)
    assert network.empty.shape == (0, 4)


def test_memory_keeps_what_the_disk_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Linear(8, 8)
    places = [each.data_ptr() for each in network.parameters()]

    class Full(tempfile.SpooledTemporaryFile[bytes]):
        def write(self, *_: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("videoswin_cli.model.openvino.offload.TemporaryFile", Full)
    offload(network)
    assert [each.data_ptr() for each in network.parameters()] == places
