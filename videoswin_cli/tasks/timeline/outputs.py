"""Outputs of timelines: a file, or a folder with a file per video and an index of them."""

from collections.abc import Sequence
from pathlib import Path

from videoswin_cli.engine.journal import Entry
from videoswin_cli.engine.provenance import Description, describe_settings
from videoswin_cli.engine.result_sinks import FileSink, ResultFile
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import write_csv, write_error
from videoswin_cli.io.paths import file_below
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
    files = _name_files(out, output, listed) if output.is_folder else {}

    def describe(model: LoadedModel, settings: Settings) -> Description:
        return describe_settings(model, settings, **_describe_options(options))

    def write(timelines: Sequence[Timeline]) -> None:
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


def _read_entries(description: Description) -> dict[str, Entry]:
    return {entry["path"]: entry for entry in description.get("timelines", [])}


def _name_files(
    folder: Path, output: TimelineOutput, listed: Sequence[ListedVideo]
) -> dict[str, Path]:
    """File of each video by its path: the same name with the suffix of the format."""
    files: dict[str, Path] = {}
    owners: dict[Path, str] = {}
    suffix = SUFFIX_OF_FORMAT[output.chosen_format]
    for video in listed:
        segment = f"#{video.segment}" if video.segment else ""
        same = file_below(folder, video.path.removesuffix(segment), "")
        if same is None:
            raise UsageError(f"{video.path}: no name is left of it for a file in {folder}")
        file = same.with_name(f"{same.stem}{segment}{suffix}")
        if (other := owners.setdefault(file, video.path)) != video.path:
            raise UsageError(
                f"{other} and {video.path} would both be written to {file}",
                hint="start from a folder above both, or write one file",
            )
        files[video.path] = file
    return files


def _write_folder(
    folder: Path, form: Form, files: dict[str, Path], timelines: Sequence[Timeline]
) -> None:
    rows = []
    for timeline in timelines:
        name = ""
        if timeline.error is None:
            file = files[timeline.path]
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise write_error(file.parent, error) from error
            with open_timelines(form, file) as write_one:
                write_one(timeline)
            name = file.relative_to(folder).as_posix()
        rows.append((timeline.path, name, len(timeline.segments), timeline.error))
    write_csv(folder / INDEX, ("path", "file", "segments", "error"), rows)
