"""Check of `--out`, and the end of a run, for commands with a result per video."""

from collections.abc import Sequence
from pathlib import Path

import typer

from videoswin_cli.cli.console import detail, notice
from videoswin_cli.data.inputs import FoundVideos
from videoswin_cli.errors import VideoError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.io.tar_files import containing_file
from videoswin_cli.options.run import ClassifierOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import RunSummary
from videoswin_cli.report.timing import describe_timing


def check_out(
    out: Path,
    inputs: Sequence[str],
    found: FoundVideos,
    source: SourceOptions,
    model: ClassifierOptions,
) -> None:
    """Raises UsageError where `out` cannot be written, or is a file that the run reads."""
    lists = [text[1:] for text in inputs if text.startswith("@")]
    videos = dict.fromkeys(containing_file(video.file or "") for video in found.listed)
    read = [*videos, *lists, source.list_file]
    weights = [model.weights.model, model.weights.checkpoint, model.labels]
    check_writable(out, inputs=[*read, *weights])


def end_run(done: RunSummary, *, listed: int, failed: str = "failed") -> None:
    """Print how a run went; a video that failed is exit code 3."""
    detail(describe_timing(done.timing))
    if done.noted:
        notice(f"{done.noted} of {done.videos} videos with notes")
    if not done.complete:
        notice(f"{done.videos} of {listed} videos done; waiting for the other shards")
    if done.failed:
        notice(f"{done.failed} of {done.videos} videos {failed}")
        raise typer.Exit(VideoError.exit_code)
