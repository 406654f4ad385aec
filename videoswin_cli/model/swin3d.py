"""Video Swin Transformer (Liu et al., 2021, arXiv:2106.13230), and only it.

Reads top to bottom: patches, window geometry, attention, block, merging, stage, network. It
computes what the official code, mmaction2, torchvision and PaddleVideo compute, on every input
size; their common oddities are marked "as the references do". Tokens travel channels-last:
(batch, time, height, width, channels). Triples are (time, height, width).
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Triple = tuple[int, int, int]


def pad(x: Tensor, amounts: Sequence[int]) -> Tensor:
    """`F.pad` with zeros, which copies even where there is nothing to add."""
    return F.pad(x, tuple(amounts)) if any(amounts) else x


class PatchEmbed(nn.Module):
    """Cut a clip into patches and embed each: (B, 3, T, H, W) -> (B, T', H', W', embed_dim)."""

    def __init__(self, patch_size: Triple, embed_dim: int, *, patch_norm: bool) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv3d(3, embed_dim, kernel_size=patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(embed_dim) if patch_norm else nn.Identity()

    def forward(self, clips: Tensor) -> Tensor:
        T, H, W = clips.shape[2:]
        t, h, w = self.patch_size
        clips = pad(clips, (0, -W % w, 0, -H % h, 0, -T % t))
        # (B, T', H', W', 3 * t * h * w): the convolution as the product it is, since patches do not
        # overlap. cudnn would round a float32 convolution to TF32, 1e-3 on the logits.
        patches = clips.unfold(2, t, t).unfold(3, h, h).unfold(4, w, w)
        patches = patches.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4)
        tokens = F.linear(patches, self.proj.weight.flatten(1), self.proj.bias)
        return self.norm(tokens)  # type: ignore[no-any-return]


def fit_window(size: Sequence[int], window: Triple, shift: Triple) -> tuple[Triple, Triple]:
    """Window and shift for a grid of `size` tokens: an axis that fits one window is not shifted."""
    fits = [extent <= limit for extent, limit in zip(size, window, strict=True)]
    fitted = tuple(e if fit else w for e, w, fit in zip(size, window, fits, strict=True))
    shifted = tuple(0 if fit else s for s, fit in zip(shift, fits, strict=True))
    return fitted, shifted  # type: ignore[return-value]


def relative_position_index(window: Triple, device: torch.device | None = None) -> Tensor:
    """Row of the bias table for each pair of tokens in a window: (N, N) int64, N = t * h * w."""
    t, h, w = window
    axes = [torch.arange(extent, device=device) for extent in window]
    coords = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
    offset = coords[:, :, None] - coords[:, None, :]  # from the second token to the first
    return (
        (offset[0] + t - 1) * ((2 * h - 1) * (2 * w - 1))
        + (offset[1] + h - 1) * (2 * w - 1)
        + (offset[2] + w - 1)
    )


def split_windows(x: Tensor, window: Triple) -> Tensor:
    """(B, T, H, W, C) -> (B, T/t, H/h, W/w, N, C); each axis is a multiple of the window."""
    B, T, H, W, C = x.shape
    t, h, w = window
    x = x.view(B, T // t, t, H // h, h, W // w, w, C)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(B, T // t, H // h, W // w, t * h * w, C)


def join_windows(x: Tensor, window: Triple) -> Tensor:
    """Inverse of `split_windows`."""
    B, nt, nh, nw, _, C = x.shape
    t, h, w = window
    x = x.view(B, nt, nh, nw, t, h, w, C)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(B, nt * t, nh * h, nw * w, C)


def window_groups(
    grid: Sequence[int], window: Triple, shift: Triple, device: torch.device
) -> Iterator[tuple[tuple[slice, slice, slice], Tensor | None]]:
    """Groups of windows that share one attention mask, as slices of the window grid.

    After the roll, the last window of a shifted axis holds tokens from both ends of the clip,
    which must not see each other. A window's mask depends only on which axes it is last along,
    so at most eight masks of (N, N) bool (True: may attend) serve all windows.
    """
    choices: list[list[tuple[slice, bool]]] = []
    for count, step in zip(grid, shift, strict=True):
        wrapped = [(slice(count - 1, count), True)] if step else []
        inner = slice(0, count - 1) if step else slice(0, count)
        choices.append([(inner, False), *wrapped] if inner.stop > 0 else wrapped)
    for (ts, t_last), (hs, h_last), (ws, w_last) in itertools.product(*choices):
        region = torch.zeros(window, dtype=torch.int64, device=device)
        for axis, last in enumerate((t_last, h_last, w_last)):
            if last:  # 1 for the tokens that came round from the other end
                came_round = torch.arange(window[axis], device=device) >= window[axis] - shift[axis]
                shape = [-1 if a == axis else 1 for a in range(3)]
                region = region * 2 + came_round.view(shape)
        region = region.flatten()
        mask = region[:, None] == region[None, :] if t_last or h_last or w_last else None
        yield (ts, hs, ws), mask


class WindowAttention(nn.Module):
    """Multi-head self-attention inside (shifted) windows, with a learned relative position bias."""

    def __init__(
        self, dim: int, heads: int, *, window_size: Triple, shift: Triple, qkv_bias: bool
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window_size = window_size
        self.shift = shift
        t, h, w = window_size
        rows = (2 * t - 1) * (2 * h - 1) * (2 * w - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, heads))
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Normed tokens (B, T, H, W, C) -> mixed tokens of the same shape."""
        B, T, H, W, C = x.shape
        window, shift = fit_window((T, H, W), self.window_size, self.shift)
        # As the references do: padding comes after the norm, and the padded tokens are attended to.
        pad_t, pad_h, pad_w = (-extent % w for extent, w in zip((T, H, W), window, strict=True))
        x = pad(x, (0, 0, 0, pad_w, 0, pad_h, 0, pad_t))
        if any(shift):
            x = x.roll([-s for s in shift], dims=(1, 2, 3))

        windows = split_windows(x, window)  # (B, nt, nh, nw, N, C)
        grid, N = windows.shape[1:4], windows.shape[4]
        qkv = self.qkv(windows).view(B, *grid, N, 3, self.heads, C // self.heads)
        qkv = qkv.permute(5, 0, 1, 2, 3, 6, 4, 7)  # (3, B, nt, nh, nw, heads, N, head_dim)
        bias = self.position_bias(N)
        mixed = qkv.new_empty(B, *grid, N, self.heads, C // self.heads)
        for (ts, hs, ws), mask in window_groups(grid, window, shift, x.device):
            group = qkv[:, :, ts, hs, ws]
            q, k, v = group.flatten(1, 4)
            # -100, not -inf, as the references do: it reaches 0 in the softmax all the same.
            masked_bias = bias if mask is None else bias + torch.where(mask, 0.0, -100.0).to(bias)
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=masked_bias)
            # No reshape, whose kind depends on the strides of this kernel's output: exporters
            # record what they met.
            mixed[:, ts, hs, ws] = out.view(*group.shape[1:5], *out.shape[1:]).transpose(4, 5)

        x = join_windows(self.proj(mixed.flatten(5)), window)
        if any(shift):
            x = x.roll(shift, dims=(1, 2, 3))
        return x[:, :T, :H, :W]

    def position_bias(self, tokens: int) -> Tensor:
        """Bias (1, heads, N, N) for a window of `tokens` tokens.

        As the references do, a window that was cut to a smaller input takes the corner [:N, :N] of
        the full window's index. That is the true geometry only where time alone shrinks, but it is
        what the published weights were trained and scored with.
        """
        table = self.relative_position_bias_table
        index = relative_position_index(self.window_size, table.device)[:tokens, :tokens]
        # Not table[index], whose gradient on a CPU adds up in the order in which threads come by.
        return F.embedding(index, table).permute(2, 0, 1).unsqueeze(0)


class MLP(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


def drop_path(x: Tensor, rate: float) -> Tensor:
    """Leave a residual branch (B, ...) out for a share `rate` of the clips."""
    if rate == 0:
        return x
    keep = x.new_empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(1 - rate)
    return x * keep / (1 - rate)


class Block(nn.Module):
    """Attention in windows, then an MLP, each with a norm before and a residual around."""

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        window_size: Triple,
        shift: Triple,
        mlp_ratio: float,
        qkv_bias: bool,
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        self.drop_path_rate = drop_path_rate
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(
            dim, heads, window_size=window_size, shift=shift, qkv_bias=qkv_bias
        )
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop(self.attn(self.norm1(x)))
        return x + self.drop(self.mlp(self.norm2(x)))

    def drop(self, branch: Tensor) -> Tensor:
        return drop_path(branch, self.drop_path_rate) if self.training else branch


class PatchMerging(nn.Module):
    """Halve height and width, double the channels; time is never merged."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:4]
        x = pad(x, (0, 0, 0, W % 2, 0, H % 2))
        rows_columns = ((0, 0), (1, 0), (0, 1), (1, 1))
        x = torch.cat([x[:, :, r::2, c::2] for r, c in rows_columns], dim=-1)
        return self.reduction(self.norm(x))  # type: ignore[no-any-return]


class Stage(nn.Module):
    """Blocks at one resolution, every second one shifted, then merging (but for the last stage)."""

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        *,
        window_size: Triple,
        mlp_ratio: float,
        qkv_bias: bool,
        drop_path_rates: Sequence[float],
        merge: bool,
    ) -> None:
        super().__init__()
        t, h, w = window_size
        shifts: tuple[Triple, Triple] = ((0, 0, 0), (t // 2, h // 2, w // 2))
        self.blocks = nn.Sequential(
            *(
                Block(
                    dim,
                    heads,
                    window_size=window_size,
                    shift=shifts[i % 2],
                    mlp_ratio=mlp_ratio,
                    qkv_bias=qkv_bias,
                    drop_path_rate=drop_path_rates[i],
                )
                for i in range(depth)
            )
        )
        self.downsample = PatchMerging(dim) if merge else nn.Identity()
        self.recompute = False

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            if self.recompute and self.training:
                x = checkpoint(block, x, use_reentrant=False)
            else:
                x = block(x)
        return self.downsample(x)  # type: ignore[no-any-return]


class Sizes(Protocol):
    """Sizes of a network. Triples are (time, height, width)."""

    @property
    def embed_dim(self) -> int:
        """Channels after the patch embedding; each stage but the first doubles them."""

    @property
    def depths(self) -> Sequence[int]:
        """Blocks per stage."""

    @property
    def num_heads(self) -> Sequence[int]:
        """Attention heads per stage."""

    @property
    def window_size(self) -> Triple:
        """Tokens."""

    @property
    def patch_size(self) -> Triple:
        """Frames, pixels, pixels."""

    @property
    def mlp_ratio(self) -> float:
        """Hidden width of the MLP over its input width."""

    @property
    def qkv_bias(self) -> bool:
        """Whether queries, keys and values have a bias."""

    @property
    def patch_norm(self) -> bool:
        """Whether the patch embedding ends with a layer norm."""

    @property
    def num_classes(self) -> int:
        """Outputs of the head; 0 makes a network without one, for features only."""


class Swin3D(nn.Module):
    """The whole network. Its `state_dict` is our canonical layout: parameters only, no buffers.

    Args:
        sizes: of its layers.
        drop_path_rate: of the last block's residual branches, rising to it from 0; training only.
        head_dropout: share of the pooled features that are dropped; training only.
    """

    def __init__(
        self, sizes: Sizes, *, drop_path_rate: float = 0.0, head_dropout: float = 0.0
    ) -> None:
        super().__init__()
        depths, width = sizes.depths, sizes.embed_dim
        self.head_dropout = head_dropout
        rising = [drop_path_rate * i / max(sum(depths) - 1, 1) for i in range(sum(depths))]
        self.patch_embed = PatchEmbed(sizes.patch_size, width, patch_norm=sizes.patch_norm)
        last = len(depths) - 1
        self.layers = nn.Sequential(
            *(
                Stage(
                    width * 2**i,
                    depth,
                    heads,
                    window_size=sizes.window_size,
                    mlp_ratio=sizes.mlp_ratio,
                    qkv_bias=sizes.qkv_bias,
                    drop_path_rates=rising[sum(depths[:i]) : sum(depths[: i + 1])],
                    merge=i < last,
                )
                for i, (depth, heads) in enumerate(zip(depths, sizes.num_heads, strict=True))
            )
        )
        width *= 2**last
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, sizes.num_classes) if sizes.num_classes else None

    def recompute(self, wanted: bool) -> None:
        """Activation checkpointing: the backward pass computes the blocks again to save memory."""
        for stage in self.layers:
            stage.recompute = wanted  # type: ignore[assignment]

    def forward_features(self, clips: Tensor, *, stage: int | None = None) -> Tensor:
        """Normalized clips (B, 3, T, H, W) -> features (B, C, T', H', W') after the final norm.

        With `stage` (from 1) those after that stage, without the final norm: its merging, which
        all stages but the last end with, has then halved H' and W' and doubled C.
        """
        if clips.dim() != 5 or clips.shape[1] != 3:
            raise ValueError(f"expected clips (B, 3, T, H, W), found {tuple(clips.shape)}")
        features: Tensor = self.layers[:stage](self.patch_embed(clips))
        if stage is None:
            features = self.norm(features)
        return features.permute(0, 4, 1, 2, 3)

    def forward(self, clips: Tensor) -> Tensor:
        """Normalized RGB clips (B, 3, T, H, W) -> logits (B, num_classes)."""
        return self.classify(self.forward_features(clips))

    def classify(self, features: Tensor, *, stage: int | None = None) -> Tensor:
        """The rest of `forward` behind `forward_features` with the same `stage`: logits."""
        if self.head is None:
            raise RuntimeError("this network has no head: call forward_features")
        if stage is not None:
            tokens = features.permute(0, 2, 3, 4, 1)
            features = self.norm(self.layers[stage:](tokens)).permute(0, 4, 1, 2, 3)
        pooled = F.dropout(features.mean(dim=(2, 3, 4)), self.head_dropout, self.training)
        logits: Tensor = self.head(pooled)
        return logits

    def cell_size(self, stage: int | None = None) -> Triple:
        """Frames, rows and columns of a clip that one of its features after a stage stands for."""
        t, h, w = self.patch_embed.patch_size
        last = len(self.layers) - 1
        merged = 2 ** (last if stage is None else min(stage, last))
        return t, h * merged, w * merged

    def pool(self, clips: Tensor) -> Tensor:
        """Normalized RGB clips (B, 3, T, H, W) -> features (B, C), their mean over the clip."""
        return self.forward_features(clips).mean(dim=(2, 3, 4))
