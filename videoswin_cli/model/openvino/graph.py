"""The inference plan of a `Swin3D` as an OpenVINO graph for clips of one size.

It is built from OpenVINO's own operations: converters take half a minute and more to find them in a
traced network. Tokens stay in the order in which the windows of a block took them, and one gather
takes them from there to the windows of the next block, so there is no roll, no mask, and padding
only where windows are padded. Window geometry is that of `cpu.chunks`: no window wraps around.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from videoswin_cli.model.cpu.chunks import gather_windows
from videoswin_cli.model.openvino.package import import_openvino
from videoswin_cli.model.swin3d import (
    Block,
    PatchEmbed,
    PatchMerging,
    Swin3D,
    Triple,
    WindowAttention,
)

Node = Any  # output of an operation of OpenVINO, which has no stubs
Rows = NDArray[np.int64]
Answer = Literal["classes", "features"] | int  # "features": after the last norm; int: that stage


@dataclass(frozen=True, kw_only=True)
class _Tokens:
    """Tokens (rows, C) of one clip."""

    node: Node
    size: Triple  # of the grid
    order: Rows  # token of the grid in each row

    @property
    def places(self) -> Rows:
        """Row of each token of the grid, and behind it the row that comes after the last."""
        places = np.empty(len(self.order) + 1, dtype=np.int64)
        places[self.order] = np.arange(len(self.order))
        places[-1] = len(self.order)
        return places


def build_graph(network: Swin3D, size: Triple, answer: Answer) -> Any:
    """The `openvino.Model` of a network for clips (1, 3, *size), float32.

    Its second input is the number 0 as int32: what is computed from it is not folded into
    constants, as position biases would be, which are larger than the weights.

    Args:
        network: whose parameters are shared with the graph and must not change.
        size: frames, pixels, pixels.
        answer: what the outputs are. "classes": pooled features (1, C) and, where there is a head,
            logits (1, num_classes); otherwise tokens (T', H', W', C).
    """
    return _Builder().build(network, size, answer)


@dataclass
class _Builder:
    """Operations of one graph, and what several blocks of it share."""

    ops: Any = field(default_factory=lambda: import_openvino().opset13)
    indices: dict[bytes, Node] = field(default_factory=dict)  # rows of a bias table

    def __post_init__(self) -> None:
        self.zero = self.ops.parameter([], np.int32, "zero")

    def build(self, network: Swin3D, size: Triple, answer: Answer) -> Any:
        """See `build_graph`."""
        clip = self.ops.parameter([1, 3, *size], np.float32, "clip")
        tokens = self.embed(network.patch_embed, clip, size)
        stages = list(network.layers)
        for stage in stages[: answer if isinstance(answer, int) else None]:
            for block in stage.blocks:  # type: ignore[union-attr]
                tokens = self.run_block(block, tokens)
            if isinstance(stage.downsample, PatchMerging):
                tokens = self.merge(stage.downsample, tokens)
        if not isinstance(answer, int):
            tokens = replace(tokens, node=self.norm(network.norm, tokens.node))
        if answer == "classes":
            outputs = [self.ops.reduce_mean(tokens.node, _ints([0]), True)]
            if network.head is not None:
                outputs.append(self.linear(network.head, outputs[0]))
        else:
            flat = self.gather(tokens.node, tokens.places[:-1])
            outputs = [self.ops.reshape(flat, _ints([*tokens.size, -1]), False)]
        results = [self.ops.result(x) for x in outputs]
        return import_openvino().Model(results, [clip, self.zero], "swin3d")

    def embed(self, embedding: PatchEmbed, clip: Node, size: Triple) -> _Tokens:
        """A clip (1, 3, *size) as tokens in the order of the grid."""
        patch, layer = embedding.patch_size, embedding.proj
        missing = [-extent % p for extent, p in zip(size, patch, strict=True)]
        if any(missing):
            clip = self.ops.pad(clip, _ints([0] * 5), _ints([0, 0, *missing]), "constant")
        weight = self.constant(layer.weight)
        x = self.ops.convolution(clip, weight, list(patch), [0] * 3, [0] * 3, [1] * 3)
        grid: Triple = tuple(-(-e // p) for e, p in zip(size, patch, strict=True))  # type: ignore[assignment]
        count = math.prod(grid)
        x = self.ops.transpose(self.ops.reshape(x, _ints([-1, count]), False), _ints([1, 0]))
        x = self.ops.add(x, self.constant(layer.bias))
        if isinstance(embedding.norm, nn.LayerNorm):
            x = self.norm(embedding.norm, x)
        return _Tokens(node=x, size=grid, order=np.arange(count))

    def run_block(self, block: Block, tokens: _Tokens) -> _Tokens:
        """Tokens through a block, in the order of its windows."""
        attention, count = block.attn, len(tokens.order)
        shapes, bias_rows = gather_windows(tokens.size, attention.window_size, attention.shift)
        rows = torch.cat([rows.flatten() for rows, _ in shapes]).numpy()  # `count`: padding
        real = np.flatnonzero(rows < count)
        x = self.gather(tokens.node, tokens.places[rows[real]])
        spread = np.full(len(rows), count)
        spread[real] = np.arange(count)
        # As the references do: padding comes after the norm, and is attended to.
        normed = self.gather_padded(self.norm(block.norm1, x), spread)
        biases = [self.position_bias(attention, each.numpy()) for each in bias_rows]
        windows = [(rows.shape[0], rows.shape[1], biases[number]) for rows, number in shapes]
        mixed = self.attend(attention, normed, list(self.join_windows(windows)))
        if len(real) < len(rows):
            mixed = self.gather(mixed, real)
        x = self.ops.add(x, self.linear(attention.proj, mixed))
        # On 3 axes: OpenVINO 2026.4 crashes where it joins products of a few rows on 2.
        x = self.ops.unsqueeze(x, _ints(0))
        hidden = self.ops.gelu(self.linear(block.mlp.fc1, self.norm(block.norm2, x)), "ERF")
        x = self.ops.squeeze(self.ops.add(x, self.linear(block.mlp.fc2, hidden)), _ints(0))
        return replace(tokens, node=x, order=rows[real])

    def join_windows(
        self, windows: Sequence[tuple[int, int, Node]]
    ) -> Iterator[tuple[int, int, Node]]:
        """Kinds of windows, those of as many tokens as one; then each window has a bias of its own.

        Every attention in a graph costs OpenVINO a megabyte and time to compile. With the published
        sizes of windows joined are strips at two edges of the grid, few, so their biases are small.
        """
        for tokens, alike in groupby(windows, key=lambda kind: kind[1]):
            counts, _, biases = zip(*alike, strict=True)
            corners = [_corner(self.ops, bias, tokens) for bias in biases]
            whose = np.repeat(np.arange(len(corners)), counts)
            alone = len(corners) == 1  # its bias goes for all windows
            bias = corners[0] if alone else self.gather(self.ops.concat(corners, 0), whose)
            yield sum(counts), tokens, bias

    def attend(
        self, attention: WindowAttention, x: Node, windows: Sequence[tuple[int, int, Node]]
    ) -> Node:
        """Rows (M, C) mixed within windows, each kind of which has a count, tokens and a bias."""
        ops, heads, width = self.ops, attention.heads, attention.proj.in_features
        depth = width // heads
        lengths = [count * tokens for count, tokens, _ in windows]
        parts = ops.variadic_split(self.linear(attention.qkv, x), _ints(0), _ints(lengths))
        mixed = []
        for part, (count, tokens, bias) in zip(parts.outputs(), windows, strict=True):
            qkv = ops.reshape(part, _ints([count, tokens, 3, heads, depth]), False)
            qkv = ops.transpose(qkv, _ints([2, 0, 3, 1, 4]))
            # OpenVINO 2026.4 mixes up heads and tokens where there are as many of both: 5 axes.
            ambiguous = heads == tokens
            if not ambiguous:
                qkv = ops.reshape(qkv, _ints([3 * count, heads, tokens, depth]), False)
            q, k, v = ops.split(qkv, _ints(0), 3).outputs()
            scaled = ops.multiply(q, ops.constant(np.float32(depth**-0.5)))
            # Not the operation for attention: the processor's plugin is faster with its parts.
            scores = ops.add(ops.matmul(scaled, k, False, True), bias)
            out = ops.matmul(ops.softmax(scores, -1), v, False, False)
            out = ops.transpose(out, _ints([0, 1, 3, 2, 4] if ambiguous else [0, 2, 1, 3]))
            mixed.append(ops.reshape(out, _ints([count * tokens, width]), False))
        return ops.concat(mixed, 0)

    def position_bias(self, attention: WindowAttention, rows: NDArray[np.int32]) -> Node:
        """Bias (1, heads, N, N)."""
        if (key := rows.tobytes()) not in self.indices:
            self.indices[key] = self.ops.add(self.ops.constant(rows), self.zero)
        table = self.constant(attention.relative_position_bias_table.t())
        bias = self.ops.gather(table, self.indices[key], _ints(1))
        return self.ops.unsqueeze(bias, _ints(0))

    def merge(self, merging: PatchMerging, tokens: _Tokens) -> _Tokens:
        """Four tokens in one of twice the channels, in the order of the smaller grid."""
        (t, h, w), count = tokens.size, len(tokens.order)
        grid = np.arange(count).reshape(tokens.size)
        grid = np.pad(grid, ((0, 0), (0, h % 2), (0, w % 2)), constant_values=count)
        rows_columns = ((0, 0), (1, 0), (0, 1), (1, 1))
        fours = np.stack([grid[:, r::2, c::2] for r, c in rows_columns], axis=-1).reshape(-1, 4)
        x = self.gather_padded(tokens.node, tokens.places[fours])
        x = self.ops.reshape(x, _ints([len(fours), -1]), False)
        x = self.linear(merging.reduction, self.norm(merging.norm, x))
        return _Tokens(node=x, size=(t, -(-h // 2), -(-w // 2)), order=np.arange(len(fours)))

    def gather(self, x: Node, rows: Rows) -> Node:
        return self.ops.gather(x, self.ops.constant(rows.astype(np.int32)), _ints(0))

    def gather_padded(self, x: Node, rows: Rows) -> Node:
        """Rows of x (M, C); zeros where a row is M."""
        count, width = (each.get_length() for each in x.get_output_partial_shape(0))
        if rows.max() == count:
            x = self.ops.concat([x, self.ops.constant(np.zeros((1, width), np.float32))], 0)
        elif np.array_equal(rows, np.arange(count)):
            return x
        return self.gather(x, rows)

    def norm(self, layer: nn.LayerNorm, x: Node) -> Node:
        normed = self.ops.mvn(x, _ints([-1]), True, layer.eps, "inside_sqrt")
        scaled = self.ops.multiply(normed, self.constant(layer.weight))
        return self.ops.add(scaled, self.constant(layer.bias))

    def linear(self, layer: nn.Linear, x: Node) -> Node:
        product = self.ops.matmul(x, self.constant(layer.weight), False, True)
        return product if layer.bias is None else self.ops.add(product, self.constant(layer.bias))

    def constant(self, weight: Tensor | None) -> Node:
        assert weight is not None
        array = np.ascontiguousarray(weight.detach().float().numpy())
        return self.ops.constant(array, shared_memory=True)


def _corner(ops: Any, bias: Node, tokens: int) -> Node:
    if bias.get_output_partial_shape(0)[2].get_length() == tokens:
        return bias
    begin, end, step, axes = ([0, 0], [tokens, tokens], [1, 1], [2, 3])
    return ops.slice(bias, *map(_ints, (begin, end, step, axes)))


def _ints(values: int | Sequence[int]) -> NDArray[np.int64]:
    return np.asarray(values, dtype=np.int64)
