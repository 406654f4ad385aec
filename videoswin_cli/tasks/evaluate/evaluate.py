"""A list of labelled videos in, accuracy out: what `videoswin eval` runs."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from videoswin_cli.data.class_folders import read_class_folder
from videoswin_cli.data.lists import (
    ListFormat,
    VideoList,
    number_labels,
    question_labels,
    read_list,
)
from videoswin_cli.data.lists.splits import describe_splits
from videoswin_cli.data.locating import locate, name_missing
from videoswin_cli.data.views import resolve_views
from videoswin_cli.engine.aggregate import Average
from videoswin_cli.engine.distributed import Shard, find_world, process_group
from videoswin_cli.engine.metrics import (
    ScoredVideo,
    class_accuracies,
    looks_like_chance,
    mean_class_accuracy,
    topk_accuracy,
    video_average_precision,
)
from videoswin_cli.engine.precision import Record, resolve_auto
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.provenance import Description, read_description, read_precision
from videoswin_cli.engine.runtime import Precision, RunOptions, choose_runtime
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.loading import describe, load
from videoswin_cli.records import EvalSummary, ListedVideo
from videoswin_cli.tasks.evaluate.dumps import dump_format, read_dumps
from videoswin_cli.tasks.evaluate.scoring import (
    KEPT_TOP,
    Scorer,
    description_of,
    recorded_description,
)

OnError = Literal["wrong", "skip", "fail"]


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """What `videoswin eval` can be told."""

    model: str
    checkpoint: Path | None = None
    weights_set: str | None = None  # of several in one file
    labels: Path | None = None
    run: RunOptions = field(default_factory=lambda: RunOptions(views="paper"))
    average: Average = "prob"
    topk: tuple[int, ...] = (1, 5)
    on_error: OnError = "wrong"  # fail: the first failed video ends the run
    min_found: float = 0.95  # share of the listed videos that must exist
    limit: int | None = None  # the first so many videos only
    shard: Shard = field(default_factory=Shard)
    dump: Path | None = None
    resume: bool = False


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All videos of a list with their scores, and what they come to."""

    videos: tuple[ScoredVideo, ...]
    labels: tuple[str, ...]  # class names; empty where they are not known
    summary: EvalSummary

    @property
    def failed(self) -> tuple[ScoredVideo, ...]:
        return tuple(video for video in self.videos if video.error is not None)


def read_videos(
    folder: Path | None,
    file: Path | None,
    options: EvalOptions,
    *,
    format: ListFormat | None,
    all_files: bool = False,
    split: str | None = None,
    label_column: str | None = None,
) -> VideoList:
    """The videos of a folder of class folders, or of a list as the model's labels are to be read.

    `all_files`: look into files of the folder whatever their names; `label_column`: of the list.

    Raises:
        UsageError: there are none, no such model, or the list holds several splits and none is
            chosen.
    """
    if folder is not None:
        return read_class_folder(folder, all_files=all_files)
    assert file is not None
    videos = read_list(
        file,
        format=format,
        multi_label=is_multi_label(options),
        split=split,
        label_column=label_column,
    )
    if split is None and len(videos.splits) > 1:
        raise UsageError(
            f"{videos.source} holds several splits: {describe_splits(videos.splits)}",
            hint="choose one with --split NAME",
        )
    return videos


def is_multi_label(options: EvalOptions) -> bool:
    """Whether the model gives a video several classes."""
    return _describe(options)[0].multi_label


def _describe(options: EvalOptions) -> tuple[ModelSpec, tuple[str, ...]]:
    return describe(
        options.model,
        checkpoint=options.checkpoint,
        labels=options.labels,
        weights_set=options.weights_set,
    )


