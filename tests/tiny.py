"""A network so small that a test can run it often, and the protocol that goes with it."""

from dataclasses import replace
from pathlib import Path

import torch

from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.loading import LoadedModel, save
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.records import Architecture

TINY = Architecture(
    embed_dim=8,
    depths=(2, 1),
    num_heads=(2, 4),
    window_size=(2, 3, 3),
    patch_size=(2, 4, 4),
    mlp_ratio=2.0,
    qkv_bias=True,
    patch_norm=True,
    num_classes=7,
)
PROTOCOL = replace(
    load_spec("swin-tiny-k400").protocol,
    clip_frames=4,
    clips=2,
    short_side=32,
    quick_short_side=36,
    crop_size=32,
)
LABELS = ("run", "jump", "größer", "走る", "sit, stand", 'say "hi"', "walk")


def write_model(path: Path, *, labels: tuple[str, ...] = LABELS) -> None:
    """A self-describing weight file of a random tiny network."""
    torch.manual_seed(0)
    sizes = replace(TINY, num_classes=len(labels))
    spec = replace(load_spec("swin-tiny-k400"), name="tiny", architecture=sizes, protocol=PROTOCOL)
    network = Swin3D(sizes).eval()
    model = LoadedModel(network=network, spec=spec, labels=labels, weights=path, layout="videoswin")
    save(path, model)
