"""Check of `--out`, and the end of a run, for commands with a result per video."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import typer

from videoswin_cli.cli.console import detail, notice
from videoswin_cli.data.inputs import FoundVideos
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.io.tar_files import containing_file
from videoswin_cli.io.visible import counted
from videoswin_cli.options.run import ClassifierOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import ListedVideo, RunSummary
from videoswin_cli.report.timing import describe_timing


def check_out(
    out: Path,
    inputs: Sequence[str],
    found: FoundVideos,
    source: SourceOptions,
    model: ClassifierOptions,
) -> None:
    """Raises UsageError where `out` cannot be written, or is or is in what the run reads."""
    lists = [text[1:] for text in inputs if text.startswith("@")]
    videos = dict.fromkeys(containing_file(video.file or "") for video in found.listed)
    read = [*videos, *lists, source.list_file]
    weights = [model.weights.model, model.weights.checkpoint, model.labels]
    check_writable(out, inputs=[*read, *weights])
    check_outside(out, found.listed)


def check_outside(out: Path, listed: Sequence[ListedVideo]) -> None:
    """Raises UsageError where `out` would lie among the pictures of a frame folder that is read."""
    for video in listed:
        with suppress(OSError, ValueError):  # what is there no more, or can have no such name
            folder = Path(video.file or "")
            if video.file and folder.is_dir() and out.parent.samefile(folder):
                raise UsageError(
                    f"cannot write {out}: its folder is an input", hint="choose another folder"
                )


def end_run(done: RunSummary, *, listed: int, failed: str = "failed") -> None:
    """Print how a run went; a video that failed is exit code 3."""
    detail(describe_timing(done.timing))
    if done.noted:
        notice(f"{done.noted} of {counted(done.videos, 'video')} with notes")
    if not done.complete:
        notice(f"{done.videos} of {counted(listed, 'video')} done; waiting for the other shards")
    if done.failed:
        notice(f"{done.failed} of {counted(done.videos, 'video')} {failed}")
        raise typer.Exit(VideoError.exit_code)
