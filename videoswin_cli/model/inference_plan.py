"""The same network, faster on a CPU: what its blocks do, planned once per input size.

Only the blocks are computed otherwise than `swin3d` says, and to the same numbers:

- Tokens stay where they are. A plan knows the rows of each window, so there is no roll and no
  padding of the whole grid. Tokens that came round from the other end of a shifted axis must not be
  seen; their window falls apart into smaller ones, and nothing is computed only to be masked.
- A chunk of windows goes through the whole block, attention and MLP, while it is in the cache.
- Chunks are dealt to threads, each with a core to itself. Where there are too few chunks for that
  (late stages, many cores) all rows are one chunk, and torch's own threads share each operation.
- Linear layers are computed by oneDNN where it is faster than MKL, as on some AMD processors.
- Clips of a batch are computed one after the other: on a CPU that is as fast and holds less memory,
  and a clip's numbers do not depend on what it travels with.
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videoswin_cli.model.machine import convolve, this_machine
from videoswin_cli.model.swin3d import (
    Block,
    Stage,
    Swin3D,
    Triple,
    WindowAttention,
    fit_window,
    relative_position_index,
    split_windows,
    window_groups,
)

_CHUNK_ROWS = 800  # about two full windows of tokens; 400 to 1600 are about as fast
_WORTH = 1.5  # times as fast must another product be: less may be noise
_FEWEST_ROWS = 300  # of a chunk that is worth a thread's while


class InferencePlan(Swin3D):
    """A network that shares the parameters of `network` and computes what it does, on a CPU.

    `forward`, `pool` and `forward_features` take and give what those of the network do in eval
    mode, float32 within 5e-5 of the golden cases of the tests, without gradients. Weights may
    change or be cast later, and the plan follows; a head or norm that takes the place of another
    it does not see.
    """

    def __init__(self, network: Swin3D) -> None:
        nn.Module.__init__(self)
        this_machine()  # measured before threads want to know
        self.training = False
        self.head_dropout = network.head_dropout
        self.patch_embed = network.patch_embed
        self.layers = nn.Sequential(*(_PlannedStage(stage) for stage in network.layers))  # type: ignore[arg-type]
        self.norm = network.norm
        self.head = network.head

    def train(self, mode: bool = True) -> "InferencePlan":
        """A plan is for inference; the network that it is of can be trained."""
        if mode:
            raise RuntimeError("an inference plan cannot be trained: train its network")
        return self

    @torch.no_grad()
    def forward(self, clips: Tensor) -> Tensor:
        return _one_by_one(super().forward, clips)

    @torch.no_grad()
    def forward_features(self, clips: Tensor, *, stage: int | None = None) -> Tensor:
        return _one_by_one(partial(super().forward_features, stage=stage), clips)


def _one_by_one(compute: Callable[[Tensor], Tensor], clips: Tensor) -> Tensor:
    if clips.dim() != 5 or len(clips) == 1:
        return compute(clips)
    if not len(clips):
        return compute(clips.new_zeros(1, *clips.shape[1:]))[:0]
    return torch.cat([compute(clip) for clip in torch.split(clips, 1)])


class _PlannedStage(nn.Module):
    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.blocks = stage.blocks
        self.downsample = stage.downsample

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (1, T, H, W, C), which are written over, in; those of the next stage out."""
        tokens = x.view(-1, x.shape[4])
        threads = torch.get_num_threads() if _SAID_BY_EACH_THREAD else 1
        for block in cast("Iterable[Block]", self.blocks):
            plan = _plan_block(block.attn, tuple(x.shape[1:4]), threads)  # type: ignore[arg-type]
            shared = threads > 1 and len(plan.chunks) > 1
            do = _workers(threads).map if shared else map
            table = block.attn.relative_position_bias_table.t().contiguous()
            biases = list(do(partial(_make_bias, table), plan.bias_rows))
            for _ in do(_autocast_too(partial(_run_block, block, tokens, biases)), plan.chunks):
                pass
        return self.downsample(x)  # type: ignore[no-any-return]


# --- what is planned ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Windows:
    """Windows of one shape, which lie in a chunk one after the other."""

    count: int
    tokens: int  # of each
    bias: int  # number of the bias whose corner [:tokens, :tokens] is theirs


