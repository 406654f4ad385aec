"""Cases of the official code's forward pass, and networks to hold against them."""

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tiny
import torch
from formula import architecture_shapes, official_tensors
from torch import Tensor, nn

from videoswin_cli.model.layouts import to_canonical
from videoswin_cli.model.swin3d import Swin3D, WindowAttention
from videoswin_cli.records import Architecture

GOLDEN = Path(__file__).parent / "golden"
# {architectures, cases, geometry, sensitivity}; the arrays are called case/name.
FORWARD = json.loads((GOLDEN / "forward.json").read_text())
ARCHITECTURES = {
    name: msgspec.convert(sizes, Architecture) for name, sizes in FORWARD["architectures"].items()
}
CASES = FORWARD["cases"]
TINY = replace(tiny.TINY, depths=(2, 2), num_classes=5)  # both stages with a shifted block


def read_golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "forward.npz") as arrays:
        return dict(arrays)


@lru_cache(maxsize=2)
def formula_weights(name: str) -> dict[str, Tensor]:
    return to_canonical(official_tensors(architecture_shapes(ARCHITECTURES[name])), "official")


def formula_network(name: str, dtype: torch.dtype) -> Swin3D:
    with torch.device("meta"):
        network = Swin3D(ARCHITECTURES[name])
    weights = {key: tensor.to(dtype, copy=True) for key, tensor in formula_weights(name).items()}
    network.load_state_dict(weights, assign=True)
    return network.eval()


def random_network(**changes: Any) -> Swin3D:
    torch.manual_seed(0)
    network = Swin3D(replace(TINY, **changes)).eval()
    for module in network.modules():
        if isinstance(module, WindowAttention):
            nn.init.normal_(module.relative_position_bias_table)
    return network


def worst(found: Tensor, expected: np.ndarray) -> float:
    """Largest difference of any two numbers."""
    assert tuple(found.shape) == expected.shape
    return float(np.abs(found.numpy().astype(np.float64) - expected).max())
