"""Clips in which something acts in one quadrant, and a small model that was trained on them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from make_video import write_video
from numpy.typing import NDArray
from tiny import PROTOCOL, TINY

from videoswin_cli.data.transforms import normalize
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.loading import LoadedModel, save
from videoswin_cli.model.swin3d import Swin3D

LABELS = ("blink", "slide", "stay")
SIDE, FRAMES = 96, 8  # px, frames
_OBJECT = 20  # px
_SIZES = replace(TINY, embed_dim=16, depths=(1, 1), patch_size=(2, 8, 8), num_classes=len(LABELS))
_PROTOCOL = replace(
    PROTOCOL,
    clip_frames=FRAMES,
    interval_frames=1,
    short_side=SIDE,
    quick_short_side=SIDE,
    crop_size=SIDE,
    clips=1,
)


def draw_clip(acts: dict[str, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Frames (FRAMES, SIDE, SIDE, 3) in which each of `acts` happens in a quadrant, 0 to 3.

    A dark square stays, blinks, or slides to the right, on a background of bright blocks.
    """
    blocks = rng.integers(130, 200, (SIDE // 8, SIDE // 8, 3))
    clip = np.repeat(np.kron(blocks, np.ones((8, 8, 1), np.int64))[None], FRAMES, axis=0)
    half, room = SIDE // 2, SIDE // 2 - _OBJECT
    for act, quadrant in acts.items():
        row, column = divmod(quadrant, 2)
        top, shift = int(rng.integers(room)), int(rng.integers(room))
        for number in range(FRAMES):
            left = column * half + (3 * number if act == "slide" else shift)
            if act != "blink" or number % 2:
                box = slice(row * half + top, row * half + top + _OBJECT)
                clip[number, box, left : left + _OBJECT] = 20
    return clip.astype(np.uint8)


def write_clip(path: Path, acts: dict[str, int], seed: int) -> Path:
    clip = draw_clip(acts, np.random.default_rng(seed))
    return write_video(
        path, frames=FRAMES, size=(SIDE, SIDE), draw=lambda number: clip[number], b_frames=0
    )


def train(steps: int = 60, seed: int = 1) -> Swin3D:
    """A network that tells the acts apart wherever they are."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = Swin3D(_SIZES)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        acts = rng.integers(0, len(LABELS), 16)
        clips = [draw_clip({LABELS[act]: int(rng.integers(4))}, rng) for act in acts]
        views = torch.from_numpy(np.stack(clips))
        inputs = normalize(views, mean=_PROTOCOL.mean, std=_PROTOCOL.std, dtype=torch.float32)
        loss = F.cross_entropy(network(inputs), torch.from_numpy(acts))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def randomize(seed: int) -> Swin3D:
    """The same network with random weights."""
    torch.manual_seed(seed)
    return Swin3D(_SIZES).eval()


def write_model(path: Path, network: Swin3D) -> Path:
    """A self-describing weight file of it."""
    spec = replace(
        load_spec("swin-tiny-k400"), name="quadrants", architecture=_SIZES, protocol=_PROTOCOL
    )
    model = LoadedModel(network=network, spec=spec, labels=LABELS, weights=path, layout="videoswin")
    save(path, model)
    return path
