"""Smaller copies of videos, and pictures of their frames."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

from videoswin_cli.data.encoding.pictures import PictureForm, write_pictures
from videoswin_cli.data.encoding.resized import write_resized
from videoswin_cli.data.lists.writing import NewRow, new_list
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.options.prepare import FramesOptions, ResizeOptions
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.tasks.prepare.classes import NAME, write_classes
from videoswin_cli.tasks.prepare.folder import Made, Plan, make_all
from videoswin_cli.tasks.prepare.labelled import Labelled, find_labels
from videoswin_cli.tasks.prepare.sources import Sources, check_outside

LIST = "list.txt"


def resize_videos(
    sources: Sources, options: ResizeOptions, opening: OpenOptions, reporter: Reporter
) -> list[Made]:
    """Write a smaller copy of each video; see `write_resized`.

    Raises:
        UsageError: a folder that cannot be written to, or of other settings.
        VideoSwinError: the disk is full.
    """
    check_outside(options.out, sources)
    settings = {
        "short_side": options.short_side,
        "upscale": options.upscale,
        "crf": options.crf,
    }
    plan = Plan(
        out=options.out,
        suffix=".mp4",
        make=partial(write_resized, opening=opening, **settings),  # type: ignore[arg-type]
        description={"made": "copies", **settings, **_describe_opening(opening)},
        workers=options.workers,
        overwrite=options.overwrite,
    )
    return make_all(sources.videos, plan, reporter)


def write_frames(
    sources: Sources,
    source: SourceOptions,
    options: FramesOptions,
    opening: OpenOptions,
    reporter: Reporter,
) -> list[Made]:
    """Write a folder of pictures of each video, and their list where labels are known.

    Raises:
        UsageError: a folder that cannot be written to, or of other settings.
        VideoSwinError: the disk is full.
    """
    check_outside(options.out, sources)
    form = PictureForm(
        format=options.format,
        quality=options.chosen_quality,
        short_side=options.short_side,
        rate=options.rate,
    )
    plan = Plan(
        out=options.out,
        suffix="",
        make=partial(write_pictures, form=form, opening=opening),
        description={"made": "frames", **asdict(form), **_describe_opening(opening)},
        workers=options.workers,
        overwrite=options.overwrite,
    )
    labelled = find_labels(sources, source, reporter)
    made = make_all(sources.videos, plan, reporter)
    if labelled is not None:
        _write_list(options.out, labelled, made, reporter)
    return made


def describe_rates(made: Sequence[Made]) -> str:
    """Frame rates that the folders are to be read at, the most frequent first."""
    rates = Counter(f"{each.fps:.10g}" for each in made if each.error is None)
    if len(rates) == 1:
        return f"read with --frames-fps {next(iter(rates))}"
    named = name_some(
        [f"{rate} ({counted(count, 'folder')})" for rate, count in rates.most_common()]
    )
    return f"their rates differ, --frames-fps {named}; --fps N gives all of them one"


def _describe_opening(opening: OpenOptions) -> dict[str, object]:
    """Options of opening that outputs depend on; all decoders give the same pixels."""
    found = asdict(opening)
    return {key: value for key, value in found.items() if key not in ("decoder", "max_pixels")}


def _write_list(out: Path, labelled: Labelled, made: Sequence[Made], reporter: Reporter) -> None:
    done = {each.path: each for each in made if each.error is None}
    rows = [
        NewRow(name=done[video.path].output, labels=video.labels, frames=done[video.path].frames)
        for video in labelled.videos
        if video.path in done
    ]
    if len(rows) < len(done):
        reporter.notice(
            f"{len(done) - len(rows)} folders have no class and are not in {out / LIST}"
        )
    if not rows:
        return
    with ExitStack() as stack:
        stack.enter_context(new_list(out / LIST, rows, labelled.labels, "frames"))
        if labelled.labels.names is not None:
            write_classes(out / NAME, labelled.labels.names, stack, overwrite=True)
