"""Predictions of many videos: what `videoswin predict` runs."""

from collections.abc import Sequence

from videoswin_cli.engine.batch_job import run_job
from videoswin_cli.engine.distributed import find_world
from videoswin_cli.engine.job import Job
from videoswin_cli.engine.progress import Monitor, Reporter
from videoswin_cli.engine.video_files import describe_others, name_files
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import is_stream
from videoswin_cli.model.loading import FoundModel
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.source import ShardOptions
from videoswin_cli.options.tasks import PredictOptions
from videoswin_cli.records import ListedVideo, RunSummary
from videoswin_cli.tasks.predict.sinks import print_predictions, write_predictions
from videoswin_cli.tasks.predict.worker import PredictWorker


def predict_videos(
    listed: Sequence[ListedVideo],
    model: FoundModel,
    run: RunOptions,
    options: PredictOptions,
    job: ShardOptions,
    reporter: Reporter,
) -> RunSummary:
    """Predict the classes of every video, and print or write them in the order of the list.

    Args:
        listed: the videos.
        model: with classes.
        run: how videos are sampled and computed.
        options: what a prediction has, and where it goes.
        job: which shard, and whether an earlier run is continued.
        reporter: of the main process.

    Raises:
        UsageError: options that do not fit the model, or an output of another run.
        CheckpointError, FetchError: the weights cannot be loaded.
        VideoSwinError: the disk is full.
    """
    out = options.out
    if options.annotate is not None:
        files = name_files(options.annotate, listed, ".mp4")
        for text in describe_others(options.annotate, files, listed):
            reporter.notice(text)
    if job.resume and (out is None or is_stream(out)):
        raise UsageError("--resume needs --out FILE: that is where finished videos are kept")
    sink = (
        print_predictions(options, reporter)
        if out is None or is_stream(out)
        # The shards of one output find each other's work there.
        else write_predictions(out, options, listed, resume=job.resume or job.shard.count > 1)
    )
    work = Job(
        model=model,
        options=run,
        with_head=True,
        worker=PredictWorker(options=options),
        sink=sink,
        shard=job.shard,
    )
    return run_job(work, listed, world=find_world(), monitor=Monitor(reporter=reporter))
