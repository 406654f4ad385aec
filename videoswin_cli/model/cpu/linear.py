"""Rows through a linear layer: by MKL, or by oneDNN, which is faster on some processors."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Project = Callable[[nn.Linear, Tensor], Tensor]  # a layer and rows (M, C) -> rows (M, C')


def project(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer as torch computes it: by MKL in float32."""
    return layer(x)  # type: ignore[no-any-return]


def project_by_convolution(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer in float32 by oneDNN; a module in place of a plain linear layer by itself."""
    if x.dtype == torch.float32 and type(layer) is nn.Linear:
        return convolve(x, layer.weight, layer.bias)
    return project(layer, x)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear` of rows (M, C), computed by oneDNN."""
    pixels = x.view(1, 1, *x.shape).permute(0, 3, 1, 2)  # (1, C, 1, M), channels last
    # Dilation means nothing to a kernel of one pixel; without it torch would not take oneDNN where
    # it has a single thread.
    out = F.conv2d(pixels, weight[:, :, None, None], bias, dilation=(2, 1))
    return out.permute(0, 2, 3, 1).view(-1, weight.shape[0])
