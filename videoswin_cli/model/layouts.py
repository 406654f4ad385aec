"""Names and shapes of the published checkpoints, converted to videoswin's. No file access.

Ours ("videoswin") are the official backbone names without `backbone.`, plus `head.weight` and
`head.bias`, and no buffers: the relative position index and the attention mask are geometry.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional as F

from videoswin_cli.errors import CheckpointError
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.records import Architecture

Layout = Literal["videoswin", "official", "mmaction2", "torchvision", "paddle", "image2d"]

_PATCH = "patch_embed.proj.weight"
_QKV = "layers.0.blocks.0.attn.qkv.weight"
_TORCHVISION_QKV = "features.0.0.attn.qkv.weight"
_TABLE = "relative_position_bias_table"
_GEOMETRY = (".relative_position_index", ".attn_mask")


def detect_layout(tensors: Mapping[str, Tensor]) -> Layout:
    """Tells from names and shapes alone which project wrote the tensors.

    "official" covers mmaction2 files whose final norm is called `backbone.norm` too: there is no
    difference. "image2d" is an image Swin, to be inflated.

    Raises:
        CheckpointError: no Swin Transformer of a known layout.
    """
    prefix = "backbone." if f"backbone.{_PATCH}" in tensors else ""
    patch = tensors.get(prefix + _PATCH)
    qkv = tensors.get(_TORCHVISION_QKV, tensors.get(prefix + _QKV))
    if patch is None or patch.ndim not in (4, 5) or qkv is None or qkv.ndim != 2:
        raise _unknown_layout(tensors)
    if _TORCHVISION_QKV in tensors:
        return "torchvision"
    if patch.ndim == 4:
        return "image2d"
    # Paddle's Linear weights are [in, out]. Its names say less: a backbone has the official ones.
    if qkv.shape[1] == 3 * qkv.shape[0]:
        return "paddle"
    if "backbone.norm3.weight" in tensors:
        return "mmaction2"
    return "official" if prefix else "videoswin"


def to_canonical(tensors: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Renames to our names, drops geometry and preprocessing, turns Paddle's Linear weights.

    Values are the given tensors or views of them (transposed ones are not contiguous). Names that
    no layout knows stay as they are, for `fit_problems` to report. An image checkpoint keeps its
    shapes and its head; see `inflate_image_weights`.

    Raises:
        CheckpointError: two names of the file mean the same tensor.
    """
    rename = _rename_torchvision if layout == "torchvision" else _rename
    canonical: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if key.endswith(_GEOMETRY) or key.startswith("data_preprocessor."):
            continue
        name = rename(key)
        if name in canonical:
            raise CheckpointError(
                f"two tensors of the file stand for {name}; one of them is {key}",
                hint="Remove the one that does not belong there from the file.",
            )
        # All of Paddle's Linear weights, also the square attn.proj that no shape check can catch;
        # they are the only weights with two dimensions (a bias table is not called `.weight`).
        linear = key.endswith(".weight") and tensor.ndim == 2
        canonical[name] = tensor.mT if layout == "paddle" and linear else tensor
    return canonical


def inflate_image_weights(
    tensors: Mapping[str, Tensor],
    *,
    window_size: tuple[int, int, int],
    patch_size: tuple[int, int, int],
) -> dict[str, Tensor]:
    """Makes video weights from canonical ones of an image Swin, as the official training code does.

    The patch weight [E, 3, h, w] is spread over `patch_size[0]` frames so that a still video gives
    what its image gave. Each bias table [(2w-1)^2, heads] is resized in space where the windows
    differ and repeated for every distance in time. The image classes (`head.*`) are dropped.

    Raises:
        CheckpointError: a bias table is not that of a square window.
    """
    inflated = {}
    for name, tensor in tensors.items():
        if name == _PATCH:
            inflated[name] = tensor.unsqueeze(2).repeat(1, 1, patch_size[0], 1, 1) / patch_size[0]
        elif name.endswith(_TABLE):
            inflated[name] = _inflate_table(name, tensor, window_size=window_size)
        elif not name.startswith("head."):
            inflated[name] = tensor
    return inflated


def _inflate_table(name: str, table: Tensor, *, window_size: tuple[int, int, int]) -> Tensor:
    duration, height, width = (2 * size - 1 for size in window_size)
    rows, heads = table.shape
    side = math.isqrt(rows)
    if side * side != rows:
        raise CheckpointError(
            f"{name} has {rows} rows; an image window has a square number of them",
            hint="Expected an image Swin Transformer with square windows.",
        )
    if (side, side) != (height, width):
        image = table.mT.reshape(1, heads, side, side)
        image = F.interpolate(image, size=(height, width), mode="bicubic", align_corners=False)
        table = image.reshape(heads, height * width).mT
    return table.repeat(duration, 1)  # time is the slowest of the three