@dataclass(frozen=True, kw_only=True)
class _Chunk:
    """Windows that go through a block together: M rows, window after window."""

    rows: Tensor  # (M,) int64: the token of each row, any one where the row is padding
    padding: Tensor | None  # rows that are padding and rows that are not, where some are
    real: Tensor | None
    windows: tuple[_Windows, ...]


@dataclass(frozen=True, kw_only=True)
class _BlockPlan:
    chunks: tuple[_Chunk, ...]
    bias_rows: tuple[Tensor, ...]  # each (N, N) int32: rows of the bias table


def _plan_block(attention: WindowAttention, size: Triple, threads: int) -> _BlockPlan:
    # As many chunks up to eight threads, so that sums do not depend on how many there are.
    every, share = math.prod(size), max(threads, 8)
    count = share * math.ceil(every / share / _CHUNK_ROWS)
    if every / share < _FEWEST_ROWS:
        count = 1
    width = attention.proj.in_features
    return _plan_windows(size, attention.window_size, attention.shift, width, count)


@lru_cache(maxsize=32)  # four input sizes of four stages, shifted or not
def _plan_windows(
    size: Triple, window_size: Triple, shift: Triple, width: int, count: int
) -> _BlockPlan:
    shapes, bias_rows = _gather_windows(size, window_size, shift)
    return _BlockPlan(
        chunks=tuple(_deal_windows(shapes, math.prod(size), width, count)),
        bias_rows=bias_rows,
    )


def _deal_windows(
    shapes: list[tuple[Tensor, int]], every: int, width: int, count: int
) -> Iterator[_Chunk]:
    """Deal the windows into so many chunks of about equal work, each to the one with the least."""
    dealt: list[list[list[Tensor]]] = [[[] for _ in shapes] for _ in range(count)]
    work = [0] * count
    for number, (rows, _) in enumerate(shapes):
        tokens = rows.shape[1]
        for window in rows:
            least = work.index(min(work))
            dealt[least][number].append(window)
            work[least] += tokens * (6 * width + tokens)  # multiply-adds / 2C: linears, attention
    for chunk in dealt:
        parts = zip(chunk, shapes, strict=True)
        found = [(torch.stack(windows), bias) for windows, (_, bias) in parts if windows]
        if found:
            yield _make_chunk(found, every)


def _make_chunk(parts: list[tuple[Tensor, int]], every: int) -> _Chunk:
    """Of rows (windows, tokens) and number of bias; the row `every` stands for padding."""
    rows = torch.cat([rows.flatten() for rows, _ in parts])
    is_padding = rows == every
    padded = bool(is_padding.any())
    return _Chunk(
        rows=rows.masked_fill(is_padding, 0),
        padding=is_padding.nonzero()[:, 0] if padded else None,
        real=(~is_padding).nonzero()[:, 0] if padded else None,
        windows=tuple(
            _Windows(count=rows.shape[0], tokens=rows.shape[1], bias=bias) for rows, bias in parts
        ),
    )


def _gather_windows(
    size: Triple, window_size: Triple, shift: Triple
) -> tuple[list[tuple[Tensor, int]], tuple[Tensor, ...]]:
    """All windows, those of one shape and bias together, the largest first.

    Returns:
        For each shape rows (windows, tokens) of the tokens, their number standing for padding, and
        the number of its bias; and for each bias the rows (N, N) of the table.
    """
    window, shift = fit_window(size, window_size, shift)
    every = math.prod(size)
    pad_t, pad_h, pad_w = (-extent % w for extent, w in zip(size, window, strict=True))
    numbers = torch.arange(every).view(1, *size, 1)
    numbers = F.pad(numbers, (0, 0, 0, pad_w, 0, pad_h, 0, pad_t), value=every)
    numbers = numbers.roll([-s for s in shift], dims=(1, 2, 3))
    grid = split_windows(numbers, window)[0, ..., 0]  # (nt, nh, nw, N)
    table_rows = relative_position_index(window_size).int()[: grid.shape[3], : grid.shape[3]]
    found: dict[tuple[int, int], list[Tensor]] = {}  # by tokens and bias
    biases: list[Tensor] = []
    for place, mask in window_groups(grid.shape[:3], window, shift, grid.device):
        windows = grid[place].flatten(0, 2)
        # A mask lets tokens of the same region see each other: a row of it is a region.
        regions = [slice(None)] if mask is None else torch.unique(mask, dim=0)
        for region in regions:
            rows = windows[:, region]
            rows = rows[(rows < every).any(dim=1)]  # nobody asks for windows of padding
            if not len(rows):
                continue
            bias = _find_corner(biases, table_rows[region][:, region].contiguous())
            found.setdefault((rows.shape[1], bias), []).append(rows)
    shapes = [(torch.cat(rows), bias) for (_, bias), rows in found.items()]
    return sorted(shapes, key=lambda shape: -shape[0].shape[1]), tuple(biases)


