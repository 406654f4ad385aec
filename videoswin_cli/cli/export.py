"""`videoswin export`: a model as a graph that runs without this package."""

from pathlib import Path
from typing import Annotated

import typer

from videoswin_cli.cli.console import notice, result
from videoswin_cli.cli.splice import READ, WRITE, option_of
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.options.export import ExportOptions
from videoswin_cli.options.run import ClassifierOptions, ModelOptions


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Name from `videoswin models`, YAML, weight file or hf://ORG/NAME.",
        ),
        READ,
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="File to write: .pt2, .onnx, or .xml with its .bin beside it.",
        ),
        WRITE,
    ],
    options: ExportOptions = ExportOptions(),
    checkpoint: Annotated[Path | None, option_of(ModelOptions(), "checkpoint"), READ] = None,
    weights_set: Annotated[str | None, option_of(ModelOptions(), "weights_set")] = None,
    labels: Annotated[Path | None, option_of(ClassifierOptions(), "labels"), READ] = None,
    clip: Annotated[
        Path | None,
        typer.Option(
            "--clip",
            metavar="VIDEO",
            help="Video to compare on, beside noise.  [default: a rendered one]",
        ),
        READ,
    ] = None,
) -> None:
    """Export a model as a graph for PyTorch, ONNX or OpenVINO.

    The file names its classes and its preprocessing: `--model FILE` needs nothing else. It is
    compared with PyTorch before it takes its place; exit code 5 where they differ.

    videoswin export swin-tiny-k400 --format onnx --out swin-t.onnx

    videoswin predict clip.mp4 --model swin-t.onnx
    """
    from videoswin_cli.model.exported.facts import SUFFIXES, list_files
    from videoswin_cli.model.loading import find_model
    from videoswin_cli.tasks.export.export import export_model

    suffix = SUFFIXES[options.format]
    if out.suffix != suffix:
        raise UsageError(
            f"--out {out}: expected a name that ends in {suffix}, for --format {options.format}"
        )
    inputs = [model, checkpoint, labels, clip]
    for path in list_files(out):
        check_writable(path, inputs=inputs)
    found = find_model(model, checkpoint=checkpoint, labels=labels, weights_set=weights_set)
    done = export_model(found, out, options, clip=clip, notice=notice)
    kind = "logit" if found.spec.architecture.num_classes else "feature"
    for each in done.parity:
        top = (
            ""
            if each.same_top is None
            else f", {each.same_top} of the top {each.top} classes equal"
        )
        result(
            f"{each.name}: largest difference of a {kind} {each.difference:.1e} "
            f"(standard deviation {each.spread:.2g}){top}"
        )
    for file in done.files:
        result(f"{file}  {file.stat().st_size / 1e6:.1f} MB")
