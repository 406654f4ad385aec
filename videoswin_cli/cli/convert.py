"""`videoswin convert`: any known checkpoint into the self-describing layout."""

from pathlib import Path
from typing import Annotated

import typer

from videoswin_cli.cli.console import notice, result
from videoswin_cli.cli.splice import READ, WRITE, option_of
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.options.run import ClassifierOptions, ModelOptions, Precision


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A checkpoint of any known layout."), READ
    ],
    target: Annotated[
        Path, typer.Argument(metavar="OUT.safetensors", help="The file to write."), WRITE
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="NAME|FILE", help="What IN is; needed where several models fit it."
        ),
    ] = None,
    weights_set: Annotated[str | None, option_of(ModelOptions(), "weights_set")] = None,
    labels: Annotated[Path | None, option_of(ClassifierOptions(), "labels"), READ] = None,
    dtype: Annotated[
        Precision,
        typer.Option("--dtype", help="Of the tensors in OUT; they are computed with in fp32."),
    ] = "fp32",
) -> None:
    """Convert a checkpoint to a self-describing safetensors file.

    The result carries architecture, protocol and class names: `--model OUT.safetensors` needs
    nothing else.

    videoswin convert swin3d_t-7615ae03.pth swin-t.safetensors --model swin-tiny-k400-torchvision
    """
    if target.suffix != ".safetensors":
        raise UsageError(f"OUT is {target}, expected a name that ends in .safetensors")
    check_writable(target, inputs=[source, model, labels])
    from videoswin_cli.engine.runtime import DTYPES
    from videoswin_cli.model.loading import check_finite, load, name_model, save

    name = name_model(source, weights_set=weights_set) if model is None else model
    loaded = load(
        name, checkpoint=source, labels=labels, dtype=DTYPES[dtype], weights_set=weights_set
    )
    check_finite(loaded)
    save(target, loaded)
    notice(loaded.summary)
    result(target)
