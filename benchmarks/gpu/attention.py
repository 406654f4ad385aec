"""Attention with bias in the windows of each stage of Swin-T: torch's kernels and FlexAttention.

"bias": one (1, heads, N, N) for all windows, as in blocks that are not shifted. "masks": one for
each window, (windows, heads, N, N). All in bf16 on the windows of one video, against float32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.gpu.report import Value
from benchmarks.gpu.section import Bench, apart, milliseconds, take_turns
from videoswin_cli.io.process_state import full_float32

BACKENDS = {
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,  # takes no bias on a GPU: an error is expected
    "math": SDPBackend.MATH,
}
CALLS = 10  # a time


@dataclass(frozen=True, kw_only=True)
class Case:
    """Windows of one stage, in float32."""

    q: Tensor  # (views * windows, heads, N, head_dim)
    k: Tensor
    v: Tensor
    bias: Tensor  # (heads, N, N)
    masks: Tensor  # (windows, N, N) of 0 and -100


def measure(bench: Bench) -> None:
    stages = [(128, 3), (32, 6), (8, 12), (2, 24)]  # windows of a view, heads
    cases = {
        f"stage {n + 1}": make_case(bench, *sizes)
        for n, sizes in enumerate(stages[2:] if bench.tiny else stages)
    }
    for stage, case in cases.items():
        bench.row(f"{stage} without bias", partial(run, bench, case, plain))
        bench.row(f"{stage} bias, products and softmax", partial(run, bench, case, by_products))
        bench.row(f"{stage} bias, torch's choice", partial(run, bench, case, with_bias))
        for name, backend in BACKENDS.items():
            bench.row(f"{stage} bias, {name}", partial(on_card, bench, case, with_bias, backend))
            bench.row(f"{stage} masks, {name}", partial(on_card, bench, case, with_masks, backend))
    for stage, case in cases.items():
        for masked in (False, True):
            name = f"{stage} {'masks' if masked else 'bias'}, flex"
            bench.row(name, partial(run_flex, bench, case, masked))


def make_case(bench: Bench, windows: int, heads: int) -> Case:
    N, head_dim = (16, 8) if bench.tiny else (8 * 7 * 7, 32)
    q, k, v = torch.randn(3, bench.many * windows, heads, N, head_dim, device=bench.device)
    region = torch.randint(2, (windows, N), device=bench.device)
    masks = torch.where(region[:, :, None] == region[:, None, :], 0.0, -100.0)
    return Case(q=q, k=k, v=v, bias=torch.randn(heads, N, N, device=bench.device), masks=masks)


# Each gives a function of q, k and v; what it closes over is in their dtype.
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain(case: Case, dtype: torch.dtype) -> Attend:
    return F.scaled_dot_product_attention


def with_bias(case: Case, dtype: torch.dtype) -> Attend:
    return partial(F.scaled_dot_product_attention, attn_mask=case.bias[None].to(dtype))


def with_masks(case: Case, dtype: torch.dtype) -> Attend:
    windows, N = case.masks.shape[:2]
    bias = (case.bias + case.masks[:, None]).flatten(0, 1)[None].to(dtype)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        shape = -1, windows * q.shape[1], N, q.shape[3]  # windows beside heads: no copy
        out = F.scaled_dot_product_attention(
            q.view(shape), k.view(shape), v.view(shape), attn_mask=bias
        )
        return out.reshape(q.shape)

    return attend


def by_products(case: Case, dtype: torch.dtype) -> Attend:
    """As torchvision does, in the order of its operations."""
    bias = case.bias[None].to(dtype)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = (q * q.shape[3] ** -0.5).matmul(k.transpose(2, 3)) + bias
        return scores.softmax(dim=-1).matmul(v)

    return attend


def on_card(
    bench: Bench, case: Case, make: Callable[[Case, torch.dtype], Attend], backend: SDPBackend
) -> dict[str, Value]:
    if backend is not SDPBackend.MATH:
        bench.need_card()
    with sdpa_kernel(backend):
        return run(bench, case, make)


def run(bench: Bench, case: Case, make: Callable[[Case, torch.dtype], Attend]) -> dict[str, Value]:
    return time_attention(bench, case, make(case, torch.bfloat16), make(case, torch.float32))


def time_attention(bench: Bench, case: Case, attend: Attend, exact: Attend) -> dict[str, Value]:
    runtime = bench.runtime("bf16")
    few = [x[: len(case.masks)] for x in (case.q, case.k, case.v)]  # a view's windows
    with torch.inference_mode(), full_float32():
        q, k, v = (x.bfloat16() for x in (case.q, case.k, case.v))
        works = {"this": lambda: attend(q, k, v)}
        seconds = take_turns(works, runtime, bench.repeats, calls=1 if bench.tiny else CALLS)
        with sdpa_kernel(SDPBackend.MATH):
            expected = exact(*few)
        off = apart(attend(q, k, v)[: len(expected)], expected)
    ms = milliseconds(seconds["this"])
    flops = 4 * q.numel() * q.shape[2]  # two products
    return {"ms": ms, "tflops_per_second": flops / ms / 1e9, "apart": off}


def run_flex(bench: Bench, case: Case, masked: bool) -> dict[str, Value]:
    """FlexAttention that adds bias and mask to each score; a rehearsal does not compile it."""
    from torch.nn.attention.flex_attention import flex_attention

    attend: Any = flex_attention
    if not bench.tiny:
        attend = torch.compile(flex_attention, dynamic=False)
    bias, masks, windows = case.bias.bfloat16(), case.masks.bfloat16(), len(case.masks)

    def add(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        score = score + bias[h, q, k]
        return score + masks[b % windows, q, k] if masked else score

    exact = (with_masks if masked else with_bias)(case, torch.float32)
    return time_attention(bench, case, partial(attend, score_mod=add), exact)