def evaluate(
    videos: VideoList, options: EvalOptions, *, root: Path | None, monitor: Monitor
) -> Evaluation | None:
    """Score every video of a list once, whatever the number of processes and restarts.

    Args:
        videos: with their labels.
        options: of the run.
        root: folder that the names of the list are relative to; by default that of the list.
        monitor: is told; of several processes the first one's.

    Returns:
        The evaluation; None in all processes but the first.

    Raises:
        UsageError: labels that do not fit the model, too many videos missing, or a dump of another
            run. All of it before the weights are read.
        VideoError: a video failed and `on_error` is "fail".
    """
    world = find_world()
    if not world.is_main:
        monitor = Monitor()
    spec, labels = _describe(options)
    views = str(resolve_views(options.run.views, spec.protocol))
    listed = find_videos(
        videos, labels, options, root=root, multi_label=spec.multi_label, monitor=monitor
    )
    if options.dump is not None:
        dump_format(options.dump)
        check_writable(options.dump)
    run = replace(options.run, views=views, device=world.device(options.run.device))
    choose_runtime(device=run.device, precision=run.precision)
    with process_group(world):
        model = load(
            options.model,
            checkpoint=options.checkpoint,
            labels=options.labels,
            with_head=True,
            weights_set=options.weights_set,
        )
        monitor.notice(model.summary)
        run = resolve_auto(
            model,
            run,
            notice=monitor.notice,
            world=world,
            record=_make_record(options),
        )
        scorer = Scorer(
            model=model,
            run=run,
            average=options.average,
            keep_top=max(KEPT_TOP, *options.topk),
            stop_at_failure=options.on_error == "fail",
            dump=options.dump,
            resume=options.resume,
            world=world,
            monitor=monitor,
        )
        scored = scorer.score(listed)
        timing = monitor.timing(world)
    if not world.is_main:
        return None
    summary = replace(
        summarise(scored, spec=model.spec, classes=len(model.labels), options=options),
        found=sum(video.file is not None for video in listed),
        views=views,
        average=options.average,
        precision=run.precision,
        device=run.device,
        timing=timing,
    )
    return Evaluation(videos=scored, labels=model.labels, summary=summary)


def _make_record(options: EvalOptions) -> Record:
    def read() -> Precision | None:
        if options.dump is None or not options.resume:
            return None
        return read_precision(recorded_description(options.dump))

    return Record(read=read)


def evaluate_dumps(files: Sequence[Path], options: EvalOptions, *, named: bool) -> Evaluation:
    """Metrics of what earlier runs wrote, without a network.

    Args:
        files: dumps of shards of one run, or one dump.
        options: of them the model, the labels, `topk` and `on_error` count.
        named: whether the model was named; else nothing is known of it.

    Raises:
        UsageError: a dump cannot be read, holds too few classes, or disagrees with another.
    """
    videos = tuple(read_dumps(files))
    spec, labels = describe(options.model, labels=options.labels) if named else (None, ())
    classes = len(labels) or max((len(v.scores) for v in videos if v.scores is not None), default=0)
    kept = min((len(video.top) for video in videos if video.top), default=0)
    if kept < max(options.topk) and kept < (classes or kept + 1):
        raise UsageError(
            f"top-{max(options.topk)} cannot be told: the dump holds {kept} classes of a video",
            hint="choose --topk as it was for the dump, or dump all scores (.npz)",
        )
    if classes and (wrong := [v for v in videos if max(v.label, *v.top, 0) >= classes]):
        raise UsageError(
            f"{wrong[0].path}: class {max(wrong[0].label, *wrong[0].top)} of the dump is none of "
            f"the {classes} of {options.model}",
            hint="name the model that the dump is of with --model",
        )
    summary = summarise(videos, spec=spec, classes=classes, options=options)
    known = _describe_dumps(files)
    summary = replace(
        summary,
        model=summary.model or known.get("model"),
        views=known.get("views"),
        average=known.get("average"),
        precision=known.get("precision"),
        warnings=(*summary.warnings, *_warn_of_mixing(files)),
    )
    return Evaluation(videos=videos, labels=labels, summary=summary)


def _describe_dumps(files: Sequence[Path]) -> Description:
    """What is written beside the dumps of their run; nothing where it is not there or differs."""
    found = _read_descriptions(files)
    if len(found) < len(set(files)):
        return {}
    first, *others = found.values()
    return first if all(other == first for other in others) else {}


