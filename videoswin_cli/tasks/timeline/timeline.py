"""Timelines of many videos: what `videoswin timeline` runs."""

from collections.abc import Sequence
from dataclasses import replace

from videoswin_cli.engine.batch_job import run_job
from videoswin_cli.engine.distributed import find_world
from videoswin_cli.engine.job import Job
from videoswin_cli.engine.progress import Monitor, Reporter
from videoswin_cli.engine.result_sinks import FileSink, PrintSink
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import is_stream
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.loading import FoundModel
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.source import JobOptions
from videoswin_cli.options.timeline import SegmentOptions, TimelineOutput
from videoswin_cli.records import ListedVideo, RunSummary, Timeline
from videoswin_cli.report.timeline.forms import open_timelines
from videoswin_cli.tasks.timeline.outputs import (
    choose_form,
    describe_earlier,
    is_unread,
    write_timelines,
)
from videoswin_cli.tasks.timeline.window_log import WindowLog
from videoswin_cli.tasks.timeline.worker import TimelineWorker


def see_videos(
    listed: Sequence[ListedVideo],
    model: FoundModel,
    run: RunOptions,
    options: SegmentOptions,
    output: TimelineOutput,
    job: JobOptions,
    reporter: Reporter,
) -> RunSummary:
    """Find what is seen when in every video, and print or write it in the order of the list.

    Args:
        listed: the videos.
        model: with classes.
        run: how videos are sampled and computed.
        options: windows and segments.
        output: format and destination.
        job: which shard, and whether an earlier run is continued.
        reporter: of the main process.

    Raises:
        UsageError: options that do not fit the model, or an output of another run.
        CheckpointError, FetchError: the weights cannot be loaded.
        VideoSwinError: the disk is full.
    """
    output.check(videos=len(listed), windows=options.windows)
    for text in describe_earlier(output, listed):
        reporter.notice(text)
    out = output.file
    if job.resume and (out is None or is_stream(out)):
        raise UsageError("--resume needs --out: that is where finished windows are kept")
    if job.cluster.ray and output.beside:
        raise UsageError(
            "--annotate and --html write where a video is read, which --engine ray does anywhere",
            hint="write them for the videos of interest, without it",
        )
    sink: PrintSink[Timeline] | FileSink[Timeline]
    if out is None or is_stream(out):
        report = open_timelines(choose_form(output, options), out)
        sink = PrintSink(report, reporter, failed=is_unread)
        worker = TimelineWorker(options=options, output=output)
    else:
        # The shards of one output find each other's work there.
        kept = write_timelines(output, options, listed, resume=job.resume or job.shard.count > 1)
        sink = kept
        worker = TimelineWorker(options=options, output=output)
        if not job.cluster.ray:
            worker = replace(worker, open_log=lambda: WindowLog(kept.part_file(".windows")))
    work = Job(
        model=model,
        options=run,
        with_head=True,
        worker=worker,
        sink=sink,
        shard=job.shard,
        cluster=job.cluster,
        check=check_windows,
        windows=True,
    )
    return run_job(work, listed, world=find_world(), monitor=Monitor(reporter=reporter))


def check_windows(spec: ModelSpec, settings: Settings) -> None:
    """Raises UsageError for a model or views that have no windows."""
    if spec.protocol.sampling == "uniform":
        raise UsageError(
            f"{spec.name} spreads one clip over the whole video: there are no windows to slide",
            hint="cut the video into parts and use predict, or take a model of short clips: "
            "`videoswin models`",
        )
    if settings.views.clips > 1:
        raise UsageError(
            f"--views {settings.views}: windows slide over the video, so a view is one clip",
            hint="use 1x1 or 1x3",
        )
