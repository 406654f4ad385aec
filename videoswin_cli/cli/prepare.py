"""`videoswin prepare`: data sets in the form that a run wants."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from videoswin_cli.cli.console import ProgressBar, notice, result
from videoswin_cli.errors import VideoError
from videoswin_cli.options.prepare import ListOptions, SplitOptions
from videoswin_cli.options.source import SourceOptions

Folder = Annotated[
    Path | None, typer.Argument(metavar="[FOLDER]", help="Folder with one folder per class.")
]


def write_list(
    folder: Folder = None,
    source: SourceOptions = SourceOptions(),
    options: ListOptions = ListOptions(),
) -> None:
    """List the videos of class folders, or a list in another form.

    videoswin prepare list data/train --out train.txt

    videoswin prepare list --list trainlist01.txt --root UCF-101 --out train.csv

    Videos that are not there are left out and named; the exit code is then 3. The list is read
    back before it takes its place.
    """
    from videoswin_cli.tasks.prepare.lists import write_one_list

    with ProgressBar() as bar:
        done = write_one_list(folder, source, options, bar)
    (counts,) = done.counts.values()
    notice(f"{sum(counts)} videos of {len(done.classes)} classes")
    if done.advice:
        notice(done.advice)
    result(options.out)
    _exit_on(done.missing)


def split(
    folder: Folder = None,
    source: SourceOptions = SourceOptions(),
    options: SplitOptions = SplitOptions(),
) -> None:
    """Divide labelled videos into lists to train, validate and test on.

    videoswin prepare split data/ --out lists/ --val 0.1 --test 0.1

    Each class gives its share, and the videos of one recording, or copies of one file, stay on one
    side. Videos that are not there are left out and named; the exit code is then 3.
    """
    from videoswin_cli.report.preparation import format_counts
    from videoswin_cli.tasks.prepare.lists import split_list

    with ProgressBar() as bar:
        done = split_list(folder, source, options, bar)
    counts = {path.stem: counts for path, counts in done.counts.items()}
    result(format_counts(done.classes, counts), end="")
    if done.advice:
        notice(done.advice)
    _exit_on(done.missing)


def _exit_on(failed: int) -> None:
    if failed:
        raise typer.Exit(VideoError.exit_code)


prepare: dict[str, Callable[..., None]] = {
    "list": write_list,
    "split": split,
}
