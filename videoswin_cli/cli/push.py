"""`videoswin push`: a trained model to the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

import typer

from videoswin_cli.cli.console import notice, result


def push(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="Folder of finetune, or a weight file of videoswin."),
    ],
    repository: Annotated[
        str, typer.Argument(metavar="hf://ORG/NAME", help="Where to; it is made if need be.")
    ],
    license: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="As the Hub has it, such as apache-2.0."),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private, where it is made.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="Branch; else the main one.")
    ] = None,
) -> None:
    """Upload a trained model to the Hugging Face Hub, with a model card.

    videoswin push runs/mine hf://me/my-actions --license apache-2.0

    videoswin predict clip.mp4 --model hf://me/my-actions

    The token is that of `hf auth login` or HF_TOKEN.
    """
    from videoswin_cli.tasks.push.push import push_model

    address = repository if revision is None else f"{repository}@{revision}"
    done = push_model(run, address, license=license, private=private)
    if license is None:
        notice("the model card names no license: --license says which")
    result(done)
