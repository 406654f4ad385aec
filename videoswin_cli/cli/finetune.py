"""`videoswin finetune`: a model of one's own classes from a folder of clips."""

from pathlib import Path
from typing import Annotated

import typer

from videoswin_cli.cli.console import ProgressBar, result
from videoswin_cli.cli.options import AllowPrivateRedirects
from videoswin_cli.errors import VideoError
from videoswin_cli.options.training import FinetuneOptions

_INTERRUPTED = 130


def finetune(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="DATA/CLASS/CLIP (split automatically), or DATA/train/CLASS/CLIP and "
            "DATA/val/CLASS/CLIP.",
        ),
    ] = None,
    options: FinetuneOptions = FinetuneOptions(),
    show_config: Annotated[
        bool,
        typer.Option("--print-config", help="Print the complete recipe as YAML, and stop."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look at the data, print the plan and its cost, stop.")
    ] = False,
    shown_clips: Annotated[
        Path | None,
        typer.Option(
            "--show-clips",
            metavar="FILE.png",
            help="Draw what augmentation makes of ten clips, and stop.",
        ),
    ] = None,
    allow_private_redirects: AllowPrivateRedirects = False,
) -> None:
    """Train a model on your own classes.

    videoswin finetune ./mydata

    videoswin predict clip.mp4 --model runs/mydata/best.safetensors

    Clips that cannot be read are left out and listed in failed.jsonl; the exit code is then 3.

    Under `torchrun --nproc-per-node N -m videoswin_cli finetune ...` N processes train together.
    """
    if not show_config:
        options.clips.check_source(data)  # before torch is loaded

    from videoswin_cli.data.class_folders import to_place
    from videoswin_cli.io.malloc import keep_freed_memory
    from videoswin_cli.training import dry_run as planning
    from videoswin_cli.training import finetune as training
    from videoswin_cli.training.job import print_config
    from videoswin_cli.training.show_clips import show_clips

    place = None if data is None else to_place(data)
    if show_config:
        result(print_config(place, options), end="")
        return
    keep_freed_memory()
    with ProgressBar() as bar:
        if dry_run:
            planning.dry_run(place, options, bar)
            return
        if shown_clips is not None:
            show_clips(place, options, shown_clips, bar)
            result(shown_clips)
            return
        done = training.finetune_clips(place, options, bar)
    if done.interrupted:
        raise typer.Exit(_INTERRUPTED)
    result(done.model)
    if done.failed:
        raise typer.Exit(VideoError.exit_code)
