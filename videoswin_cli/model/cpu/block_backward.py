"""A chunk of rows through a block, and the gradients of it on the way back.

The outputs of products are kept for the way back. Norms, GELUs and the weights of attention are
computed again there, while the chunk is in the cache.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.model.cpu.attention import attend_by_torch, attend_windows, make_bias
from videoswin_cli.model.cpu.attention_backward import attend_windows_backward
from videoswin_cli.model.cpu.chunks import Chunk

NORM_EPS = 1e-5  # of torch's layer norm, which `swin3d` leaves as it is

Scales = tuple[float, float]  # of the residual branches of attention and MLP: drop path


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Parameters of a block, or their gradients."""

    norm1: Tensor
    norm1_bias: Tensor
    table: Tensor  # of position biases: (rows, heads)
    qkv: Tensor
    qkv_bias: Tensor | None
    proj: Tensor
    proj_bias: Tensor
    norm2: Tensor
    norm2_bias: Tensor
    fc1: Tensor
    fc1_bias: Tensor
    fc2: Tensor
    fc2_bias: Tensor

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """All of them, as `weights_from` takes them."""
        return tuple(getattr(self, field.name) for field in fields(self))


def weights_from(tensors: Sequence[Tensor | None]) -> Weights:
    names = [field.name for field in fields(Weights)]
    return Weights(**dict(zip(names, tensors, strict=True)))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Weights of a block and the position biases made of them, or the gradients of both."""

    weights: Weights
    biases: list[Tensor]  # each (1, heads, N, N); gradients (heads, N, N)


def make_parts(weights: Weights, bias_rows: Sequence[Tensor]) -> Parts:
    table = weights.table.t().contiguous()
    return Parts(weights=weights, biases=[make_bias(table, rows) for rows in bias_rows])


def zero_gradients(parts: Parts) -> Parts:
    zeros = [None if t is None else torch.zeros_like(t) for t in parts.weights.tensors]
    biases = [bias.new_zeros(bias.shape[1:]) for bias in parts.biases]
    return Parts(weights=weights_from(zeros), biases=biases)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Outputs of products that the way back needs, of M rows, R of them real."""

    qkv: Tensor  # (M, 3C)
    mixed: Tensor  # (R, C): of attention, before its projection
    middle: Tensor  # (R, C): tokens between attention and MLP
    hidden: Tensor  # (R, hidden): before the GELU

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.qkv, self.mixed, self.middle, self.hidden


def make_room(weights: Weights, rows: int, real: int) -> Kept:
    """Room for what `rows` rows keep, `real` of them real."""
    width, like = len(weights.proj), weights.proj
    return Kept(
        qkv=like.new_empty(rows, 3 * width),
        mixed=like.new_empty(real, width),
        middle=like.new_empty(real, width),
        hidden=like.new_empty(real, len(weights.fc1)),
    )


def run_forward(parts: Parts, chunk: Chunk, x: Tensor, kept: Kept, scales: Scales) -> Tensor:
    """Rows (M, C) of a chunk through a block: (R, C). `kept` is filled."""
    w = parts.weights
    _multiply(_norm_rows(w, chunk, x)[0], w.qkv, w.qkv_bias, out=kept.qkv)
    heads = w.table.shape[1]
    mixed = attend_windows(attend_by_torch, kept.qkv, heads, chunk.windows, parts.biases)
    if chunk.real is None:
        kept.mixed.copy_(mixed)
    else:
        torch.index_select(mixed, 0, chunk.real, out=kept.mixed)
        x = x.index_select(0, chunk.real)
    _add_product(x, kept.mixed, w.proj, w.proj_bias, scale=scales[0], out=kept.middle)
    _multiply(_norm(kept.middle, w.norm2, w.norm2_bias)[0], w.fc1, w.fc1_bias, out=kept.hidden)
    return _add_product(kept.middle, F.gelu(kept.hidden), w.fc2, w.fc2_bias, scale=scales[1])


