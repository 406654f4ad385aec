"""Features of many videos, written to files: what `videoswin extract` runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from videoswin_cli.data.encoding.shards import make_key, same_key
from videoswin_cli.engine.batch_job import run_job
from videoswin_cli.engine.distributed import find_world
from videoswin_cli.engine.job import Job
from videoswin_cli.engine.progress import Monitor, Reporter
from videoswin_cli.errors import UsageError
from videoswin_cli.model.loading import FoundModel
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.source import JobOptions
from videoswin_cli.options.tasks import FeatureOptions
from videoswin_cli.records import ListedVideo
from videoswin_cli.tasks.extract.features import check_features
from videoswin_cli.tasks.extract.output import Output
from videoswin_cli.tasks.extract.part_files import check_format
from videoswin_cli.tasks.extract.parts import PartSink, PartsOutput
from videoswin_cli.tasks.extract.sink import Extraction, FeatureSink
from videoswin_cli.tasks.extract.worker import FeatureWorker

if TYPE_CHECKING:
    from pathlib import Path


def extract_to_files(
    listed: Sequence[ListedVideo],
    output: Output | PartsOutput,
    model: FoundModel,
    run: RunOptions,
    options: FeatureOptions,
    job: JobOptions,
    reporter: Reporter,
    *,
    overwrite: bool = False,
) -> Extraction:
    """Compute the features of every video once and write them, or continue that.

    Args:
        listed: all videos of the output, also where only a shard of them is computed here.
        output: where to.
        model: with or without a head.
        run: how videos are sampled and computed.
        options: which features.
        job: the shard; the process that ends last writes the output. Without `resume` an existing
            output is an error.
        reporter: of the main process.
        overwrite: remove what is there first.

    Returns:
        What was done, the same on all processes.

    Raises:
        UsageError: options that do not fit, or an output of another run.
        VideoSwinError: the disk is full.
    """
    sink: FeatureSink | PartSink
    if isinstance(output, PartsOutput):
        check_format(output.format)
        worker, part_size = FeatureWorker(options=options), output.size
        sink = PartSink(listed, output, options, resume=job.resume, overwrite=overwrite)
    else:
        _check_names(listed, output)
        part_size = None
        sink = FeatureSink(listed, output, options, resume=job.resume, overwrite=overwrite)
        worker = FeatureWorker(options=options, output=output)
        if not job.cluster.ray:
            worker = replace(worker, earlier=sink)
    work = Job(
        model=model,
        options=run,
        with_head=False,
        worker=worker,
        sink=sink,
        shard=job.shard,
        cluster=job.cluster,
        part_size=part_size,
        check=lambda spec, settings: check_features(spec, settings, options),
        windows=options.per == "window",
    )
    return run_job(work, listed, world=find_world(), monitor=Monitor(reporter=reporter))


def _check_names(listed: Sequence[ListedVideo], output: Output) -> None:
    """Two videos must not share a file of a folder, or a sample of a shard."""
    if output.kind == ".tar":
        keys: dict[str, str] = {}
        for video in listed:
            if (other := keys.setdefault(make_key(video.path), video.path)) != video.path:
                raise same_key(other, video.path, make_key(video.path))
    if output.kind != "folder":
        return
    owners: dict[Path, str] = {}
    for video in listed:
        file = output.feature_file(video.path)
        if file is None:
            continue  # a row that says so
        if (other := owners.setdefault(file, video.path)) != video.path:
            raise UsageError(
                f"{other} and {video.path} would both be written to {file}",
                hint="start from a folder above both, or write one matrix (.npy)",
            )
