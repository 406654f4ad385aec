"""`videoswin make-dataset`: labelled synthetic clips."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from videoswin_cli.cli.console import ProgressBar, result
from videoswin_cli.cli.splice import option_of
from videoswin_cli.options.run import RunOptions


def make_dataset(
    kind: Annotated[Literal["camera-motion"], typer.Argument(help="What to make.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Gets DIR/CLASS/CLIP.mp4.")],
    clips_per_class: Annotated[
        int,
        typer.Option(
            "--clips-per-class", min=1, max=1_000_000, metavar="N", help="Of each of 10 classes."
        ),
    ] = 30,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**63 - 1, help="Other seeds, other clips.")
    ] = 0,
    clips_per_shard: Annotated[
        int | None,
        typer.Option(
            "--clips-per-shard",
            min=1,
            max=1_000_000,
            metavar="N",
            help="Write tar shards of N clips, DIR/000000.tar and on, instead of class folders.",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures", metavar="FOLDER", help="Pictures to film, instead of generated ones."
        ),
    ] = None,
    workers: Annotated[int | None, option_of(RunOptions(), "workers")] = None,
) -> None:
    """Generate labelled synthetic clips of camera motion.

    videoswin make-dataset camera-motion clips/ --clips-per-class 100

    Existing clips are kept: run the same command again to continue a stopped run.
    """
    from videoswin_cli.synthetic.camera import MOTIONS
    from videoswin_cli.synthetic.dataset import make_camera_motion, make_camera_motion_shards

    make: Callable[..., Iterator[Path]] = make_camera_motion
    if clips_per_shard is not None:
        make = partial(make_camera_motion_shards, clips_per_shard=clips_per_shard)
    with ProgressBar() as bar:
        bar.start(clips_per_class * len(MOTIONS), unit="clip")
        for _ in make(
            folder,
            clips_per_class=clips_per_class,
            seed=seed,
            pictures=pictures,
            workers=workers,
            notice=bar.notice,
        ):
            bar.advance()
    result(folder)