def run_backward(
    parts: Parts, chunk: Chunk, x: Tensor, kept: Kept, scales: Scales, grad: Tensor, sums: Parts
) -> Tensor:
    """Gradient (R, C) of the real rows among `x`, from that of what `run_forward` gave.

    The gradients of the parts are added to `sums`.
    """
    w, into = parts.weights, sums.weights
    grad = _mlp_backward(w, kept, scales[1], grad, into)
    branch = grad * scales[0]
    _add_gradients(into.proj, into.proj_bias, branch, kept.mixed)
    mixed, grad_mixed = kept.mixed, branch @ w.proj
    if chunk.real is not None:  # nobody asks for the attention of padding
        mixed, grad_mixed = (
            part.new_zeros(len(x), part.shape[1]).index_copy_(0, chunk.real, part)
            for part in (mixed, grad_mixed)
        )
    grad_qkv = attend_windows_backward(
        kept.qkv, mixed, grad_mixed, chunk.windows, parts.biases, sums.biases
    )
    normed, *moments = _norm_rows(w, chunk, x)
    _add_gradients(into.qkv, into.qkv_bias, grad_qkv, normed)
    grad_normed = grad_qkv @ w.qkv
    if chunk.real is not None:
        grad_normed, x, *moments = (
            part.index_select(0, chunk.real) for part in (grad_normed, x, *moments)
        )
    before, *grads = _norm_backward(grad_normed, x, moments, w.norm1, w.norm1_bias)
    into.norm1.add_(grads[0])
    into.norm1_bias.add_(grads[1])
    return before.add_(grad)


def _mlp_backward(w: Weights, kept: Kept, scale: float, grad: Tensor, into: Weights) -> Tensor:
    """Gradient of the tokens before the MLP, from that of those behind it."""
    branch = grad * scale
    _add_gradients(into.fc2, into.fc2_bias, branch, F.gelu(kept.hidden))
    grad_hidden = branch @ w.fc2
    torch.ops.aten.gelu_backward.grad_input(grad_hidden, kept.hidden, grad_input=grad_hidden)
    normed, *moments = _norm(kept.middle, w.norm2, w.norm2_bias)
    _add_gradients(into.fc1, into.fc1_bias, grad_hidden, normed)
    grad_normed = grad_hidden @ w.fc1
    before, *grads = _norm_backward(grad_normed, kept.middle, moments, w.norm2, w.norm2_bias)
    into.norm2.add_(grads[0])
    into.norm2_bias.add_(grads[1])
    return before.add_(grad)


def _norm_rows(w: Weights, chunk: Chunk, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows as attention takes them, and their means and inverse deviations."""
    found = _norm(x, w.norm1, w.norm1_bias)
    if chunk.padding is not None:
        # As the references do: padding comes after the norm, and is attended to.
        found[0].index_fill_(0, chunk.padding, 0.0)
    return found


def _norm(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return torch.native_layer_norm(x, x.shape[-1:], weight, bias, NORM_EPS)


def _norm_backward(
    grad: Tensor, x: Tensor, moments: Sequence[Tensor], weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the input, the weight and the bias."""
    return torch.ops.aten.native_layer_norm_backward(  # type: ignore[no-any-return]
        grad, x, x.shape[-1:], *moments, weight, bias, [True, True, True]
    )


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None, *, out: Tensor) -> None:
    """`F.linear` into `out`."""
    if bias is None:
        torch.mm(x, weight.t(), out=out)
    else:
        torch.addmm(bias, x, weight.t(), out=out)


def _add_product(
    onto: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    scale: float,
    out: Tensor | None = None,
) -> Tensor:
    """`onto + scale * F.linear(x, weight, bias)`."""
    return torch.addmm(onto.add(bias, alpha=scale), x, weight.t(), alpha=scale, out=out)


def _add_gradients(weight: Tensor, bias: Tensor | None, grad: Tensor, x: Tensor) -> None:
    """Add those of a linear layer, which made of `x` what `grad` is the gradient of."""
    weight.addmm_(grad.t(), x)
    if bias is not None:
        bias.add_(grad.sum(0))


def add_up(sums: Sequence[Parts], bias_rows: Sequence[Tensor]) -> Weights:
    """Gradients of all weights from sums over some chunks each; the first sum is overwritten."""
    first, *others = sums
    for other in others:
        pairs = zip(
            (*first.weights.tensors, *first.biases),
            (*other.weights.tensors, *other.biases),
            strict=True,
        )
        for total, part in pairs:
            if total is not None and part is not None:
                total.add_(part)
    table = first.weights.table
    for rows, grad in zip(bias_rows, first.biases, strict=True):
        # One after the other, whatever the threads: `index_add_` may add in any order.
        for head, numbers in enumerate(grad):
            found = torch.bincount(rows.flatten(), numbers.flatten(), minlength=len(table))
            table[:, head] += found.to(table.dtype)
    return first.weights
