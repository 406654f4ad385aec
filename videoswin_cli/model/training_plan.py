"""Training of a `Swin3D` on a CPU: the same gradients in less time and memory.

Only the blocks are computed otherwise than `swin3d` says, as in `inference_plan`: a chunk of
windows goes through a whole block while it is in the cache, each thread takes chunks of its own,
and there is no roll, no padding of the whole grid and no mask. Of a block are kept its input and
the outputs of four products, a third of what autograd keeps (`cpu.block_backward`).

Numbers are those of the network within rounding, and the random numbers of drop path are the same.
Sums of gradients depend on the number of threads, and on nothing else that may change.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from videoswin_cli.model.cpu.block_backward import (
    NORM_EPS,
    Kept,
    Parts,
    Scales,
    Weights,
    add_up,
    make_parts,
    make_room,
    run_backward,
    run_forward,
    weights_from,
    zero_gradients,
)
from videoswin_cli.model.cpu.chunks import BlockPlan, Chunk, plan_block
from videoswin_cli.model.cpu.threads import count_threads, make_pool
from videoswin_cli.model.swin3d import MLP, Block, Stage, Swin3D, WindowAttention

_EVEN = 4  # so many chunks a thread are even shares, near enough

_Found = TypeVar("_Found")


class TrainingPlan(nn.Module):
    """The training plan of a network on a CPU.

    Calling it returns the network's logits. Under autocast, on another device and without gradients
    it is the network itself that computes; blocks whose parts are not those of `swin3d` are called
    as they are.
    """

    def __init__(self, network: Swin3D) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips: Tensor) -> Tensor:
        network = self.network
        autocast = torch.is_autocast_enabled("cpu")
        if clips.device.type != "cpu" or autocast or not torch.is_grad_enabled():
            return network(clips)  # type: ignore[no-any-return]
        if clips.dim() != 5 or clips.shape[1] != 3:
            raise ValueError(f"expected clips (B, 3, T, H, W), found {tuple(clips.shape)}")
        x: Tensor = network.patch_embed(clips)
        for stage in network.layers:
            x = _run_stage(stage, x)
        return network.classify(network.norm(x).permute(0, 4, 1, 2, 3))


def _run_stage(stage: nn.Module, x: Tensor) -> Tensor:
    if type(stage) is not Stage or not all(_is_plain(block, x.dtype) for block in stage.blocks):
        return stage(x)  # type: ignore[no-any-return]
    for block in stage.blocks:
        x = _run_block(cast("Block", block), x, recompute=stage.recompute and stage.training)
    return stage.downsample(x)  # type: ignore[no-any-return]


def _is_plain(block: nn.Module, dtype: torch.dtype) -> TypeGuard[Block]:
    """Whether a block and its parts are exactly those of `swin3d`, in numbers of this type."""
    if type(block) is not Block:
        return False
    attention, mlp, norms = block.attn, block.mlp, (block.norm1, block.norm2)
    if type(attention) is not WindowAttention or type(mlp) is not MLP:
        return False
    linears = attention.qkv, attention.proj, mlp.fc1, mlp.fc2
    return (
        all(type(linear) is nn.Linear for linear in linears)
        and all(type(norm) is nn.LayerNorm and norm.eps == NORM_EPS for norm in norms)
        and all(parameter.dtype == dtype for parameter in block.parameters())
    )


@dataclass(frozen=True, kw_only=True)
class _Task:
    """A chunk of one clip."""

    clip: int
    chunk: Chunk
    scales: Scales
    rows: slice  # of all chunks' rows one after the other
    real: slice  # of those that are no padding

    @property
    def places(self) -> Tensor:
        """Tokens of the clip that the chunk computes."""
        chunk = self.chunk
        return chunk.rows if chunk.real is None else chunk.rows[chunk.real]


def _run_block(block: Block, x: Tensor, *, recompute: bool) -> Tensor:
    """Tokens (B, T, H, W, C) through a block."""
    weights = _weights_of(block)
    scales = list(zip(_draw_scales(block, x), _draw_scales(block, x), strict=True))
    size = x.shape[1], x.shape[2], x.shape[3]
    plan = plan_block(block.attn, size, torch.get_num_threads())
    needed = x.requires_grad or any(t is not None and t.requires_grad for t in weights.tensors)
    job = _Job(plan, tuple(_list_tasks(plan, scales)), keep=needed and not recompute)
    return _RunBlock.apply(job, x.contiguous(), *weights.tensors)  # type: ignore[no-any-return,no-untyped-call]


def _weights_of(block: Block) -> Weights:
    attention, mlp = block.attn, block.mlp
    return Weights(
        norm1=block.norm1.weight,
        norm1_bias=block.norm1.bias,
        table=attention.relative_position_bias_table,
        qkv=attention.qkv.weight,
        qkv_bias=attention.qkv.bias,
        proj=attention.proj.weight,
        proj_bias=attention.proj.bias,
        norm2=block.norm2.weight,
        norm2_bias=block.norm2.bias,
        fc1=mlp.fc1.weight,
        fc1_bias=mlp.fc1.bias,
        fc2=mlp.fc2.weight,
        fc2_bias=mlp.fc2.bias,
    )


def _draw_scales(block: Block, x: Tensor) -> list[float]:
    """What each clip's residual branch is multiplied with: `swin3d.drop_path`, number by number."""
    ones = x.new_ones(len(x), 1, 1, 1, 1)
    return block.drop(ones).flatten().tolist()