def _find_corner(biases: list[Tensor], wanted: Tensor) -> int:
    """Number of the one that starts with what is wanted, which is added where there is none."""
    tokens = len(wanted)
    for number, bias in enumerate(biases):
        if torch.equal(bias[:tokens, :tokens], wanted):
            return number
    biases.append(wanted)
    return len(biases) - 1


# --- what is done ---------------------------------------------------------------------------------


def _autocast_too(work: Callable[[_Chunk], None]) -> Callable[[_Chunk], None]:
    """The same work in whatever thread under the autocast of this one."""
    if not torch.is_autocast_enabled("cpu"):
        return work
    dtype = torch.get_autocast_dtype("cpu")

    def run(chunk: _Chunk) -> None:
        with torch.autocast("cpu", dtype):
            work(chunk)

    return run


@torch.inference_mode()
def _make_bias(table: Tensor, rows: Tensor) -> Tensor:
    """(heads, rows of the table) -> (1, heads, N, N)."""
    return table.index_select(1, rows.flatten()).view(1, -1, *rows.shape)


@torch.inference_mode()
def _run_block(block: Block, tokens: Tensor, biases: list[Tensor], chunk: _Chunk) -> None:
    """Take the rows of a chunk of the tokens (tokens, C) through a block and put them back."""
    x, rows = tokens.index_select(0, chunk.rows), chunk.rows
    normed = block.norm1(x)
    if chunk.padding is not None:
        # As the references do: padding comes after the norm, and is attended to.
        normed.index_fill_(0, chunk.padding, 0.0)
    mixed = _attend(block.attn, normed, biases, chunk)
    if chunk.real is not None:
        x, rows, mixed = (part.index_select(0, chunk.real) for part in (x, rows, mixed))
    x += _project(block.attn.proj, mixed)
    hidden = F.gelu(_project(block.mlp.fc1, block.norm2(x)))
    x += _project(block.mlp.fc2, hidden)
    tokens.index_copy_(0, rows, x)


def _attend(attention: WindowAttention, x: Tensor, biases: list[Tensor], chunk: _Chunk) -> Tensor:
    """Rows (M, C) of windows attend to their own window's: (M, C), before the projection."""
    heads, width = attention.heads, x.shape[1]
    lengths = [windows.count * windows.tokens for windows in chunk.windows]
    parts = torch.split(_project(attention.qkv, x), lengths)
    mixed = []
    for windows, qkv in zip(chunk.windows, parts, strict=True):
        qkv = qkv.view(windows.count, windows.tokens, 3, heads, width // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (count, heads, tokens, head_dim)
        bias = biases[windows.bias][..., : windows.tokens, : windows.tokens]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        mixed.append(out.transpose(1, 2).reshape(-1, width))
    return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


def _project(layer: nn.Linear, x: Tensor) -> Tensor:
    """Rows (M, C) through a linear layer, by the way that is faster here."""
    if x.dtype == torch.float32 and this_machine().convolution > _WORTH:
        return convolve(x, layer.weight, layer.bias)
    return layer(x)  # type: ignore[no-any-return]


# With OpenMP each thread may say for itself how many threads its operations use.
_SAID_BY_EACH_THREAD = "parallel backend: OpenMP" in torch.__config__.parallel_info()


@cache  # kept when the number changes: once threads that began hung in MKL while others ended
def _workers(threads: int) -> ThreadPoolExecutor:
    """Threads in which torch's operations use one thread each."""
    everyone = threading.Barrier(threads)

    def begin(_: int) -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread's own number counts from when it is first asked for
        everyone.wait()

    pool = ThreadPoolExecutor(threads, "videoswin")
    list(pool.map(begin, range(threads)))
    torch.set_num_threads(threads)  # what they set is the default of threads that are yet to come
    return pool
