"""Every published architecture in each format, with formula weights, against PyTorch."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exports import write_export
from formula import architecture_shapes, formula_input, official_tensors

from videoswin_cli.model.catalog import ModelSpec, load_spec
from videoswin_cli.model.exported.engines import open_exported
from videoswin_cli.model.exported.facts import SUFFIXES, ExportFormat, ExportPrecision
from videoswin_cli.model.exported.reading import read_exported
from videoswin_cli.model.layouts import to_canonical
from videoswin_cli.model.swin3d import Swin3D

pytestmark = [
    pytest.mark.slow,  # minutes per case: tracing and converting networks of full size
    pytest.mark.filterwarnings("ignore"),  # the exporters have many
    pytest.mark.skipif(torch.__version__ < "2.9", reason="export needs torch 2.9"),
]

# Model, frames, side in px, views per call (None: any number). 20 frames and 200 px are padded by
# every stage; a model of image weights has no head.
CASES = {
    "tiny": ("swin-tiny-k400", 32, 224, None),
    "tiny, 16 frames": ("swin-tiny-k400", 16, 224, None),
    "tiny, padded": ("swin-tiny-k400", 20, 200, None),
    "tiny, no head": ("swin-tiny-in1k", 16, 112, None),
    "tiny, two views per call": ("swin-tiny-k400", 16, 112, 2),
    "small": ("swin-small-k400", 32, 224, 1),
    "base": ("swin-base-k600", 32, 224, 1),
    "base, window 16": ("swin-base-ssv2", 32, 224, 1),
    "large": ("swin-large-k700-mmaction2", 32, 224, 1),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[ModelSpec, Swin3D, int | None]:
    name, frames, side, batch = CASES[request.param]
    spec = load_spec(name)
    protocol = replace(spec.protocol, clip_frames=frames, crop_size=side)
    network = Swin3D(spec.architecture).eval()
    tensors = official_tensors(architecture_shapes(spec.architecture))
    network.load_state_dict(to_canonical(tensors, "official"))
    return replace(spec, protocol=protocol), network, batch


@pytest.mark.parametrize("pixels", [False, True], ids=["fp32", "fp16 of frames"])
@pytest.mark.parametrize("form", SUFFIXES)
@torch.inference_mode()
def test_an_architecture_answers_as_pytorch_does(
    case: tuple[ModelSpec, Swin3D, int | None], form: ExportFormat, pixels: bool, tmp_path: Path
) -> None:
    spec, network, batch = case
    protocol = spec.protocol
    classes = tuple(map(str, range(spec.architecture.num_classes)))
    path = tmp_path / f"m{SUFFIXES[form]}"
    precision: ExportPrecision = "fp16" if pixels else "fp32"
    write_export(path, network, spec, classes, batch=batch, pixels=pixels, precision=precision)
    exported = open_exported(read_exported(str(path)), torch.device("cpu"))
    clips = formula_input(
        (batch or 1, 3, protocol.clip_frames, protocol.crop_size, protocol.crop_size)
    )
    if pixels:
        mean, std = (torch.tensor(each).view(3, 1, 1, 1) for each in (protocol.mean, protocol.std))
        clips = ((clips * std + mean).round().clamp(0, 255) - mean) / std
    expected, found = network.pool(clips), exported.pool(clips)
    if network.head is not None:
        expected, found = network.head(expected), exported(clips)
    for file in tmp_path.iterdir():
        file.unlink()  # up to 0.8 GB, which pytest would keep
    limit = 0.02 if pixels else 1e-5
    assert (expected - found).abs().max() < limit * expected.std()
