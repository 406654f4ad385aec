"""`videoswin report`: results as a page to look at, and to send to somebody."""

from pathlib import Path
from typing import Annotated

import typer

from videoswin_cli.cli.console import ProgressBar, result
from videoswin_cli.cli.splice import READ
from videoswin_cli.options.report import ReportOptions


def report(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Dumps of eval (.npz, .pkl, .jsonl), folders of finetune, timelines (.json).",
        ),
        READ,
    ],
    options: ReportOptions = ReportOptions(),
) -> None:
    """Show results as one page that needs no network.

    videoswin report val.npz --root videos/ --out page.html

    videoswin report tiny.npz base.npz --out compared.html

    videoswin report runs/mine --out training.html

    Several dumps are compared with the first, video by video. --root adds pictures of the videos
    that went wrong. Keep a timeline's page where it is: it plays the videos from their places.
    """
    from videoswin_cli.tasks.report.report import write_report

    with ProgressBar() as bar:
        write_report(sources, options, bar)
    result(options.out)
