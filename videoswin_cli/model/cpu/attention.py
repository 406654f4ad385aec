"""Attention of the windows of a chunk: by torch's kernel, or as products of matrices.

torch's kernel multiplies bfloat16 slowly on some processors that have instructions for it.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.model.cpu.chunks import Windows

_SCORES = 1 << 20  # at a time: 2 MiB of bfloat16, which stay in the cache

# q, k, v (count, heads, tokens, head_dim) and bias (1, heads, tokens, tokens) -> mixed v.
Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def attend_by_torch(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention as torch computes it: the scores never leave the cache."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def attend_by_products(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Attention as two products with a softmax between, for some windows at a time."""
    heads, tokens, depth = q.shape[1:]
    at_once = max(1, _SCORES // (heads * tokens * tokens))
    out = q.new_empty(q.shape)
    for parts in zip(*(torch.split(x, at_once) for x in (q, k, v, out)), strict=True):
        queries, keys, values, mixed = (x.reshape(-1, tokens, depth) for x in parts)
        biases = bias.expand(len(parts[0]), -1, -1, -1).reshape(-1, tokens, tokens)
        scores = torch.baddbmm(biases, queries, keys.transpose(1, 2), alpha=depth**-0.5)
        torch.softmax(scores, -1, out=scores)
        torch.bmm(scores, values, out=mixed)
    return out


def attend_windows(
    attend: Attend, qkv: Tensor, heads: int, windows: Iterable[Windows], biases: list[Tensor]
) -> Tensor:
    """Attention of rows (M, 3C) within their windows: (M, C), before the output projection."""
    windows, width = tuple(windows), qkv.shape[1] // 3
    mixed = qkv.new_empty(len(qkv), width)
    lengths = [shape.count * shape.tokens for shape in windows]
    parts = zip(windows, torch.split(qkv, lengths), torch.split(mixed, lengths), strict=True)
    for shape, rows, out in parts:
        rows = rows.view(shape.count, shape.tokens, 3, heads, width // heads)
        q, k, v = rows.permute(2, 0, 3, 1, 4)  # each (count, heads, tokens, head_dim)
        bias = biases[shape.bias][..., : shape.tokens, : shape.tokens]
        found = attend(q, k, v, bias).transpose(1, 2)
        out.view(found.shape).copy_(found)
    return mixed


@torch.inference_mode()
def make_bias(table: Tensor, rows: Tensor) -> Tensor:
    """(heads, rows of the table) -> (1, heads, N, N)."""
    # By way of float32: index_select takes several times as long for elements of two bytes.
    wide = table.float() if table.dtype == torch.bfloat16 else table
    return wide.index_select(1, rows.flatten()).to(table.dtype).view(1, -1, *rows.shape)
