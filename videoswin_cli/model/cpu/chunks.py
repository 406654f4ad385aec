"""Windows of tokens dealt into chunks: which rows of a block are computed together.

Window geometry is that of `swin3d`. Windows that wrap around after the cyclic shift are split by
region, so no masked attention is ever computed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.model.swin3d import (
    Triple,
    WindowAttention,
    fit_window,
    relative_position_index,
    split_windows,
    window_groups,
)

_CHUNK_ROWS = 800  # about two full windows of tokens; 400 to 1600 are about as fast
_FEWEST_ROWS = 300  # of a chunk that is worth a thread's while

_Shape = tuple[Tensor, int]  # windows of one shape: rows (windows, tokens), number of their bias


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows of one shape, which lie in a chunk one after the other."""

    count: int
    tokens: int  # of each
    bias: int  # number of the bias whose corner [:tokens, :tokens] is theirs


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Windows that go through a block together: M rows, window after window."""

    rows: Tensor  # (M,) int64: the token of each row, any one where the row is padding
    padding: Tensor | None  # rows that are padding and rows that are not, where some are
    real: Tensor | None
    windows: tuple[Windows, ...]


@dataclass(frozen=True, kw_only=True)
class BlockPlan:
    """Chunks of a block and the rows of the bias table that they need."""

    chunks: tuple[Chunk, ...]
    bias_rows: tuple[Tensor, ...]  # each (N, N) int32: rows of the bias table


def plan_block(attention: WindowAttention, size: Triple, threads: int) -> BlockPlan:
    """The plan of a block for a grid of `size` tokens and so many threads."""
    # As many chunks up to eight threads, so that sums do not depend on how many there are.
    n_tokens, n_shares = math.prod(size), max(threads, 8)
    per_thread = n_tokens / n_shares
    n_chunks = n_shares * math.ceil(per_thread / _CHUNK_ROWS)
    if per_thread < _FEWEST_ROWS:
        n_chunks = 1
    width = attention.proj.in_features
    return _plan_windows(size, attention.window_size, attention.shift, width, n_chunks)


@lru_cache(maxsize=32)  # four input sizes of four stages, shifted or not
def _plan_windows(
    size: Triple, window_size: Triple, shift: Triple, width: int, n_chunks: int
) -> BlockPlan:
    shapes, bias_rows = gather_windows(size, window_size, shift)
    return BlockPlan(
        chunks=tuple(_deal_windows(shapes, math.prod(size), width, n_chunks)),
        bias_rows=bias_rows,
    )


def _deal_windows(
    shapes: list[_Shape], n_tokens: int, width: int, n_chunks: int
) -> Iterator[Chunk]:
    """Chunks of about equal work: each window goes to the one with the least so far."""
    dealt: list[list[list[Tensor]]] = [[[] for _ in shapes] for _ in range(n_chunks)]
    work = [0] * n_chunks
    for number, (rows, _) in enumerate(shapes):
        tokens = rows.shape[1]
        for window in rows:
            least = work.index(min(work))
            dealt[least][number].append(window)
            work[least] += tokens * (6 * width + tokens)  # multiply-adds / 2C: linears, attention
    for chunk in dealt:
        by_shape = zip(chunk, shapes, strict=True)
        parts = [(torch.stack(windows), bias) for windows, (_, bias) in by_shape if windows]
        if parts:
            yield _make_chunk(parts, n_tokens)


def _make_chunk(parts: list[_Shape], n_tokens: int) -> Chunk:
    """One chunk of windows of several shapes; the row `n_tokens` stands for padding."""
    rows = torch.cat([rows.flatten() for rows, _ in parts])
    is_padding = rows == n_tokens
    padded = bool(is_padding.any())
    return Chunk(
        rows=rows.masked_fill(is_padding, 0),
        padding=is_padding.nonzero()[:, 0] if padded else None,
        real=(~is_padding).nonzero()[:, 0] if padded else None,
        windows=tuple(
            Windows(count=rows.shape[0], tokens=rows.shape[1], bias=bias) for rows, bias in parts
        ),
    )


def gather_windows(
    size: Triple, window_size: Triple, shift: Triple
) -> tuple[list[_Shape], tuple[Tensor, ...]]:
    """All windows, those of one shape and bias together, the largest first.

    Returns:
        For each shape rows (windows, tokens) of the tokens, their number standing for padding, and
        the number of its bias; and for each bias the rows (N, N) of the table.
    """
    window, shift = fit_window(size, window_size, shift)
    n_tokens = math.prod(size)
    pad_t, pad_h, pad_w = (-extent % w for extent, w in zip(size, window, strict=True))
    numbers = torch.arange(n_tokens).view(1, *size, 1)
    numbers = F.pad(numbers, (0, 0, 0, pad_w, 0, pad_h, 0, pad_t), value=n_tokens)
    numbers = numbers.roll([-s for s in shift], dims=(1, 2, 3))
    grid = split_windows(numbers, window)[0, ..., 0]  # (nt, nh, nw, N)
    table_rows = relative_position_index(window_size).int()[: grid.shape[3], : grid.shape[3]]
    by_shape: dict[tuple[int, int], list[Tensor]] = {}  # by tokens and bias
    biases: list[Tensor] = []
    for place, mask in window_groups(grid.shape[:3], window, shift, grid.device):
        windows = grid[place].flatten(0, 2)
        # A mask lets tokens of the same region see each other: a row of it is a region.
        regions = [slice(None)] if mask is None else torch.unique(mask, dim=0)
        for region in regions:
            rows = windows[:, region]
            rows = rows[(rows < n_tokens).any(dim=1)]  # nobody asks for windows of padding
            if not len(rows):
                continue
            bias = _find_corner(biases, table_rows[region][:, region].contiguous())
            by_shape.setdefault((rows.shape[1], bias), []).append(rows)
    shapes = [(torch.cat(rows), bias) for (_, bias), rows in by_shape.items()]
    return sorted(shapes, key=lambda shape: -shape[0].shape[1]), tuple(biases)


def _find_corner(biases: list[Tensor], wanted: Tensor) -> int:
    """Number of the bias whose corner is the wanted one, which is added where there is none."""
    tokens = len(wanted)
    for number, bias in enumerate(biases):
        if torch.equal(bias[:tokens, :tokens], wanted):
            return number
    biases.append(wanted)
    return len(biases) - 1
