"""How good a network is on the validation clips: every clip once, whatever the processes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from videoswin_cli.data.dataset import FailedVideo
from videoswin_cli.engine.metrics import (
    ScoredVideo,
    mean_class_accuracy,
    rank_scores,
    topk_accuracy,
)
from videoswin_cli.engine.processes import Processes
from videoswin_cli.records import ListedVideo
from videoswin_cli.training.inputs import Inputs

_TOP = 5


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What came out. Accuracies in percent; failed clips count as wrong."""

    videos: tuple[ScoredVideo, ...]
    loss: float
    top1: float
    top5: float
    mean_class_accuracy: float


def validate(
    inputs: Inputs, clips: Sequence[ListedVideo], processes: Processes
) -> Validation | None:
    """Top-1 and the like over all clips; None in all processes but the first."""
    mine = list(processes.shard.deal(clips))
    scored = []
    for clip, logits in zip(mine, inputs.answers(mine), strict=True):
        assert clip.label is not None
        if isinstance(logits, FailedVideo):
            scored.append((ScoredVideo(path=clip.path, label=clip.label, error=logits.reason), 0.0))
            continue
        probs = logits.softmax(dim=0).numpy()
        top = rank_scores(probs, k=_TOP)
        video = ScoredVideo(
            path=clip.path, label=clip.label, top=top, top_probs=tuple(float(probs[i]) for i in top)
        )
        scored.append((video, float(F.cross_entropy(logits, torch.tensor(clip.label)))))
    everybody = {video.path: (video, loss) for video, loss in processes.gather(scored)}
    if not processes.first:
        return None
    videos = tuple(everybody[clip.path][0] for clip in clips)
    losses = [loss for video, loss in everybody.values() if video.error is None]
    return Validation(
        videos=videos,
        loss=sum(losses) / len(losses) if losses else math.nan,
        top1=topk_accuracy(videos, 1),
        top5=topk_accuracy(videos, _TOP),
        mean_class_accuracy=mean_class_accuracy(videos),
    )
