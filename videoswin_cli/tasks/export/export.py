"""Export of a model as a graph, which is held against PyTorch before it takes its place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from videoswin_cli.data.transforms import normalize
from videoswin_cli.data.view_dataset import FailedVideo, ViewDataset
from videoswin_cli.data.views import resolve_views
from videoswin_cli.errors import ExpectationError, MissingInputError, OutputExistsError, UsageError
from videoswin_cli.io.atomic import write_error
from videoswin_cli.model.description import Description, to_metadata
from videoswin_cli.model.exported.engines import ExportedNetwork, open_exported
from videoswin_cli.model.exported.facts import ExportFacts, list_files
from videoswin_cli.model.exported.reading import read_exported
from videoswin_cli.model.exported.seal import is_sealed
from videoswin_cli.model.exported.writing import check_exporter, write_graph
from videoswin_cli.model.loading import FoundModel, LoadedModel, check_finite, load_found
from videoswin_cli.model.weight_stamps import hash_unchanged
from videoswin_cli.options.export import ExportOptions
from videoswin_cli.records import InputProtocol, VideoPart
from videoswin_cli.synthetic.clips import make_test_video
from videoswin_cli.version import __version__

_FP32 = 1e-4  # of a logit
_FP16 = 2e-2  # standard deviations of the logits
_TOP = 5


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Differences between a file and PyTorch on one input."""

    name: str  # of the input
    difference: float  # largest, of a logit; of a feature where there is no head
    spread: float  # standard deviation of PyTorch's
    same_top: int | None  # of PyTorch's first classes, how many are the file's, in worst case
    top: int  # that were compared


@dataclass(frozen=True, kw_only=True)
class Export:
    """Files of an export, and how they compare with PyTorch."""

    files: tuple[Path, ...]  # that to open first
    parity: tuple[Parity, ...]


def export_model(
    found: FoundModel,
    out: Path,
    options: ExportOptions,
    *,
    clip: Path | None = None,
    notice: Callable[[str], None] = lambda text: None,
) -> Export:
    """Write a model as a graph; a file that answers otherwise than PyTorch is not left behind.

    Args:
        found: the model, whose weights are loaded.
        out: the file; of OpenVINO the .xml, beside which goes a .bin.
        options: format, precision, inputs and tolerance.
        clip: video on which they are compared too; without one a rendered one.
        notice: takes a line per step, as those of a large model take minutes.

    Raises:
        UsageError: a package is missing, it is an exported model already, or the clip cannot be
            read.
        OutputExistsError: the .bin beside `out` is of something else.
        CheckpointError: weights with NaN or infinite numbers.
        ExpectationError: the file's answers are too far from PyTorch's.
        VideoSwinError: the file cannot be written.
    """
    check_exporter(options.format)
    _check_others(out)
    if clip is not None and not clip.exists():
        raise MissingInputError(f"no such file: {clip}", hint="--clip takes a video")
    loaded = load_found(found)
    network = loaded.module
    check_finite(loaded)
    notice(loaded.summary)
    protocol = loaded.spec.protocol
    inputs = {"noise": _draw_noise(protocol), **_read_clip(clip, protocol)}
    facts = ExportFacts(
        format=options.format,
        precision=options.precision,
        batch=options.batch,
        frames=protocol.clip_frames,
        height=protocol.crop_size,
        width=protocol.crop_size,
        with_preprocess=options.with_preprocess,
        weights_sha256=hash_unchanged(loaded.stamps),
        version=__version__,
    )
    description = Description(spec=loaded.spec, labels=loaded.labels, training=loaded.training)
    try:
        with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            notice(f"writing the {options.format} graph ...")
            files = write_graph(
                Path(folder),
                out.name,
                network,
                facts,
                protocol=protocol,
                metadata=to_metadata(description),
                opset=options.chosen_opset,
            )
            notice("comparing its answers with those of PyTorch ...")
            # In one call, to prove that a graph for any number of views takes two.
            file, cpu = read_exported(str(files[0])), torch.device("cpu")
            exported = open_exported(file, cpu, one_by_one=False)
            parity = tuple(
                _compare(name, frames, loaded, exported) for name, frames in inputs.items()
            )
            _check(parity, options)
            return Export(files=_put(files, out.parent), parity=parity)
    except OSError as error:
        raise write_error(out, error) from error


def _check_others(out: Path) -> None:
    """Raises OutputExistsError for a file beside `out` that nobody named, unless it is of `out`."""
    for file in list_files(out)[1:]:
        if file.exists() and not is_sealed(out):
            raise OutputExistsError(
                f"{file} exists, and would be written beside {out}",
                hint="choose another --out, or remove it by hand",
            )


def _put(files: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """Files in their place. A kill never leaves a mixed pair, nor one without the first file."""
    places = tuple(folder / file.name for file in files)
    for place in places[1:]:
        place.unlink(missing_ok=True)
    for file, place in zip(files, places, strict=True):
        file.replace(place)
    return places


def _draw_noise(protocol: InputProtocol) -> Tensor:
    shape = (2, protocol.clip_frames, protocol.crop_size, protocol.crop_size, 3)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def _read_clip(clip: Path | None, protocol: InputProtocol) -> dict[str, Tensor]:
    """Frames (1, T, H, W, 3) of one view by the name of the video."""
    if clip is not None:
        return {str(clip): _read_view(clip, protocol)}
    with TemporaryDirectory() as folder:
        path = Path(folder, "rendered.mp4")
        make_test_video(path)
        return {"a rendered clip": _read_view(path, protocol)}


def _read_view(path: Path, protocol: InputProtocol) -> Tensor:
    part = VideoPart(path=str(path))
    video = ViewDataset([part], protocol=protocol, views=resolve_views("1x1", protocol))[0]
    if isinstance(video, FailedVideo):
        raise UsageError(f"{path}: {video.reason}", hint="--clip takes a video that can be read")
    return video.view(0)[None]


@torch.no_grad()
def _compare(name: str, frames: Tensor, model: LoadedModel, exported: ExportedNetwork) -> Parity:
    protocol = model.spec.protocol
    clips = normalize(frames, mean=protocol.mean, std=protocol.std, dtype=torch.float32)
    clips = clips.contiguous()
    network = model.module
    features, own_features = network.pool(clips), exported.pool(clips)
    if network.head is None:
        expected, found = features, own_features
    else:
        expected, found = network.head(features), exported(clips)
    difference = (expected - found).abs().max()
    top = min(_TOP, expected.shape[1])
    same = None
    if network.head is not None:
        first, own = (each.topk(top, dim=1).indices.tolist() for each in (expected, found))
        same = min(len(set(a) & set(b)) for a, b in zip(first, own, strict=True))
    return Parity(
        name=name,
        difference=float(difference) if difference.isfinite() else inf,
        spread=float(expected.std()),
        same_top=same,
        top=top,
    )


def _check(parity: Sequence[Parity], options: ExportOptions) -> None:
    """Raises ExpectationError where a difference is above the tolerance."""
    relative = options.precision == "fp16"
    limit = options.tolerance
    if limit is None:
        limit = _FP16 if relative else _FP32
    for each in parity:
        found = each.difference / max(each.spread, 1e-12) if relative else each.difference
        if not found <= limit:
            unit = " standard deviations" if relative else ""
            raise ExpectationError(
                f"the {options.format} file differs from PyTorch by {found:.2g}{unit} on "
                f"{each.name}; the tolerance is {limit:g}: it was not kept",
                hint="use --precision fp32 or another --format; --tolerance allows more",
            )
