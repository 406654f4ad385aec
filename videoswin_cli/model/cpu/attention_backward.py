"""Gradients of the attention of a chunk's windows.

The weights of attention are computed again, for some heads of a window at a time, so that they stay
in the cache; those of all windows would be the largest tensors of a training step.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from videoswin_cli.model.cpu.chunks import Windows

_SCORES = 1 << 19  # at a time: 2 MiB of float32


def attend_windows_backward(
    qkv: Tensor,
    mixed: Tensor,
    grad: Tensor,
    windows: Sequence[Windows],
    biases: Sequence[Tensor],
    grad_biases: Sequence[Tensor],
) -> Tensor:
    """Gradient (M, 3C) of the rows that `attend_windows` took.

    Args:
        qkv: those rows.
        mixed: what it gave, (M, C).
        grad: the gradient of that.
        windows: of the chunk.
        biases: each (1, heads, N, N).
        grad_biases: each (heads, N, N); the gradients of the biases are added to them.
    """
    heads = biases[0].shape[1]
    grad_qkv = torch.empty_like(qkv)
    each = [shape for shape in windows for _ in range(shape.count)]
    parts = [torch.split(x, [w.tokens for w in each]) for x in (qkv, mixed, grad, grad_qkv)]
    for window, rows, *outputs, grad_rows in zip(each, *parts, strict=True):
        corner = slice(None), slice(window.tokens), slice(window.tokens)
        bias, grad_bias = biases[window.bias][0][corner], grad_biases[window.bias][corner]
        q, k, v = _by_head(rows, 3 * heads).chunk(3)
        out, grad_out = (_by_head(x, heads) for x in outputs)
        grads = _by_head(grad_rows, 3 * heads).chunk(3)
        at_once = max(1, _SCORES // window.tokens**2)
        for first in range(0, heads, at_once):
            some = slice(first, first + at_once)
            given = (x[some] for x in (q, k, v, bias, out, grad_out))
            *found, grad_scores = attend_backward(*given)
            for place, part in zip(grads, found, strict=True):
                place[some].copy_(part)
            grad_bias[some].add_(grad_scores)
    return grad_qkv


def attend_backward(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor, out: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of q, k, v (heads, N, head_dim) and bias (heads, N, N) from that of `out`."""
    scale = q.shape[2] ** -0.5
    weights = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=scale)
    torch.softmax(weights, -1, out=weights)
    grad_v = weights.transpose(1, 2) @ grad
    # The mean gradient of a row of weights, which the softmax takes off.
    mean = (out * grad).sum(-1, keepdim=True)
    grad_scores = (grad @ v.transpose(1, 2)).sub_(mean).mul_(weights)
    grad_q, grad_k = grad_scores @ k, grad_scores.transpose(1, 2) @ q
    return grad_q.mul_(scale), grad_k.mul_(scale), grad_v, grad_scores


def _by_head(rows: Tensor, count: int) -> Tensor:
    """(N, count * head_dim) -> a view (count, N, head_dim)."""
    return rows.view(len(rows), count, -1).transpose(0, 1)
