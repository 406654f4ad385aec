"""Gradients of the training plan against those that autograd finds for the network itself."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from golden_forward import TINY
from torch import Tensor, nn

from videoswin_cli.model import training_plan
from videoswin_cli.model.swin3d import MLP, Swin3D
from videoswin_cli.model.training_plan import TrainingPlan

# Shifted, padded, and with windows cut to the clip; one clip and several.
SIZES = [(2, 3, 16, 64, 64), (1, 3, 9, 75, 66), (3, 3, 5, 32, 40), (1, 3, 24, 116, 64)]

Forward = Callable[[Tensor], Tensor]


def make(dtype: torch.dtype = torch.float64, *, drop: float = 0.0, qkv_bias: bool = True) -> Swin3D:
    torch.manual_seed(0)
    sizes = replace(TINY, depths=(2, 2), num_heads=(2, 4), qkv_bias=qkv_bias)
    network = Swin3D(sizes, drop_path_rate=drop).to(dtype).train()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network


def pass_through(network: Swin3D, forward: Forward, clips: Tensor) -> list[Tensor]:
    """Logits and the gradients of all parameters that have one; the next draw of torch."""
    torch.manual_seed(5)
    logits = forward(clips)
    (logits * torch.arange(1, logits.shape[1] + 1)).sum().backward()
    found = [p.grad for p in network.parameters() if p.grad is not None]
    for parameter in network.parameters():
        parameter.grad = None
    return [logits.detach(), *found, torch.rand(1)]


def check(network: Swin3D, clips: Tensor, *, within: float) -> None:
    expected = pass_through(network, network, clips)
    found = pass_through(network, TrainingPlan(network), clips)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= within * other.abs().max()


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_those_of_the_network(size: tuple[int, ...], recompute: bool) -> None:
    network = make()
    network.recompute(recompute)
    check(network, torch.randn(size, dtype=torch.float64), within=1e-11)


@pytest.mark.parametrize("recompute", [False, True])
def test_drop_path_drops_the_same_branches(recompute: bool) -> None:
    network = make(drop=0.6)
    network.recompute(recompute)
    check(network, torch.randn(4, 3, 8, 64, 32, dtype=torch.float64), within=1e-11)


def test_float32_and_no_bias_of_queries() -> None:
    check(make(torch.float32, qkv_bias=False), torch.randn(1, 3, 9, 75, 66), within=1e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_shares_of_threads_add_up_and_repeat(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_plan, "count_threads", lambda: threads)
    network, clips = make(), torch.randn(6, 3, 8, 64, 32, dtype=torch.float64)
    check(network, clips, within=1e-11)
    plan = TrainingPlan(network)
    once, again = (pass_through(network, plan, clips) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))


def test_frozen_stages_get_no_gradients() -> None:
    network = make()
    for part in (network.patch_embed, network.layers[0]):
        part.requires_grad_(False)
    check(network, torch.randn(SIZES[1], dtype=torch.float64), within=1e-11)


def test_other_parts_are_called_as_they_are() -> None:
    class Louder(MLP):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    network = make()
    network.layers[0].blocks[1].mlp.__class__ = Louder  # type: ignore[index]
    check(network, torch.randn(SIZES[0], dtype=torch.float64), within=1e-11)


def test_autocast_is_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    network, clips = make(torch.float32), torch.randn(1, 3, 8, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(TrainingPlan(network)(clips), network(clips))


def test_less_is_kept_for_the_way_back() -> None:
    network, clips = make(torch.float32), torch.randn(1, 3, 16, 64, 64)

    def kept_by(forward: Forward) -> int:
        seen: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            forward(clips)
        return sum(seen.values())

    assert kept_by(TrainingPlan(network)) < 0.6 * kept_by(network)
