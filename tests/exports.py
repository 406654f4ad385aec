"""Exported files for tests: facts of a file, and one that is written."""

from pathlib import Path

from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.description import Description, to_metadata
from videoswin_cli.model.exported.facts import SUFFIXES, ExportFacts, ExportFormat, ExportPrecision
from videoswin_cli.model.exported.writing import write_graph
from videoswin_cli.model.swin3d import Swin3D


def write_export(
    path: Path,
    network: Swin3D,
    spec: ModelSpec,
    labels: tuple[str, ...],
    *,
    batch: int | None = None,
    pixels: bool = False,
    precision: ExportPrecision = "fp32",
) -> str:
    """A file of the format of its suffix, as `videoswin export` writes it."""
    protocol = spec.protocol
    facts = ExportFacts(
        format=format_of(path),
        precision=precision,
        batch=batch,
        frames=protocol.clip_frames,
        height=protocol.crop_size,
        width=protocol.crop_size,
        with_preprocess=pixels,
        weights_sha256="0" * 64,
        version="1",
    )
    metadata = to_metadata(Description(spec=spec, labels=labels, training=None))
    files = write_graph(
        path.parent, path.name, network, facts, protocol=protocol, metadata=metadata
    )
    return str(files[0])


def format_of(path: Path) -> ExportFormat:
    return next(form for form, suffix in SUFFIXES.items() if suffix == path.suffix)
