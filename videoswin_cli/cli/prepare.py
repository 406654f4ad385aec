"""`videoswin prepare`: data sets in the form that a run wants."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoswin_cli.cli.console import ProgressBar, notice, result
from videoswin_cli.cli.options import Inputs
from videoswin_cli.cli.stdin import stdin_paths
from videoswin_cli.errors import VideoError
from videoswin_cli.io.visible import counted
from videoswin_cli.options.prepare import (
    FramesOptions,
    ListOptions,
    ResizeOptions,
    ShardsOptions,
    SplitOptions,
)
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.options.source import SourceOptions

if TYPE_CHECKING:
    from videoswin_cli.tasks.prepare.folder import Made
    from videoswin_cli.tasks.prepare.sources import Sources

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
    notice(f"{counted(sum(counts), 'video')} of {counted(len(done.classes), 'class')}")
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


def resize(
    inputs: Inputs = None,
    source: SourceOptions = SourceOptions(),
    options: ResizeOptions = ResizeOptions(),
    opening: OpenOptions = OpenOptions(),
) -> None:
    """Write smaller H.264 copies: every frame at its time, no sound.

    videoswin prepare resize data/ --out data256/ --short-side 256

    Run the same command again to resume. Videos that cannot be read to their end are listed in
    DIR/failed.jsonl; the exit code is then 3.
    """
    from videoswin_cli.tasks.prepare.copies import resize_videos

    sources = _find(inputs, source)
    with ProgressBar() as bar:
        made = resize_videos(sources, options, opening, bar)
    _end(made, options.out)


def frames(
    inputs: Inputs = None,
    source: SourceOptions = SourceOptions(),
    options: FramesOptions = FramesOptions(),
    opening: OpenOptions = OpenOptions(),
) -> None:
    """Write frames as numbered pictures, a folder for each video.

    videoswin prepare frames data/ --out frames/ --short-side 256

    Run the same command again to resume. Where the classes are known, DIR/list.txt is a list of
    the folders. Videos that cannot be read to their end are listed in DIR/failed.jsonl; the exit
    code is then 3.
    """
    from videoswin_cli.tasks.prepare.copies import describe_rates, write_frames

    sources = _find(inputs, source)
    with ProgressBar() as bar:
        made = write_frames(sources, source, options, opening, bar)
    if any(each.error is None for each in made):
        notice(describe_rates(made))
    _end(made, options.out)


def shards(
    inputs: Inputs = None,
    source: SourceOptions = SourceOptions(),
    options: ShardsOptions = ShardsOptions(),
    opening: OpenOptions = OpenOptions(),
) -> None:
    """Write video files into tar shards, as WebDataset reads them, with their classes.

    videoswin prepare shards data/train --out shards/train-{000000}.tar

    Files are copied as they are. Videos that are not there or cannot be read are left out and
    named; the exit code is then 3. All shards take their places at the end.
    """
    from videoswin_cli.tasks.prepare.shards import pack_shards

    sources = _find(inputs, source)
    with ProgressBar() as bar:
        written, broken = pack_shards(sources, source, options, opening, bar)
    count = len(sources.videos)
    notice(f"{count - len(broken)} of {count} videos in {counted(len(written), 'shard')}")
    for path in written:
        result(path)
    _exit_on(len(broken))


def _find(inputs: list[str] | None, source: SourceOptions) -> "Sources":
    from videoswin_cli.tasks.prepare.sources import find_sources

    found = find_sources(inputs or [], source, stdin=stdin_paths())
    for text in found.notices:
        notice(text)
    return found


def _end(made: "list[Made]", out: Path) -> None:
    failed = sum(each.error is not None for each in made)
    notice(f"{len(made) - failed} of {len(made)} videos are in {out}")
    if failed:
        notice(f"{counted(failed, 'failed video')}: see {out / 'failed.jsonl'}")
    result(out)
    _exit_on(failed)


def _exit_on(failed: int) -> None:
    if failed:
        raise typer.Exit(VideoError.exit_code)


prepare: dict[str, Callable[..., None]] = {
    "list": write_list,
    "split": split,
    "resize": resize,
    "frames": frames,
    "shards": shards,
}
