"""`videoswin bench`: how fast is a model here, and where does the time go?"""

import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from videoswin_cli.cli.console import ProgressBar, cell, print_table, result
from videoswin_cli.cli.options import SummaryFormatOption
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import to_json
from videoswin_cli.options.run import ModelOptions, RunOptions


def bench(
    video: Annotated[
        str | None,
        typer.Argument(metavar="[VIDEO]", help="Of your own.", show_default="one made for this"),
    ] = None,
    model: ModelOptions = ModelOptions(),
    run: RunOptions = RunOptions(workers=0),
    videos: Annotated[
        int,
        typer.Option("--videos", min=1, max=100_000, metavar="N", help="How often it is computed."),
    ] = 5,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="torchvision|FILE",
            help="Compare with its network, or an exported file, of the same weights.",
        ),
    ] = None,
    format: SummaryFormatOption = "table",
) -> None:
    """Measure decoding, preprocessing and network on this machine.

    videoswin bench --views 4x3

    Weights are random, which changes no time, so nothing is downloaded; but for --against FILE.
    """
    if video is not None and not Path(video).is_file():
        what = "is not a file" if Path(video).exists() else "is not there"
        raise UsageError(f"{video} {what}", hint="bench takes one video file, or makes one")

    from videoswin_cli.engine.progress import Monitor
    from videoswin_cli.report.benchmark import benchmark_rows
    from videoswin_cli.synthetic.clips import make_test_video
    from videoswin_cli.tasks.bench.bench import bench as measure

    with TemporaryDirectory() as folder:
        if video is None:
            made = Path(folder) / "340x256-10s.mp4"
            make_test_video(made)
        found = measure(
            model.name,
            video or str(made),
            options=run,
            videos=videos,
            against=against,
            monitor=Monitor(reporter=ProgressBar()),
        )
    if format == "json":
        result(to_json(asdict(found), indent=2))
        return
    rows = list(benchmark_rows(found))
    if sys.stdout.isatty():
        from rich.table import Table

        table = Table("", "", box=None, show_header=False)
        table.columns[0].style = "bold"
        for row in rows:
            table.add_row(*map(cell, row))
        print_table(table)
        return
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        result(f"{name:<{width}}  {value}")