def _list_tasks(plan: BlockPlan, scales: Sequence[Scales]) -> Iterator[_Task]:
    row = real = 0
    for clip, own in enumerate(scales):
        for chunk in plan.chunks:
            rows = slice(row, row + len(chunk.rows))
            n_real = len(chunk.rows if chunk.real is None else chunk.real)
            yield _Task(
                clip=clip, chunk=chunk, scales=own, rows=rows, real=slice(real, real + n_real)
            )
            row, real = rows.stop, real + n_real


@dataclass(frozen=True)
class _Job:
    """The tasks of a block and what is done about their memory."""

    plan: BlockPlan
    tasks: tuple[_Task, ...]
    keep: bool  # False: computed again on the way back

    def share(self, work: Callable[[Sequence[_Task]], _Found]) -> list[_Found]:
        """Let each thread do its share of the tasks; the shares follow from numbers alone."""
        threads, n = count_threads(), len(self.tasks)
        if threads == 1 or (n % threads and n < _EVEN * threads):
            return [work(self.tasks)]  # torch's own threads share each operation
        shares = [self.tasks[first::threads] for first in range(threads)]
        return list(make_pool(threads).map(work, shares))


class _RunBlock(torch.autograd.Function):
    """A block as one operation of autograd."""

    @staticmethod
    def forward(ctx: Any, job: _Job, x: Tensor, *tensors: Tensor | None) -> Tensor:
        """Tokens (B, T, H, W, C) through the block whose weights are `tensors`."""
        parts = make_parts(weights_from(tensors), job.plan.bias_rows)
        last = job.tasks[-1]
        kept = make_room(parts.weights, last.rows.stop, last.real.stop) if job.keep else None
        out = torch.empty_like(x)

        @torch.no_grad()  # which holds for a thread
        def work(tasks: Sequence[_Task]) -> None:
            for task in tasks:
                rows, room = _take_rows(x, task), _find_room(kept, parts, task)
                found = run_forward(parts, task.chunk, rows, room, task.scales)
                _tokens(out, task).index_copy_(0, task.places, found)

        job.share(work)
        ctx.job, ctx.inputs = job, len(tensors)
        ctx.save_for_backward(x, *tensors, *(kept.tensors if kept else ()))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of what `forward` took; None for the job."""
        job, (x, *saved) = ctx.job, ctx.saved_tensors
        parts = make_parts(weights_from(saved[: ctx.inputs]), job.plan.bias_rows)
        kept = _kept_from(saved[ctx.inputs :]) if job.keep else None
        grad, grad_x = grad.contiguous(), torch.empty_like(x)

        @torch.no_grad()
        def work(tasks: Sequence[_Task]) -> Parts:
            sums = zero_gradients(parts)
            for task in tasks:
                rows, room = _take_rows(x, task), _find_room(kept, parts, task)
                if kept is None:
                    run_forward(parts, task.chunk, rows, room, task.scales)
                behind = _tokens(grad, task).index_select(0, task.places)
                before = run_backward(parts, task.chunk, rows, room, task.scales, behind, sums)
                _tokens(grad_x, task).index_copy_(0, task.places, before)
            return sums

        return None, grad_x, *add_up(job.share(work), job.plan.bias_rows).tensors


def _kept_from(tensors: Sequence[Tensor]) -> Kept:
    qkv, mixed, middle, hidden = tensors
    return Kept(qkv=qkv, mixed=mixed, middle=middle, hidden=hidden)


def _find_room(kept: Kept | None, parts: Parts, task: _Task) -> Kept:
    """The task's part of what is kept; without that, room of its own."""
    rows, real = task.rows, task.real
    if kept is None:
        return make_room(parts.weights, rows.stop - rows.start, real.stop - real.start)
    return Kept(
        qkv=kept.qkv[rows],
        mixed=kept.mixed[real],
        middle=kept.middle[real],
        hidden=kept.hidden[real],
    )


def _tokens(x: Tensor, task: _Task) -> Tensor:
    """(B, T, H, W, C) -> those of the task's clip, (T * H * W, C)."""
    return x[task.clip].view(-1, x.shape[4])


def _take_rows(x: Tensor, task: _Task) -> Tensor:
    return _tokens(x, task).index_select(0, task.chunk.rows)
