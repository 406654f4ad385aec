"""Metrics of a network on the validation clips: every clip once, whatever the processes."""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from torch import Tensor

from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.engine.aggregate import average_views
from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.metrics import (
    ScoredVideo,
    mean_class_accuracy,
    rank_scores,
    topk_accuracy,
    video_average_precision,
)
from videoswin_cli.records import ListedVideo
from videoswin_cli.training.inputs import Logits, mark_classes
from videoswin_cli.training.loss import Loss

_TOP = 5
_STOP_EVERY = 8  # clips of a process between two agreements of several whether to stop


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Ranked classes, mean loss and metrics of all validation clips."""

    videos: tuple[ScoredVideo, ...]
    loss: float
    metrics: dict[str, float]  # percent, by key of `METRIC_NAMES`; the first decides the best epoch

    @property
    def failures(self) -> dict[str, str]:
        """Reasons by path of the clips that could not be read."""
        return {video.path: video.error for video in self.videos if video.error is not None}


def validate(
    read: Callable[[Sequence[ListedVideo]], Logits],
    clips: Sequence[ListedVideo],
    world: World,
    *,
    classes: int,
    multi_label: bool,
    stopped: Callable[[], bool],
) -> Validation | None:
    """Accuracy, or mean average precision, over all clips, in all processes.

    A failed clip counts as wrong, or as what has no class at all.

    Args:
        read: the logits of clips.
        clips: of which each process looks at its share.
        world: that validate together.
        classes: their number.
        multi_label: whether a clip may have several.
        stopped: asked now and then, by all processes equally often; True ends it.

    Returns:
        None where it was stopped.
    """
    mine = list(world.shard.select(clips))
    every = _STOP_EVERY if world.size > 1 else 1
    loss = Loss(multi_label=multi_label, label_smoothing=0.0, class_weights=None)
    scored = []
    with closing(read(mine)) as outputs:
        for number, (clip, logits) in enumerate(zip(mine, outputs, strict=True)):
            # Every process has this many clips, and some have one more.
            if number < len(clips) // world.size and number % every == 0 and stopped():
                return None
            scored.append(_score(clip, logits, loss, multi_label=multi_label))
    everybody = {video.path: (video, loss) for video, loss in world.share(scored)}
    videos = tuple(everybody[clip.path][0] for clip in clips)
    losses = [loss for video, loss in everybody.values() if video.error is None]
    return Validation(
        videos=videos,
        loss=sum(losses) / len(losses) if losses else math.nan,
        metrics={"map": video_average_precision(videos)}
        if multi_label
        else _accuracies(videos, classes),
    )


def _score(
    clip: ListedVideo, logits: Tensor | FailedVideo, loss: Loss, *, multi_label: bool
) -> tuple[ScoredVideo, float]:
    """Ranked classes and loss of a clip of logits (views, classes); of one that failed, neither."""
    assert clip.label is not None
    if isinstance(logits, FailedVideo):
        failed = ScoredVideo(
            path=clip.path, label=clip.label, more_labels=clip.more_labels, error=logits.reason
        )
        return failed, 0.0
    probs = average_views(logits, multi_label=multi_label).float().numpy()
    top = rank_scores(probs, k=_TOP)
    video = ScoredVideo(
        path=clip.path,
        label=clip.label,
        more_labels=clip.more_labels,
        top=top,
        top_probs=tuple(float(probs[i]) for i in top),
        scores=probs,
    )
    return video, float(loss(logits.mean(dim=0, keepdim=True), mark_classes([clip], len(probs))))


def _accuracies(videos: Sequence[ScoredVideo], classes: int) -> dict[str, float]:
    metrics = {"top1": topk_accuracy(videos, 1)}
    if classes > _TOP:  # else it is always 100
        metrics["top5"] = topk_accuracy(videos, _TOP)
    return metrics | {"mean_class_accuracy": mean_class_accuracy(videos)}
