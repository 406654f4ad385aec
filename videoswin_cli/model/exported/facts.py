"""Facts of an exported file: an entry in its metadata, beside the model's description."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from videoswin_cli.errors import CheckpointError, UsageError
from videoswin_cli.io.typed_records import to_record

ExportFormat = Literal["torch", "onnx", "openvino"]
ExportPrecision = Literal["fp32", "fp16"]

SUFFIXES: dict[ExportFormat, str] = {"torch": ".pt2", "onnx": ".onnx", "openvino": ".xml"}

_KEY = "videoswin-export"


def list_files(path: Path) -> tuple[Path, ...]:
    """All files of an export, by the one to open; OpenVINO has its weights in a second one."""
    return (path, path.with_suffix(".bin")) if path.suffix == SUFFIXES["openvino"] else (path,)


@dataclass(frozen=True, kw_only=True)
class ExportFacts:
    """Inputs of one exported graph, and where its weights came from."""

    format: ExportFormat
    precision: ExportPrecision  # of the stored weights; it computes in float32
    batch: int | None  # views per call; None: any number
    frames: int  # per clip
    height: int  # px
    width: int  # px
    with_preprocess: bool  # input `frames`, uint8 (B, T, H, W, 3); else `clips`, float32
    weights_sha256: str  # of the weight file
    version: str  # of videoswin


def read_facts(metadata: Mapping[str, str], path: Path) -> ExportFacts | None:
    """From the metadata of a file; None where videoswin did not export it.

    Raises:
        CheckpointError: it did, but the entry makes no sense.
    """
    if _KEY not in metadata:
        return None
    try:
        data = json.loads(metadata[_KEY])
        if not isinstance(data, dict):
            raise UsageError(f"{path}: expected an object, found {type(data).__name__}")
        return to_record(ExportFacts, data, source=str(path))
    except (UsageError, ValueError, RecursionError) as error:
        reason = str(error).removeprefix(f"{path}: ")[:300]
        raise CheckpointError(
            f"{path}: its entry {_KEY!r} cannot be read: {reason}",
            hint="Write the file again with `videoswin export`.",
        ) from error


def to_entry(facts: ExportFacts) -> dict[str, str]:
    """The inverse of `read_facts`, as one entry."""
    return {_KEY: json.dumps(asdict(facts))}
