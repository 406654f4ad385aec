"""Outputs of timelines: a file, or a folder with a file per video and an index of them."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from videoswin_cli.engine.journal import Entry
from videoswin_cli.engine.provenance import Description, describe_settings
from videoswin_cli.engine.result_sinks import FileSink, ResultFile
from videoswin_cli.engine.settings import Settings
from videoswin_cli.engine.video_files import (
    describe_others,
    make_folder_of,
    name_files,
    remove_earlier,
)
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import write_csv
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.options.timeline import SUFFIX_OF_FORMAT, SegmentOptions, TimelineOutput
from videoswin_cli.records import ListedVideo, Timeline
from videoswin_cli.report.timeline.forms import FORMS, WINDOWS, Form, open_timelines

INDEX = "index.csv"  # of a folder; it appears last


def choose_form(output: TimelineOutput, options: SegmentOptions) -> Form:
    return WINDOWS if options.windows else FORMS[output.chosen_format]


def is_unread(timeline: Timeline) -> bool:
    """Whether a video could not be read, or not all of it."""
    return timeline.error is not None or bool(timeline.gaps)


def name_outputs(output: TimelineOutput, listed: Sequence[ListedVideo]) -> dict[str, Path]:
    """File of each video in an output folder, by its path.

    Raises:
        UsageError: as `name_files`, or no name is left of a video.
    """
    assert output.file is not None
    suffix = SUFFIX_OF_FORMAT[output.chosen_format]
    files = name_files(output.file, listed, suffix, replaces=True)
    for video in listed:
        if video.path not in files:
            raise UsageError(f"{video.path}: no name is left of it for a file in {output.file}")
    return files


def describe_earlier(output: TimelineOutput, listed: Sequence[ListedVideo]) -> Iterator[str]:
    """Notices of files that earlier runs left in the folders of an output.

    Raises:
        UsageError: a file cannot be written there.
    """
    for folder, suffix in output.beside:
        yield from describe_others(folder, name_files(folder, listed, suffix), listed)
    if output.file is not None and output.is_folder:
        files = name_outputs(output, listed)
        yield from describe_others(output.file, files, listed, beside=INDEX)


def write_timelines(
    output: TimelineOutput,
    options: SegmentOptions,
    listed: Sequence[ListedVideo],
    *,
    resume: bool,
) -> FileSink[Timeline]:
    """Timelines in a file or a folder, which appear when all are done.

    Whatever the format, the description beside the output keeps the timelines for `--resume`.

    Raises:
        UsageError: two videos would be written to one file.
    """
    out = output.file
    assert out is not None
    form = choose_form(output, options)
    files = name_outputs(output, listed) if output.is_folder else {}

    def describe(model: LoadedModel, settings: Settings) -> Description:
        return describe_settings(model, settings, **_describe_options(options))

    def write(timelines: Iterable[Timeline]) -> None:
        if output.is_folder:
            _write_folder(out, form, files, timelines)
            return
        with open_timelines(form, out) as write_one:
            for timeline in timelines:
                write_one(timeline)

    file = ResultFile(
        out=out / INDEX if output.is_folder else out,
        kind=Timeline,
        describe=describe,
        write=write,
        read=_read_entries,
        remember=lambda entries: {"timelines": list(entries)},
        failed=is_unread,
    )
    return FileSink(file, listed, resume=resume)


def _describe_options(options: SegmentOptions) -> Description:
    """Everything that segments depend on beside the probabilities."""
    stride = options.stride
    return {
        "stride_frames": stride.frames if stride else None,
        "stride_seconds": stride.seconds if stride else None,
        "threshold": options.threshold,
        "smooth": options.smooth,
        "min_duration": options.min_duration,
        "topk": options.topk,
        "windows": options.windows,
    }


def _read_entries(description: Description) -> list[Entry]:
    timelines: list[Entry] = description.get("timelines", [])
    return timelines


def _write_folder(
    folder: Path, form: Form, files: dict[str, Path], timelines: Iterable[Timeline]
) -> None:
    rows = []
    for timeline in timelines:
        name, file = "", files[timeline.path]
        if timeline.error is not None:
            remove_earlier(file)
        else:
            make_folder_of(file)
            with open_timelines(form, file) as write_one:
                write_one(timeline)
            name = file.relative_to(folder).as_posix()
        rows.append((timeline.path, name, len(timeline.segments), timeline.error))
    write_csv(folder / INDEX, ("path", "file", "segments", "error"), rows)
