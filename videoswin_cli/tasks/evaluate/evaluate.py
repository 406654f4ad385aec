"""A list of labelled videos in, accuracy out: what `videoswin eval` runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from videoswin_cli.data.class_folders import Place, read_class_folder
from videoswin_cli.data.inputs import cut, describe_found
from videoswin_cli.data.lists import VideoList, number_labels, question_labels, read_list
from videoswin_cli.data.lists.splits import describe_splits
from videoswin_cli.data.lists.webdataset import read_shards
from videoswin_cli.data.locating import locate
from videoswin_cli.data.shards import find_labelled_shards
from videoswin_cli.engine.batch_job import run_job
from videoswin_cli.engine.distributed import find_world
from videoswin_cli.engine.dumps import dump_format
from videoswin_cli.engine.job import Job
from videoswin_cli.engine.metrics import ScoredVideo
from videoswin_cli.engine.progress import Monitor, Reporter, Silent
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.summary import at_rates, check_interval, summarise
from videoswin_cli.errors import DatasetError, MissingInputError, UsageError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.model.loading import FoundModel, LoadedModel
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.tasks import EvalOptions
from videoswin_cli.records import ListedVideo, Timing
from videoswin_cli.tasks.evaluate.outputs import check_outputs, write_outputs
from videoswin_cli.tasks.evaluate.scoring import ScoreSink, ScoreWorker
from videoswin_cli.tasks.evaluate.summary import Evaluation, single_label_only


def evaluate_videos(
    inputs: Sequence[Place],
    source: SourceOptions,
    model: FoundModel | LoadedModel,
    run: RunOptions,
    options: EvalOptions,
    job: JobOptions,
    reporter: Reporter,
) -> Evaluation:
    """Score every video of a list once, whatever the number of processes and restarts.

    Args:
        inputs: a folder with one folder per class, or tar files; without it `source` names a list.
        source: list, root, and what to read of each video.
        model: with classes.
        run: how videos are sampled and computed.
        options: what is measured and written.
        job: which shard, and whether the dump is continued.
        reporter: of the main process.

    Returns:
        The evaluation, the same on all processes; probabilities of all classes are in the dump.

    Raises:
        UsageError: labels that do not fit the model, too many videos missing, or a dump of another
            run. All of it before the weights are read.
        VideoError: a video failed and `on_error` is "fail".
    """
    world = find_world()
    reporter = reporter if world.is_main else Silent()
    if model.spec.multi_label and (options.per_class or options.confusion):
        raise single_label_only()
    if model.spec.multi_label:
        check_interval(options)
    check_outputs(options)
    if options.dump is not None:
        dump_format(options.dump)
        check_writable(options.dump)
    videos = read_videos(inputs, source, multi_label=model.spec.multi_label)
    listed = job.shard.select(find_videos(videos, model, source, options, reporter))

    def end(scored: tuple[ScoredVideo, ...], runner: Runner, timing: Timing) -> Evaluation:
        found = sum(video.file is not None for video in listed)
        evaluation = _conclude(scored, runner, timing, options, found=found)
        lost = tuple(f"{file}: {reason}" for file, reason in videos.lost)
        evaluation = replace(evaluation, summary=replace(evaluation.summary, lost=lost))
        write_outputs(evaluation, options, reporter)
        return evaluation

    work = Job(
        model=model,
        options=run,
        with_head=True,
        worker=ScoreWorker(options=options),
        sink=ScoreSink(listed, options, resume=job.resume, end=end),
        cluster=job.cluster,
    )
    return run_job(work, listed, world=world, monitor=Monitor(reporter=reporter))


def _conclude(
    scored: Sequence[ScoredVideo],
    runner: Runner,
    timing: Timing,
    options: EvalOptions,
    *,
    found: int,
) -> Evaluation:
    spec, labels, settings = runner.model.spec, runner.model.labels, runner.settings
    summary = summarise(scored, spec=spec, classes=len(labels), options=options)
    summary = at_rates(summary, spec, {settings.protocol.frame_rate})
    return Evaluation(
        videos=tuple(replace(video, scores=None) for video in scored),
        labels=labels,
        summary=replace(
            summary,
            found=found,
            views=str(settings.views),
            average=options.average,
            precision=settings.runtime.precision,
            engine=settings.runtime.engine,
            device=str(settings.runtime.device),
            timing=timing,
        ),
    )


def read_videos(inputs: Sequence[Place], source: SourceOptions, *, multi_label: bool) -> VideoList:
    """The videos of a folder of class folders, of tar files, or of a list.

    Raises:
        UsageError: there are none, or the list holds several splits and none is chosen.
    """
    shards = find_labelled_shards(list(map(str, inputs)))
    if bool(inputs) == (source.list_file is not None) or (len(inputs) > 1 and not shards):
        raise UsageError(
            "expected one source of videos",
            hint="give FOLDER, FILE.tar..., --list FILE or --from-dump FILE...",
        )
    if shards:
        named = name_some(list(map(str, inputs)), 1)
        return read_shards(shards, source=named, labelled=True, multi_label=multi_label)
    if inputs:
        return read_class_folder(inputs[0], all_files=source.all_files)
    assert source.list_file is not None
    videos = read_list(
        source.list_file,
        format=source.list_format,
        multi_label=multi_label,
        split=source.split,
        label_column=source.label_column,
    )
    if source.split is None and len(videos.splits) > 1:
        raise DatasetError(
            f"{videos.source} holds several splits: {describe_splits(videos.splits)}",
            hint="choose one with --split NAME",
        )
    return videos


def find_videos(
    videos: VideoList,
    model: FoundModel | LoadedModel,
    source: SourceOptions,
    options: EvalOptions,
    reporter: Reporter,
) -> list[ListedVideo]:
    """The videos to score, with class index and file. Reports what was found.

    Raises:
        UsageError: a wrong label, or fewer files than `options.min_found` of the rows.
    """
    multi_label, labels = model.spec.multi_label, model.labels
    for text in (
        f"{videos.source}: {counted(len(videos.rows), 'row')} ({videos.format})",
        *videos.notices,
    ):
        reporter.notice(text)
    numbers = number_labels(videos, labels)
    doubts = [] if multi_label else question_labels(videos, numbers, labels)
    listed, notices = locate(videos, numbers, root=source.root, multi_label=multi_label)
    for text in (*doubts, *notices, describe_found(listed)):
        reporter.notice(text)
    found = sum(video.file is not None for video in listed)
    if found < options.min_found * len(listed):
        root = source.root or Path(videos.source).parent
        raise MissingInputError(
            f"under {root} only {describe_found(listed)}",
            hint="is --root the folder that the names in the list are relative to? "
            f"--min-found {found / len(listed):.2f} accepts these",
        )
    return cut(listed, source)
