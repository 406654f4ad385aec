"""Accuracies of scored videos, beside the published ones."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from videoswin_cli.engine.bootstrap import top1_interval
from videoswin_cli.engine.metrics import (
    ScoredVideo,
    class_accuracies,
    looks_like_chance,
    mean_class_accuracy,
    topk_accuracy,
    video_average_precision,
)
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.options.tasks import EvalOptions
from videoswin_cli.records import EvalSummary


def summarise(
    videos: Sequence[ScoredVideo], *, spec: ModelSpec | None, classes: int, options: EvalOptions
) -> EvalSummary:
    """Accuracies of the videos, beside the published ones. `classes` is 0 where not known.

    Where videos may have several classes, the mean average precision instead.

    Raises:
        UsageError: an interval of top-1 was requested of such videos.
    """
    several = spec.multi_label if spec else any(video.more_labels for video in videos)
    if several:
        check_interval(options)
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
        interval=top1_interval(counted) if options.ci else None,
        warnings=tuple(warnings),
    )


def at_rates(
    summary: EvalSummary, spec: ModelSpec | None, rates: Collection[float | None]
) -> EvalSummary:
    """The summary with its frame rate where it is not the model's own: nothing is published for it.

    Args:
        summary: of the videos.
        spec: None where the model is not known, so that any rate is said.
        rates: frames per second of the runs, None for that of each video; empty: not known.
    """
    own = set() if spec is None else {spec.protocol.frame_rate}
    if set(rates) <= own:
        return summary
    first, *others = set(rates)
    summary = replace(summary, published={}, published_views=None)
    return summary if others else replace(summary, frame_rate=first or "source")


def check_interval(options: EvalOptions) -> None:
    """Raises UsageError where an interval of top-1 is requested, for videos of several classes."""
    if options.ci:
        raise UsageError("--ci is of top-1: these videos may have several classes")
