"""Limits of a described network: ranges of its numbers, and its size before it is built.

A description comes from a file, maybe from a stranger. Each range holds all published models and
leaves room for larger ones; the sizes hold for the numbers together.
"""

import os
from collections.abc import Iterator
from math import prod

from videoswin_cli.errors import UsageError
from videoswin_cli.ranges import Range, find_outside
from videoswin_cli.records import Architecture, InputProtocol

MAX_PARAMETERS = 400_000_000  # 1.6 GB in fp32; the largest published have 200 million
MAX_PARAMETERS_VARIABLE = "VIDEOSWIN_MAX_PARAMETERS"
MAX_CLIP_PIXELS = 1 << 25  # frames x height x width; 32x224x224 is 1/21 of it
MAX_ACTIVATIONS = 1 << 28  # numbers of the largest tensor of one view: 1 GiB in fp32
MAX_CLASSES = 100_000  # ImageNet-22k has 21,841

ARCHITECTURE_RANGES = {
    "embed_dim": Range(1, 1024),  # published: 96 to 192
    "depths": Range(1, 128),  # published: 2 to 18
    "num_heads": Range(1, 256),  # published: 3 to 48
    "window_size": Range(1, 64),  # published: 7 to 16; 64 tokens cover frames of 256 px
    "patch_size": Range(1, 64),  # published: 2 and 4
    "mlp_ratio": Range(0, 16, without_low=True),  # published: 4
    "num_classes": Range(0, MAX_CLASSES),
}
PROTOCOL_RANGES = {
    "clip_frames": Range(1, 1024),  # published: 32; 1024 are 34 s of video, each frame
    "interval_frames": Range(1, 1000),
    "frame_rate": Range(0, 1000, without_low=True),  # a second
    "clips": Range(1, 999),
    "crop_size": Range(1, 1024),  # px; published: 112 to 384
    "short_side": Range(1, 2048),  # px
    "quick_short_side": Range(1, 2048),  # px
    "mean": Range(-255, 255),  # of 0..255
    "std": Range(0, 1000, without_low=True),
}
_STAGES = Range(1, 8)


def find_problems(architecture: Architecture, protocol: InputProtocol) -> Iterator[str]:
    """Impossible or too large values of a network or input: key, value and the expected.

    Raises:
        UsageError: VIDEOSWIN_MAX_PARAMETERS is no number.
    """
    a, p = architecture, protocol
    problems = [*find_outside(a, ARCHITECTURE_RANGES), *find_outside(p, PROTOCOL_RANGES)]
    if len(a.depths) not in _STAGES:
        problems.append(f"depths: expected {_STAGES} of them, found {len(a.depths)}")
    if len(a.depths) != len(a.num_heads):
        problems.append(
            f"depths and num_heads: expected as many of each, found {len(a.depths)} and "
            f"{len(a.num_heads)}"
        )
    yield from problems
    if problems:
        return  # sizes are computed of what is possible alone
    for stage, heads in enumerate(a.num_heads):
        if a.embed_dim * 2**stage % heads:
            yield f"embed_dim: {a.embed_dim} cannot be shared by the heads of stage {stage + 1}"
    if p.crops not in (1, 3):
        yield f"crops: expected 1 or 3, found {p.crops}"
    for key in ("short_side", "quick_short_side"):
        if getattr(p, key) < p.crop_size:
            yield f"{key}: {getattr(p, key)} px have no room for crops of {p.crop_size} px"
    yield from _oversizes(a, p)


def count_parameters(architecture: Architecture) -> int:
    """Parameters of the network, with its head."""
    a = architecture
    window = prod(2 * extent - 1 for extent in a.window_size)
    total = a.embed_dim * (3 * prod(a.patch_size) + 1 + 2 * a.patch_norm)
    for stage, (depth, heads) in enumerate(zip(a.depths, a.num_heads, strict=True)):
        dim = a.embed_dim * 2**stage
        hidden = int(dim * a.mlp_ratio)
        attention = dim * (4 * dim + 1 + 3 * a.qkv_bias) + window * heads
        total += depth * (4 * dim + attention + hidden * (2 * dim + 1) + dim)
        if stage + 1 < len(a.depths):
            total += 8 * dim + 8 * dim**2  # merging: norm of 4 dim, and 4 dim to 2 dim
    last: int = a.embed_dim * 2 ** (len(a.depths) - 1)
    return total + 2 * last + (last + 1) * a.num_classes


def _oversizes(a: Architecture, p: InputProtocol) -> Iterator[str]:
    most = _max_parameters()
    if (parameters := count_parameters(a)) > most:
        yield (
            f"embed_dim, depths, window_size and num_classes: a network of {parameters} parameters,"
            f" expected at most {most} ({MAX_PARAMETERS_VARIABLE} sets it)"
        )
    if (pixels := p.clip_frames * p.crop_size**2) > MAX_CLIP_PIXELS:
        yield (
            f"clip_frames and crop_size: clips of {p.clip_frames}x{p.crop_size}x{p.crop_size} are "
            f"{pixels} pixels, expected at most {MAX_CLIP_PIXELS}"
        )
    if (numbers := _largest_tensor(a, p)) > MAX_ACTIVATIONS:
        yield (
            f"clip_frames, crop_size, window_size and embed_dim: a view needs a tensor of {numbers}"
            f" numbers, expected at most {MAX_ACTIVATIONS}"
        )


def stage_tokens(architecture: Architecture, protocol: InputProtocol) -> Iterator[tuple[int, int]]:
    """Tokens of one view with the padding to whole windows, and tokens of a window, by stage."""
    sides = (protocol.clip_frames, protocol.crop_size, protocol.crop_size)
    grid = [-(-side // patch) for side, patch in zip(sides, architecture.patch_size, strict=True)]
    for _ in architecture.depths:
        window = [min(pair) for pair in zip(grid, architecture.window_size, strict=True)]
        yield prod(-(-n // w) * w for n, w in zip(grid, window, strict=True)), prod(window)
        grid = [grid[0], -(-grid[1] // 2), -(-grid[2] // 2)]


def _largest_tensor(a: Architecture, p: InputProtocol) -> int:
    """Numbers in the largest tensor of a forward pass of one view, roughly."""
    largest = 0
    for stage, (tokens, window) in enumerate(stage_tokens(a, p)):
        wide = max(4.0, a.mlp_ratio)  # queries, keys and values, or the hidden layer
        values = int(tokens * a.embed_dim * 2**stage * wide)
        pairs = window**2 * (a.num_heads[stage] + 6)  # bias of each head, and int64 places
        largest = max(largest, values, pairs)
    return largest


def _max_parameters() -> int:
    text = os.environ.get(MAX_PARAMETERS_VARIABLE, str(MAX_PARAMETERS))
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise UsageError(f"{MAX_PARAMETERS_VARIABLE} is {text!r}: expected a number")
    return int(text)
