"""Clips in three colors, which a tiny network tells apart, and runs held against each other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from videoswin_cli.data.encoding.mp4 import SAME_BITS
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.model.torch_files import load_torch

CLASSES = ("green", "red", "walk")
QUICK = (
    *("--epochs", 2, "--workers", 0, "--set", "lr=0.02", "--set", "scale_lr=false"),
    *("--set", "test_views=none"),
)


def write_color(path: Path, channel: int, seed: int) -> None:
    """A noisy clip in one color: what a network learns in a few steps."""
    rng = np.random.default_rng(seed)

    def draw() -> np.ndarray:
        frame = rng.integers(0, 90, (48, 48, 3)).astype(np.uint8)
        frame[..., channel] += 130
        return frame

    write_small(path, [draw() for _ in range(8)])


def write_small(path: Path, frames: Sequence[np.ndarray]) -> None:
    """A clip of 48x48 px, with the folder that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 48
        stream.pix_fmt = "yuv420p"
        stream.options = SAME_BITS
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_colors(folder: Path) -> Path:
    """Ten clips of each of three classes."""
    for channel, name in ((1, "green"), (0, "red"), (2, "walk")):
        for number in range(10):
            write_color(folder / name / f"{number}.mp4", channel, 10 * channel + number)
    return folder


def weights(path: Path) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in read_checkpoint(path).tensors.items()}


def read_state(out: Path) -> Any:
    """What the state of a run holds."""
    return load_torch(out / "state.pt", mmap=False)


def check_equal(one: Path, two: Path) -> None:
    for name in ("best.safetensors", "last.safetensors"):
        first, second = weights(one / name), weights(two / name)
        assert first.keys() == second.keys()
        for key in first:
            assert torch.equal(first[key], second[key]), key
    assert (one / "metrics.csv").read_bytes() == (two / "metrics.csv").read_bytes()
