"""Exponential moving average (EMA) of the trained weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """Averages of the trained parameters of a network."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {
            name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad
        }

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Averages after step `step`, from 0. Early ones forget faster, or they keep the start."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in network.named_parameters():
            if name in self.tensors:
                self.tensors[name].lerp_(parameter.detach(), 1 - decay)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Averages of a checkpoint."""
        _copy(tensors, self.tensors)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """The averages as weights of the network for the block; then its own, whatever happens."""
        parameters = {name: p for name, p in network.named_parameters() if name in self.tensors}
        own = {name: p.detach().clone() for name, p in parameters.items()}
        try:
            _copy(self.tensors, parameters)
            yield
        finally:
            _copy(own, parameters)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, tensor in source.items():
        target[name].copy_(tensor)