def _warn_of_mixing(files: Sequence[Path]) -> list[str]:
    """What the dumps differ in, though one figure is made of all: weights, then precision."""
    warnings = []
    found = _read_descriptions(files)
    weights = {
        file: tuple(each.get(key) for key in ("model", "weights_sha256", "weights_set"))
        for file, each in found.items()
    }
    if len(set(weights.values())) > 1:
        first = {values: file for file, values in reversed(weights.items())}
        named = "; ".join(
            f"{file}: {model}, sha256 {str(digest)[:8]}" + (f", set {chosen}" if chosen else "")
            for (model, digest, chosen), file in reversed(first.items())
        )
        warnings.append(f"the dumps are of different weights ({named}): one figure is made of all")
    precisions = {str(each["precision"]) for each in found.values() if "precision" in each}
    if len(precisions) > 1:
        warnings.append(f"the dumps are of different precisions: {', '.join(sorted(precisions))}")
    return warnings


def _read_descriptions(files: Sequence[Path]) -> dict[Path, Description]:
    """Of those that have one beside them."""
    beside = ((file, description_of(file)) for file in files)
    return {file: read_description(text) for file, text in beside if text.exists()}


def find_videos(
    videos: VideoList,
    labels: Sequence[str],
    options: EvalOptions,
    *,
    root: Path | None,
    multi_label: bool,
    monitor: Monitor,
) -> list[ListedVideo]:
    """The videos to score, with class index and file. Says what was found.

    Raises:
        UsageError: a wrong label, or fewer files than `options.min_found` of the rows.
    """
    for text in (f"{videos.source}: {len(videos.rows)} rows ({videos.format})", *videos.notices):
        monitor.notice(text)
    numbers = number_labels(videos, labels)
    doubts = [] if multi_label else question_labels(videos, numbers, labels)
    listed, notices = locate(videos, numbers, root=root, multi_label=multi_label)
    for text in (*doubts, *notices):
        monitor.notice(text)
    found = sum(video.file is not None for video in listed)
    examples = name_missing(listed)
    monitor.notice(
        f"{found} of {len(listed)} videos found" + (f"; missing: {examples}" if examples else "")
    )
    if found < options.min_found * len(listed):
        raise UsageError(
            f"only {found} of {len(listed)} videos found under "
            f"{root or Path(videos.source).parent}; missing are, for example: {examples}",
            hint="is --root the folder that the names in the list are relative to? "
            f"--min-found {found / len(listed):.2f} accepts these",
        )
    return list(options.shard.select(listed[: options.limit]))


def summarise(
    videos: Sequence[ScoredVideo], *, spec: ModelSpec | None, classes: int, options: EvalOptions
) -> EvalSummary:
    """Accuracies of the videos, beside the published ones. `classes` is 0 where not known.

    Where videos may have several classes, the mean average precision instead.
    """
    several = spec.multi_label if spec else any(video.more_labels for video in videos)
    failed = sum(video.error is not None for video in videos)
    counted = [v for v in videos if v.error is None] if options.on_error == "skip" else videos
    published: dict[str, float | None] = {}
    if spec is not None:
        published = {"top1": spec.publication.top1, "top5": spec.publication.top5}
    warnings = []
    if not several and looks_like_chance(counted, classes=classes):
        warnings.append(
            f"top-1 is no better than guessing one of {classes} classes: does the list number the "
            "classes in the order of this model? (--labels, or class names instead of numbers)"
        )
    return EvalSummary(
        model=spec.name if spec else None,
        dataset=spec.publication.dataset if spec else None,
        views=None,
        average=None,
        precision=None,
        device=None,
        decoders=dict(sorted(Counter(v.decoder for v in videos if v.decoder).items())),
        listed=len(videos),
        found=len(videos),
        failed=failed,
        noted=sum(bool(video.notes) for video in videos),
        on_error=options.on_error,
        accuracy={"map": video_average_precision(counted)}
        if several
        else {f"top{k}": topk_accuracy(counted, k) for k in options.topk},
        mean_class_accuracy=math.nan if several else mean_class_accuracy(counted),
        classes_with_videos=0 if several else len(class_accuracies(counted)),
        published={key: value for key, value in published.items() if value is not None},
        published_views=f"{spec.protocol.clips}x{spec.protocol.crops}" if spec else None,
        timing=None,
        warnings=tuple(warnings),
    )
