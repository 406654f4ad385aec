"""Exported file by its name: what its metadata says, before any engine opens it."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoswin_cli.errors import CheckpointError, MissingInputError, UsageError, install_extra
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.description import read_description
from videoswin_cli.model.exported.facts import (
    SUFFIXES,
    ExportFacts,
    ExportFormat,
    list_files,
    read_facts,
)
from videoswin_cli.model.exported.seal import check_seal
from videoswin_cli.model.openvino.package import import_openvino
from videoswin_cli.model.weight_stamps import Stamp, take_stamp

_OLDEST_TORCH = "2.9"  # 2.6 to 2.8 write other archives
_MAX_ENTRY = 100_000_000  # bytes of metadata
_ENGINES: dict[ExportFormat, str] = {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """A network in a file of `videoswin export`, which an engine runs as it is."""

    path: Path
    facts: ExportFacts
    spec: ModelSpec
    labels: tuple[str, ...]
    stamps: tuple[Stamp, ...]  # of all files that its answers depend on

    @property
    def summary(self) -> str:
        """Summary for the user."""
        facts = self.facts
        batch = "" if facts.batch is None else f", {facts.batch} views per call"
        return f"{self.spec.name}: exported as {facts.format}, {facts.precision} weights{batch}"


def is_exported(name: str) -> bool:
    """Whether a name is that of an exported file, whatever the file holds."""
    return Path(name).suffix in SUFFIXES.values()


def refuse_exported(name: str, *, what: str) -> None:
    """Raises UsageError where a name is that of an exported file: `what` needs weights."""
    if is_exported(name):
        raise UsageError(
            f"{name} is an exported graph: {what} needs the weights that it was exported from",
            hint="give the model or weight file that `videoswin export` read",
        )


def read_exported(name: str) -> ExportedFile:
    """The facts and the description of an exported file.

    Raises:
        UsageError: no such file, or the package that reads it is missing.
        CheckpointError: it is damaged, without its weights, or not one of `videoswin export`.
    """
    path = Path(name)
    if path.suffix == SUFFIXES["torch"]:
        check_torch(f"{name}: a program of torch.export")
    if not path.is_file():
        raise MissingInputError(
            f"no such file: {path}", hint="--model takes a name, a YAML or a file"
        )
    form = next(form for form, suffix in SUFFIXES.items() if suffix == path.suffix)
    try:
        if not path.stat().st_size:
            raise ValueError("it is empty")
        stamps = tuple(take_stamp(file) for file in list_files(path) if file.is_file())
        if form != "torch":
            check_seal(list_files(path))
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
    metadata = _READERS[form](path)
    facts, said = read_facts(metadata, path), read_description(metadata, path)
    if facts is None or said is None:
        raise CheckpointError(
            f"{path} was not written by `videoswin export`: it does not say which model it is",
            hint="export the model again with `videoswin export`",
        )
    protocol = said.spec.protocol
    wanted = (protocol.clip_frames, protocol.crop_size, protocol.crop_size)
    found = (facts.frames, facts.height, facts.width)
    if facts.format != form or wanted != found:
        raise CheckpointError(
            f"{path}: a graph for {facts.format} and clips of {_shown(found)}, but the file is for "
            f"{form} and its model takes {_shown(wanted)}",
            hint="export the model again with `videoswin export`",
        )
    return ExportedFile(path=path, facts=facts, spec=said.spec, labels=said.labels, stamps=stamps)


def check_torch(what: str) -> None:
    """Raises UsageError where torch is too old to write graphs and to read its own."""
    import torch

    if torch.__version__ < _OLDEST_TORCH:
        raise UsageError(
            f"{what} needs torch {_OLDEST_TORCH} or newer, found {torch.__version__}",
            hint=f'pip install "torch>={_OLDEST_TORCH}"',
        )


def import_engine(form: ExportFormat) -> Any:
    """The package that runs a format.

    Raises:
        UsageError: it is not installed.
    """
    try:
        if form == "onnx":
            import onnxruntime  # type: ignore[import-untyped,unused-ignore]

            return onnxruntime
        return import_openvino()
    except ImportError as error:
        raise UsageError(
            f"{_ENGINES[form]} cannot be imported: {error}", hint=install_extra(form)
        ) from error


def damaged(path: Path, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:200]
    return CheckpointError(
        f"{path}: cannot be read as an exported graph: {reason}",
        hint="export the model again with `videoswin export`",
    )


def open_openvino(path: Path) -> Any:
    """The core of OpenVINO and the model of a file.

    Raises:
        CheckpointError: damaged.
    """
    openvino = import_engine("openvino")
    core = openvino.Core()
    # It would compute from a map of the file, and with whatever is written there meanwhile.
    core.set_property({"ENABLE_MMAP": False})
    try:
        return core, core.read_model(*list_files(path))
    except RuntimeError as error:
        raise damaged(path, error) from error


def _read_onnx(path: Path) -> Mapping[str, str]:
    runtime = import_engine("onnx")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise damaged(path, error) from error
    found: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return found


def _read_openvino(path: Path) -> Mapping[str, str]:
    _, model = open_openvino(path)
    return {key: model.get_rt_info(key).astype(str) for key in model.get_rt_info()}


def _read_torch(path: Path) -> Mapping[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                entry.filename.rpartition("/extra/")[2]: archive.read(entry).decode("utf-8")
                for entry in archive.infolist()
                if "/extra/" in entry.filename and entry.file_size < _MAX_ENTRY
            }
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError) as error:
        raise damaged(path, error) from error


_READERS = {"onnx": _read_onnx, "openvino": _read_openvino, "torch": _read_torch}


def _shown(sizes: tuple[int, int, int]) -> str:
    return "{}x{}x{}".format(*sizes)
