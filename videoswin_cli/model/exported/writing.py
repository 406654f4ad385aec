"""A program becomes a file: torch.export's archive, ONNX, or OpenVINO's pair of files."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from videoswin_cli.errors import UsageError, install_extra
from videoswin_cli.model.exported.facts import ExportFacts, ExportFormat, list_files, to_entry
from videoswin_cli.model.exported.graph import input_name, output_names, trace
from videoswin_cli.model.exported.reading import check_torch, import_engine
from videoswin_cli.model.exported.seal import BLANK, KEY, seal
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.records import InputProtocol


def check_exporter(format: ExportFormat) -> None:
    """Raises UsageError where a package that writes or runs this format is missing or too old."""
    check_torch("export")
    if format == "torch":
        return
    import_engine(format)
    if format == "onnx":
        try:
            import onnx  # noqa: F401
            import onnxscript  # type: ignore[import-untyped,unused-ignore]  # noqa: F401
        except ImportError as error:
            raise UsageError(
                f"ONNX files cannot be written: {error}", hint=install_extra("onnx")
            ) from error


def write_graph(
    folder: Path,
    name: str,
    network: Swin3D,
    facts: ExportFacts,
    *,
    protocol: InputProtocol,
    metadata: Mapping[str, str],
    opset: int = 18,
) -> tuple[Path, ...]:
    """Write a network as facts say, with its metadata inside.

    Args:
        folder: where to; what it holds when this fails is not complete.
        name: of the file, with the suffix of its format.
        network: float32 in eval mode, on the CPU.
        facts: of the file.
        protocol: of the model.
        metadata: the model's description.
        opset: of ONNX.

    Returns:
        All files that were written, the one to open first.

    Raises:
        UsageError: a package is missing, or the opset cannot be written.
    """
    check_exporter(facts.format)
    path, entries, names = folder / name, {**metadata, **to_entry(facts)}, output_names(network)
    files = list_files(path)
    with _quiet():
        program = trace(network, facts, protocol)
        if facts.format == "torch":
            torch.export.save(program, path, extra_files=dict(entries))
            return files
        entries[KEY] = BLANK
        if facts.format == "onnx":
            _write_onnx(path, program, names, facts, entries, opset)
        else:
            _write_openvino(path, program, names, facts, entries)
    seal(files)
    return files


def _write_onnx(
    path: Path,
    program: ExportedProgram,
    names: Sequence[str],
    facts: ExportFacts,
    entries: Mapping[str, str],
    opset: int,
) -> None:
    from onnxscript import optimizer  # type: ignore[import-untyped,unused-ignore]

    with torch.no_grad():
        written: Any = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=opset,
            input_names=[input_name(facts)],
            output_names=list(names),
            verbose=False,
            optimize=False,  # its rewriting takes minutes; Swin-T ran no faster with it
        )
    found = written.model.opset_imports.get("")
    if found != opset:
        raise UsageError(
            f"--opset {opset}: these versions of torch and onnxscript write opset {found}",
            hint=f"leave it out, or use {found}",
        )
    optimizer.fold_constants(written.model)
    optimizer.remove_unused_nodes(written.model)
    written.model.metadata_props.update(entries)
    written.save(path)


def _write_openvino(
    path: Path,
    program: ExportedProgram,
    names: Sequence[str],
    facts: ExportFacts,
    entries: Mapping[str, str],
) -> None:
    openvino = import_engine("openvino")
    shape = [facts.batch or -1, 3, facts.frames, facts.height, facts.width]
    kind = openvino.Type.f32
    if facts.with_preprocess:
        shape, kind = [shape[0], *shape[2:], 3], openvino.Type.u8
    model = openvino.convert_model(program, input=[(openvino.PartialShape(shape), kind)])
    model.inputs[0].get_tensor().set_names({input_name(facts)})
    for output, name in zip(model.outputs, names, strict=True):
        output.get_tensor().set_names({name})
    for key, text in entries.items():
        model.set_rt_info(text, key)
    # The weights have their dtype already; this would round the mean and the deviation, too.
    openvino.save_model(model, path, compress_to_fp16=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters tell their own developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
