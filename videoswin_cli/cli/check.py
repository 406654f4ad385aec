"""`videoswin check`: what is wrong with these videos, lists and classes?"""

import typer

from videoswin_cli.cli.console import ProgressBar, notice
from videoswin_cli.cli.options import AllowPrivateRedirects, Inputs
from videoswin_cli.cli.stdin import stdin_paths
from videoswin_cli.errors import VideoError
from videoswin_cli.options.check import CheckOptions
from videoswin_cli.options.source import SourceOptions


def check(
    inputs: Inputs = None,
    source: SourceOptions = SourceOptions(),
    options: CheckOptions = CheckOptions(),
    allow_private_redirects: AllowPrivateRedirects = False,
) -> None:
    """Find what is wrong with videos, lists and classes before a run.

    videoswin check data/

    videoswin check --list train.txt --val-list val.txt --write-list good.txt

    videoswin check videos/ --model swin-tiny-k400 --deep

    A single folder may have a folder per class, or those in train, val and test. Exit code 3 with
    problems, 0 with notes alone. Nothing is deleted.
    """
    from videoswin_cli.report.check import summarize, write_check
    from videoswin_cli.tasks.check.check import check_data

    with ProgressBar() as bar:
        found = check_data(inputs or [], source, options, bar, stdin=stdin_paths())
    write_check(found, options.report_format, options.out)
    if options.out is not None or options.report_format != "table":
        notice(summarize(found))
    if found.problems:
        raise typer.Exit(VideoError.exit_code)
