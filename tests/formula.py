"""Weights and inputs that every reference implementation was run on: numbers from a formula.

No checkpoint is needed to repeat the references' outputs in tests/golden. Names here are the
official ones (`backbone.*`, `cls_head.fc_cls.*`); a tensor's generator is seeded by its own name.
"""

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from videoswin_cli.records import Architecture

Shapes = dict[str, tuple[int, ...]]

_GAINS = {
    "patch_embed.proj.weight": 1.0,
    "attn.qkv.weight": 2.0,
    "attn.proj.weight": 0.4,
    "mlp.fc1.weight": 1.0,
    "mlp.fc2.weight": 0.5,
    "downsample.reduction.weight": 1.0,
    "cls_head.fc_cls.weight": 2.0,
    "head.weight": 2.0,  # image checkpoints
}


def formula_tensor(key: str, shape: Sequence[int], *, seed_prefix: str = "") -> Tensor:
    """The float32 tensor of one official name."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32((seed_prefix + key).encode())))
    z = generator.standard_normal(tuple(shape)).astype(np.float32)
    if key.endswith("relative_position_bias_table"):
        return torch.from_numpy(z)
    if key.endswith(".bias"):
        return torch.from_numpy(z * np.float32(0.1))
    if len(shape) == 1:
        return torch.from_numpy(z * np.float32(0.1) + np.float32(1))
    gain = next(gain for end, gain in _GAINS.items() if key.endswith(end))
    return torch.from_numpy(z * np.float32(gain / math.sqrt(math.prod(shape[1:]))))


def official_tensors(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Official name -> float32 tensor; parameters only, as `architecture_shapes` lists them."""
    return {key: formula_tensor(key, shape) for key, shape in shapes.items()}


def image_tensors(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """The same for an image (2D) checkpoint, whose names have no `backbone.`."""
    return {
        key: formula_tensor(key, shape, seed_prefix="image2d/") for key, shape in shapes.items()
    }


def formula_input(shape: Sequence[int]) -> Tensor:
    """A clip (B, 3, T, H, W), float32, already normalized."""
    batch, channels, frames, height, width = shape
    name = "input/" + "x".join(map(str, shape))
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    cells = (-(-frames // 4), -(-height // 16), -(-width // 16))
    coarse = generator.standard_normal((batch, channels, *cells))
    fine = generator.standard_normal(tuple(shape))  # drawn second
    t, h, w = np.arange(frames) // 4, np.arange(height) // 16, np.arange(width) // 16
    clip = coarse[:, :, t[:, None, None], h[:, None], w] + 0.5 * fine
    return torch.from_numpy(clip.astype(np.float32))


def to_torchvision(tensors: Mapping[str, Tensor], stages: int) -> dict[str, Tensor]:
    """Official names as torchvision's `swin3d` has them: merging is a stage of its own there."""
    renamed = {}
    for key, tensor in tensors.items():
        key = key.removeprefix("backbone.").replace("cls_head.fc_cls", "head")
        for i in range(stages):
            key = key.replace(f"layers.{i}.blocks.", f"features.{2 * i}.")
            key = key.replace(f"layers.{i}.downsample.", f"features.{2 * i + 1}.")
        renamed[key.replace("mlp.fc1", "mlp.0").replace("mlp.fc2", "mlp.3")] = tensor
    return renamed


def architecture_shapes(architecture: Architecture) -> Shapes:
    """Official name -> shape of every parameter, in the order of the published files."""
    rows = math.prod(2 * size - 1 for size in architecture.window_size)
    shapes = _swin_shapes(architecture, patch=architecture.patch_size, rows=rows)
    shapes = {f"backbone.{key}": shape for key, shape in shapes.items()}
    if architecture.num_classes:
        features = shapes["backbone.norm.weight"][0]
        shapes["cls_head.fc_cls.weight"] = (architecture.num_classes, features)
        shapes["cls_head.fc_cls.bias"] = (architecture.num_classes,)
    return shapes


def image_shapes(architecture: Architecture, *, window: int) -> Shapes:
    """The same for an image Swin with this window, of the architecture's other sizes."""
    patch = architecture.patch_size[1:]
    shapes = _swin_shapes(architecture, patch=patch, rows=(2 * window - 1) ** 2)
    shapes["head.weight"] = (architecture.num_classes, shapes["norm.weight"][0])
    shapes["head.bias"] = (architecture.num_classes,)
    return shapes


def _swin_shapes(architecture: Architecture, *, patch: tuple[int, ...], rows: int) -> Shapes:
    width = architecture.embed_dim
    shapes: Shapes = {
        "patch_embed.proj.weight": (width, 3, *patch),
        "patch_embed.proj.bias": (width,),
    }
    if architecture.patch_norm:
        shapes |= _norm("patch_embed.norm", width)
    stages = zip(architecture.depths, architecture.num_heads, strict=True)
    for i, (depth, heads) in enumerate(stages):
        for j in range(depth):
            block, hidden = f"layers.{i}.blocks.{j}", int(width * architecture.mlp_ratio)
            shapes |= _norm(f"{block}.norm1", width)
            shapes[f"{block}.attn.relative_position_bias_table"] = (rows, heads)
            shapes[f"{block}.attn.qkv.weight"] = (3 * width, width)
            if architecture.qkv_bias:
                shapes[f"{block}.attn.qkv.bias"] = (3 * width,)
            shapes |= _linear(f"{block}.attn.proj", width, width)
            shapes |= _norm(f"{block}.norm2", width)
            shapes |= _linear(f"{block}.mlp.fc1", width, hidden)
            shapes |= _linear(f"{block}.mlp.fc2", hidden, width)
        if i + 1 < len(architecture.depths):
            shapes[f"layers.{i}.downsample.reduction.weight"] = (2 * width, 4 * width)
            shapes |= _norm(f"layers.{i}.downsample.norm", 4 * width)
            width *= 2
    return shapes | _norm("norm", width)


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
