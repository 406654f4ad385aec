"""Exact ways to run the network on a GPU that may become the package's, once one was measured."""

from collections.abc import Callable
from copy import deepcopy
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.model.swin3d import (
    Swin3D,
    Triple,
    WindowAttention,
    fit_window,
    join_windows,
    pad,
    split_windows,
    window_groups,
)


class OneCall(WindowAttention):
    """Attention with biases and masks that are kept, in one call for the windows of all masks.

    A shifted block's windows have up to eight masks and as many calls in `WindowAttention`. Here
    they are a mask each, (windows, heads, N, N): 118 MB in the first stage of Swin-T.
    """

    kept: dict[tuple[Triple, Triple], Tensor]  # by grid and window; weights must stay

    def forward(self, x: Tensor) -> Tensor:
        B, T, H, W, C = x.shape
        window, shift = fit_window((T, H, W), self.window_size, self.shift)
        pad_t, pad_h, pad_w = (-extent % w for extent, w in zip((T, H, W), window, strict=True))
        x = pad(x, (0, 0, 0, pad_w, 0, pad_h, 0, pad_t))
        if any(shift):
            x = x.roll([-s for s in shift], dims=(1, 2, 3))
        windows = split_windows(x, window)
        grid: Triple = (windows.shape[1], windows.shape[2], windows.shape[3])
        N = windows.shape[4]
        qkv = self.qkv(windows).view(B, prod(grid), N, 3, self.heads, C // self.heads)
        qkv = qkv.permute(3, 0, 1, 4, 2, 5)  # (3, B, windows, heads, N, head_dim)
        # One bias for all windows where there is no mask: windows count as clips then.
        q, k, v = qkv.flatten(2, 3) if any(shift) else qkv.flatten(1, 2)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=self.biases(grid, window))
        mixed = out.reshape(qkv.shape[1:]).transpose(2, 3).reshape(windows.shape)
        x = join_windows(self.proj(mixed), window)
        if any(shift):
            x = x.roll(shift, dims=(1, 2, 3))
        return x[:, :T, :H, :W]

    def biases(self, grid: Triple, window: Triple) -> Tensor:
        """(1, heads, N, N), or with masks (1, windows * heads, N, N)."""
        if (grid, window) not in self.kept:
            size = [count * extent for count, extent in zip(grid, window, strict=True)]
            shift = fit_window(size, self.window_size, self.shift)[1]
            N = prod(window)
            bias = self.position_bias(N)
            if any(shift):
                bias = bias.expand(*grid, self.heads, N, N).clone()
                for (ts, hs, ws), mask in window_groups(grid, window, shift, bias.device):
                    if mask is not None:
                        bias[ts, hs, ws] += torch.where(mask, 0.0, -100.0).to(bias)
                bias = bias.flatten(0, 3)[None]
            self.kept[grid, window] = bias
        return self.kept[grid, window]


def in_one_call(network: Swin3D) -> Swin3D:
    """A copy that computes all windows of a block in one call; for weights that stay."""
    network = deepcopy(network).requires_grad_(False)
    for module in network.modules():
        if type(module) is WindowAttention:
            module.__class__ = OneCall
            module.kept = {}  # type: ignore[assignment]
    return network


def capture(compute: Callable[[Tensor], Tensor], clips: Tensor) -> Callable[[], Tensor]:
    """A CUDA graph of a call, which reads `clips` where they lie and fills the same output."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):  # what is made at first calls must not be recorded
        for _ in range(3):
            compute(clips)
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = compute(clips)

    def replay() -> Tensor:
        graph.replay()
        return output

    return replay
