"""Self-description of a videoswin weight file: an entry in the metadata of its safetensors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoswin_cli.errors import CheckpointError, UsageError
from videoswin_cli.io.typed_records import to_record
from videoswin_cli.model.catalog import ModelSpec, flatten_spec, parse_spec
from videoswin_cli.model.label_files import check_names

_FORMAT = "videoswin-1"  # key of our entry


@dataclass(frozen=True, kw_only=True)
class Description:
    """Model and class names of one file."""

    spec: ModelSpec
    labels: tuple[str, ...]
    training: Mapping[str, object] | None  # recipe, metrics; not needed to load it


@dataclass(frozen=True, kw_only=True)
class _Entry:
    spec: dict[str, Any]
    labels: tuple[str, ...]
    training: dict[str, Any] | None = None


def read_description(metadata: Mapping[str, str], path: Path) -> Description | None:
    """From the metadata of a file; None where the file is not videoswin's.

    Raises:
        CheckpointError: it is one, but what it says of itself makes no sense.
    """
    if _FORMAT not in metadata:
        return None
    try:
        data = json.loads(metadata[_FORMAT])
        if not isinstance(data, dict):
            raise UsageError(f"{path}: expected an object, found {type(data).__name__}")
        entry = to_record(_Entry, data, source=str(path))
        spec = parse_spec(entry.spec, source=str(path), folder=None)
        check_names(entry.labels, path, num_classes=spec.architecture.num_classes)
    except (UsageError, ValueError, RecursionError) as error:
        reason = str(error).removeprefix(f"{path}: ")[:300]
        raise CheckpointError(
            f"{path}: its description {_FORMAT!r} cannot be read: {reason}",
            hint="Write the file again with `videoswin convert` or `export`.",
        ) from error
    return Description(spec=spec, labels=entry.labels, training=entry.training)


def to_metadata(description: Description) -> dict[str, str]:
    """The inverse of `read_description`, as one entry.

    safetensors orders several at random, and equal models should be equal files.
    """
    data = {
        "spec": flatten_spec(description.spec),
        "labels": description.labels,
        "training": description.training,
    }
    return {_FORMAT: json.dumps(data, ensure_ascii=False)}
