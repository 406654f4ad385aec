"""Rows through a linear layer, and through the GELU or the sum that follows it in a block.

Three kinds of product; which is the fastest depends on the processor: by torch, which is MKL in
float32; by a convolution, which is oneDNN; and fused, which is oneDNN with a packed weight and with
what follows in the same pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Product(Protocol):
    """A linear layer that is ready for one pass: rows (M, C) -> rows (M, C')."""

    def __call__(self, x: Tensor, /) -> Tensor:
        """The product alone."""

    def gelu(self, x: Tensor, /) -> Tensor:
        """The product, then a GELU."""

    def add(self, x: Tensor, onto: Tensor, /) -> Tensor:
        """The sum of the product and `onto`, which may be overwritten."""


# A layer and the type of the rows to come -> its product. A module in place of a plain linear layer
# computes by itself.
Prepare = Callable[[nn.Module, torch.dtype], Product]


@dataclass(frozen=True)
class Separate:
    """A product, and what follows as an operation of its own."""

    multiply: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor) -> Tensor:
        return self.multiply(x)

    def gelu(self, x: Tensor) -> Tensor:
        return F.gelu(self.multiply(x))

    def add(self, x: Tensor, onto: Tensor) -> Tensor:
        return onto.add_(self.multiply(x))


@dataclass(frozen=True)
class Fused:
    """A product and what follows in one pass of oneDNN.

    By the operators that torch's compiler emits, which are not part of its public interface: ask
    `has_fused_products` first. A packed weight is opaque (no copy, no cast, no file).
    """

    packed: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        return self._compute(x, "none", "")

    def gelu(self, x: Tensor) -> Tensor:
        return self._compute(x, "gelu", "none")  # not approximated by tanh

    def add(self, x: Tensor, onto: Tensor) -> Tensor:
        product = torch.ops.mkldnn._linear_pointwise.binary
        return product(x, onto, self.packed, self.bias, "add")  # type: ignore[no-any-return]

    def _compute(self, x: Tensor, activation: str, algorithm: str) -> Tensor:
        product = torch.ops.mkldnn._linear_pointwise.default
        return product(x, self.packed, self.bias, activation, [], algorithm)  # type: ignore[no-any-return]


def by_torch(layer: nn.Module, dtype: torch.dtype) -> Product:
    """The layer as torch computes it: by MKL in float32."""
    return Separate(layer)


def by_convolution(layer: nn.Module, dtype: torch.dtype) -> Product:
    """The layer in float32 by oneDNN."""
    if dtype == torch.float32 and _is_linear(layer, dtype):
        return Separate(partial(convolve, weight=layer.weight, bias=layer.bias))
    return Separate(layer)


@torch.inference_mode()
def by_fusing(layer: nn.Module, dtype: torch.dtype) -> Product:
    """The layer by oneDNN with what follows, its weight packed now."""
    return fuse(layer.weight, layer.bias) if _is_linear(layer, dtype) else Separate(layer)


def fuse(weight: Tensor, bias: Tensor | None) -> Fused:
    """The fused product of a weight (C', C)."""
    return Fused(torch.ops.mkldnn._reorder_linear_weight.default(weight, None), bias)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear` of rows (M, C), computed by oneDNN."""
    pixels = x.view(1, 1, *x.shape).permute(0, 3, 1, 2)  # (1, C, 1, M), channels last
    # Dilation means nothing to a kernel of one pixel; without it torch would not take oneDNN where
    # it has a single thread.
    out = F.conv2d(pixels, weight[:, :, None, None], bias, dilation=(2, 1))
    return out.permute(0, 2, 3, 1).view(-1, weight.shape[0])


def _is_linear(layer: nn.Module, dtype: torch.dtype) -> TypeGuard[nn.Linear]:
    """Whether a layer is a plain linear one, of no subclass, for rows of that type."""
    return type(layer) is nn.Linear and layer.weight.dtype == dtype


@cache
@torch.inference_mode()
def has_fused_products(dtype: torch.dtype) -> bool:
    """Whether the operators of `Fused` are there, take this type and compute what they should.

    Another torch may have changed them, and bfloat16 takes a processor with instructions for it.
    """
    random = torch.Generator().manual_seed(0)
    shapes = (60, 96), (160, 96), (160,), (60, 160)
    numbers = [torch.randn(shape, generator=random).div(3).to(dtype) for shape in shapes]
    (x, weight, bias, onto), exact = numbers, [part.double() for part in numbers]
    try:
        fused = fuse(weight, bias)
        found = fused(x), fused.gelu(x), fused.add(x, onto), fuse(weight, None)(x)
    except (AttributeError, RuntimeError, TypeError):  # no such operator, or other arguments
        return False
    product = F.linear(*exact[:3])
    expected = product, F.gelu(product), product + exact[3], F.linear(*exact[:2])
    # Products of up to 4, which may be rounded before what follows.
    allowed = 1e-5 if dtype == torch.float32 else 0.03
    return all(
        result.dtype == dtype and torch.allclose(result.double(), right, rtol=allowed, atol=allowed)
        for result, right in zip(found, expected, strict=True)
    )
