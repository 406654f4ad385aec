"""Inference of a `Swin3D` on a CPU: the same numbers in less time, planned once per input size.

Only the blocks are computed otherwise than `swin3d` says:

- Tokens stay in place. A plan knows the rows of each window (`cpu.chunks`), so there is no roll, no
  padding of the whole grid and no mask.
- A chunk of windows goes through the whole block, attention and MLP, while it is in the cache.
- Chunks are dealt to threads, each with a core to itself. Where there are too few chunks for that
  (late stages, many cores) all rows are one chunk, and torch's own threads share each operation.
- Linear layers are computed by oneDNN where it is faster than MKL, as on some AMD processors: by a
  convolution, or with a packed weight and what follows in the same pass (`cpu.linear`).
- Attention in bfloat16 is two products of matrices where that is faster (`cpu.attention`).
- Clips of a batch are computed one after the other: on a CPU that is as fast and holds less memory,
  and a clip's numbers do not depend on what it travels with.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import TypeGuard

import torch
from torch import Tensor, nn

from videoswin_cli.model.cpu.attention import (
    Attend,
    attend_by_products,
    attend_by_torch,
    attend_windows,
    make_bias,
)
from videoswin_cli.model.cpu.chunks import Chunk, plan_block
from videoswin_cli.model.cpu.linear import (
    Prepare,
    Product,
    by_convolution,
    by_fusing,
    by_torch,
    has_fused_products,
)
from videoswin_cli.model.cpu.profile import Machine, this_machine
from videoswin_cli.model.cpu.threads import count_threads, make_pool
from videoswin_cli.model.swin3d import MLP, Block, Stage, Swin3D, Triple, WindowAttention

_WORTH = 1.1  # times as fast must another kernel be: less may be noise
_CONVOLUTION_WORTH = 1.5


class InferencePlan:
    """The execution plan of a network on a CPU.

    Calling it, `pool` and `forward_features` take and return what those of the network do in eval
    mode, float32 within 5e-5 of the golden cases of the tests, without gradients. The plan holds
    nothing but the network: weights that change and modules that are replaced count from the next
    call on. A block whose parts are not those of `swin3d` is called as it is.

    Args:
        network: whose answers are computed.
        machine: speeds that choose between kernels; None: those of this machine, measured at the
            first call unless they are known.
    """

    def __init__(self, network: Swin3D, machine: Machine | None = None) -> None:
        self.network = network
        self._machine = machine

    @property
    def head(self) -> nn.Module | None:
        return self.network.head

    @torch.no_grad()
    def __call__(self, clips: Tensor) -> Tensor:
        return one_by_one(self._classify, clips)

    def pool(self, clips: Tensor) -> Tensor:
        return self.forward_features(clips).mean(dim=(2, 3, 4))

    @torch.no_grad()
    def forward_features(self, clips: Tensor, *, stage: int | None = None) -> Tensor:
        return one_by_one(partial(self._compute_features, stage=stage), clips)

    def _classify(self, clip: Tensor) -> Tensor:
        if self.network.head is None:
            raise RuntimeError("this network has no head: call forward_features")
        logits: Tensor = self.network.head(self.pool(clip))
        return logits

    def _compute_features(self, clip: Tensor, *, stage: int | None) -> Tensor:
        network = self.network
        if clip.dim() != 5 or clip.shape[1] != 3:
            raise ValueError(f"expected clips (B, 3, T, H, W), found {tuple(clip.shape)}")
        self._machine = self._machine or this_machine()
        x: Tensor = network.patch_embed(clip)
        for layer in list(network.layers)[:stage]:
            x = _run_stage(layer, x, self._machine)
        if stage is None:
            x = network.norm(x)
        return x.permute(0, 4, 1, 2, 3)


def one_by_one(compute: Callable[[Tensor], Tensor], clips: Tensor) -> Tensor:
    if clips.dim() != 5 or len(clips) == 1:
        return compute(clips)
    if not len(clips):
        return compute(clips.new_zeros(1, *clips.shape[1:]))[:0]
    return torch.cat([compute(clip) for clip in torch.split(clips, 1)])


def _run_stage(stage: nn.Module, x: Tensor, machine: Machine) -> Tensor:
    """Tokens (1, T, H, W, C), which are overwritten -> those of the next stage."""
    if type(stage) is not Stage:
        return stage(x)  # type: ignore[no-any-return]
    for block in stage.blocks:
        x = _run_block(block, x.contiguous(), machine) if _is_plain(block) else block(x)
    return stage.downsample(x)  # type: ignore[no-any-return]


def _is_plain(block: nn.Module) -> TypeGuard[Block]:
    """Whether a block and its parts are exactly those of `swin3d`, and no subclass of them."""
    return type(block) is Block and type(block.attn) is WindowAttention and type(block.mlp) is MLP


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """Parts of a block in the form in which all chunks use them, for one pass and no longer.

    Weights may change before the next pass, and with packed ones kept there would be all of them
    twice.
    """

    qkv: Product
    proj: Product
    fc1: Product
    fc2: Product
    attend: Attend
    biases: list[Tensor]


def _run_block(block: Block, x: Tensor, machine: Machine) -> Tensor:
    """Tokens (1, T, H, W, C) through a block, in place."""
    tokens = x.view(-1, x.shape[4])
    threads = count_threads()
    size: Triple = x.shape[1], x.shape[2], x.shape[3]
    plan = plan_block(block.attn, size, threads)
    shared = threads > 1 and len(plan.chunks) > 1
    map_fn = make_pool(threads).map if shared else map
    table = block.attn.relative_position_bias_table.t().contiguous()
    layers = block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2
    prepare = _choose_product(machine, x.dtype)
    qkv, proj, fc1, fc2 = map_fn(prepare, layers, repeat(x.dtype))
    ready = _Ready(
        qkv=qkv,
        proj=proj,
        fc1=fc1,
        fc2=fc2,
        attend=_choose_attention(machine, x.dtype),
        biases=list(map_fn(partial(make_bias, table), plan.bias_rows)),
    )
    run_chunk = _with_autocast(partial(_run_chunk, block, ready, tokens))
    for _ in map_fn(run_chunk, plan.chunks):
        pass
    return x


def _choose_product(machine: Machine, dtype: torch.dtype) -> Prepare:
    """The kind of product for tokens of this type."""
    if torch.is_autocast_enabled("cpu"):  # which decides on types itself
        return by_torch
    fused = {torch.float32: machine.fused, torch.bfloat16: machine.fused_bf16}
    if fused.get(dtype, 0) > _WORTH and has_fused_products(dtype):
        return by_fusing
    return by_convolution if machine.convolution > _CONVOLUTION_WORTH else by_torch


def _choose_attention(machine: Machine, dtype: torch.dtype) -> Attend:
    """The kernel for tokens of this type."""
    plain = dtype != torch.bfloat16 or torch.is_autocast_enabled("cpu")
    return attend_by_torch if plain or machine.attention_bf16 <= _WORTH else attend_by_products


def _with_autocast(work: Callable[[Chunk], None]) -> Callable[[Chunk], None]:
    """The same work under the autocast of this thread, in whatever thread it runs."""
    if not torch.is_autocast_enabled("cpu"):
        return work
    dtype = torch.get_autocast_dtype("cpu")

    def run(chunk: Chunk) -> None:
        with torch.autocast("cpu", dtype):
            work(chunk)

    return run


@torch.inference_mode()
def _run_chunk(block: Block, ready: _Ready, tokens: Tensor, chunk: Chunk) -> None:
    """Rows of a chunk of the tokens (tokens, C) through a block, written back in place."""
    x, rows = tokens.index_select(0, chunk.rows), chunk.rows
    normed = block.norm1(x)
    if chunk.padding is not None:
        # As the references do: padding comes after the norm, and is attended to.
        normed.index_fill_(0, chunk.padding, 0.0)
    qkv = ready.qkv(normed)
    mixed = attend_windows(ready.attend, qkv, block.attn.heads, chunk.windows, ready.biases)
    if chunk.real is not None:
        x, rows, mixed = (part.index_select(0, chunk.real) for part in (x, rows, mixed))
    x = ready.proj.add(mixed, x)
    x = ready.fc2.add(ready.fc1.gelu(block.norm2(x)), x)
    tokens.index_copy_(0, rows, x)