def _rename(key: str) -> str:
    if match := re.fullmatch(r"(?:cls_head\.fc_cls|head\.fc)\.(weight|bias)", key):
        return f"head.{match[1]}"
    return re.sub(r"^norm3\.", "norm.", key.removeprefix("backbone."))


def _rename_torchvision(key: str) -> str:
    # features.0, 2, 4, 6 are the stages; features.1, 3, 5 merge patches after the stage before.
    match = re.fullmatch(r"features\.(\d+)\.(.+)", key)
    if match is None:
        return key
    index, rest = int(match[1]), match[2]
    if index % 2:
        return f"layers.{index // 2}.downsample.{rest}"
    rest = rest.replace(".mlp.0.", ".mlp.fc1.").replace(".mlp.3.", ".mlp.fc2.")
    return f"layers.{index // 2}.blocks.{rest}"


def _unknown_layout(tensors: Mapping[str, Tensor]) -> CheckpointError:
    return CheckpointError(
        f"{counted(len(tensors), 'tensor')}, but of no known Swin Transformer: "
        f"{name_some(list(tensors))}",
        hint=f"Known layouts: {', '.join(get_args(Layout))}. All but torchvision's have "
        f"{_PATCH} and {_QKV}, with or without `backbone.` in front.",
    )


@dataclass(frozen=True, kw_only=True)
class ArchitectureFacts:
    """Facts about a network from its canonical shapes. None or empty: no tensor shows it."""

    embed_dim: int | None
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]  # a stage
    table_rows: tuple[int, ...]  # a stage; (2t-1)(2h-1)(2w-1) for a window of (t, h, w)
    patch_size: tuple[int, ...]  # (height, width) for an image network
    patch_norm: bool
    qkv_bias: bool
    mlp_ratio: float | None
    num_classes: int  # 0: no head

    def fit(self, architecture: Architecture) -> bool:
        """Whether a network of this architecture may have these weights, whatever its classes."""
        rows = math.prod(2 * size - 1 for size in architecture.window_size)
        return (
            self.embed_dim == architecture.embed_dim
            and self.depths == architecture.depths
            and self.num_heads == architecture.num_heads
            and set(self.table_rows) == {rows}
            and self.patch_size == architecture.patch_size
            and self.patch_norm == architecture.patch_norm
            and self.qkv_bias == architecture.qkv_bias
            and self.mlp_ratio == architecture.mlp_ratio
        )


def infer_architecture(canonical: Mapping[str, Tensor]) -> ArchitectureFacts:
    """Reads off canonical shapes what kind of network they belong to. Never fails."""
    shapes = {name: tuple(tensor.shape) for name, tensor in canonical.items()}
    patch = shapes.get(_PATCH, ())
    depths: list[int] = []
    while depth := _count(shapes, f"layers.{len(depths)}.blocks.{{}}.norm1.weight"):
        depths.append(depth)
    tables = [shapes.get(f"layers.{i}.blocks.0.attn.{_TABLE}", ()) for i in range(len(depths))]
    fc1 = shapes.get("layers.0.blocks.0.mlp.fc1.weight", ())
    return ArchitectureFacts(
        embed_dim=patch[0] if patch else None,
        depths=tuple(depths),
        num_heads=tuple(table[1] for table in tables if len(table) == 2),
        table_rows=tuple(table[0] for table in tables if len(table) == 2),
        patch_size=patch[2:],
        patch_norm="patch_embed.norm.weight" in shapes,
        qkv_bias="layers.0.blocks.0.attn.qkv.bias" in shapes,
        mlp_ratio=fc1[0] / fc1[1] if len(fc1) == 2 and fc1[1] else None,
        num_classes=next(iter(shapes.get("head.weight", ())), 0),
    )


def _count(names: Mapping[str, object], pattern: str) -> int:
    count = 0
    while pattern.format(count) in names:
        count += 1
    return count


@dataclass(frozen=True, kw_only=True)
class FitProblems:
    """Mismatches between tensors and a network; falsy without any. As text, one of each kind."""

    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[str, ...]  # "name (its shape, expected that shape)"

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        kinds = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "of another shape": self.misshapen,
        }
        return "; ".join(f"{len(n)} {kind}: {name_some(n)}" for kind, n in kinds.items() if n)


def fit_problems(
    canonical: Mapping[str, Tensor], expected_shapes: Mapping[str, Sequence[int]]
) -> FitProblems:
    """Compares tensors by name and shape with what a network expects; all differences, in order."""
    return FitProblems(
        missing=tuple(name for name in expected_shapes if name not in canonical),
        unexpected=tuple(name for name in canonical if name not in expected_shapes),
        misshapen=tuple(
            f"{name} ({tuple(canonical[name].shape)}, expected {tuple(shape)})"
            for name, shape in expected_shapes.items()
            if name in canonical and tuple(canonical[name].shape) != tuple(shape)
        ),
    )
