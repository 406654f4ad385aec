"""How good a network is on the validation clips: every clip once, whatever the processes."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.data.dataset import FailedVideo, ViewDataset
from videoswin_cli.data.decoding import DecoderChoice
from videoswin_cli.data.feeding import feed
from videoswin_cli.data.views import resolve_views
from videoswin_cli.engine.inference import forward_videos
from videoswin_cli.engine.metrics import (
    ScoredVideo,
    mean_class_accuracy,
    rank_scores,
    topk_accuracy,
)
from videoswin_cli.engine.processes import Processes
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.records import ListedVideo, Protocol

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
    network: Swin3D,
    clips: Sequence[ListedVideo],
    *,
    protocol: Protocol,
    runtime: Runtime,
    autocast: Callable[[], AbstractContextManager[object]],
    decoder: DecoderChoice,
    workers: int,
    batch_size: int,
    processes: Processes,
) -> Validation | None:
    """One centre view of the middle clip of each video; None in all processes but the first."""
    network.eval()
    mine = list(processes.shard.deal(clips))
    paths = [str(clip.file) for clip in mine]
    dataset = ViewDataset(
        paths, protocol=protocol, views=resolve_views("1x1", protocol), decoder=decoder
    )

    def compute(views: Tensor) -> Tensor:
        with autocast():
            logits: Tensor = network(views)
        return logits.float()

    outputs = forward_videos(
        feed(dataset, range(len(paths)), workers=min(workers, len(paths))),
        compute,
        protocol=protocol,
        runtime=runtime,
        batch_size=batch_size,
    )
    scored = []
    for clip, output in zip(mine, outputs, strict=True):
        assert clip.label is not None
        if isinstance(output, FailedVideo):
            scored.append((ScoredVideo(path=clip.path, label=clip.label, error=output.reason), 0.0))
            continue
        logits = output.outputs.mean(dim=0)
        probs = logits.softmax(dim=0).numpy()
        top = rank_scores(probs, k=_TOP)
        video = ScoredVideo(
            path=clip.path, label=clip.label, top=top, top_probs=tuple(float(probs[i]) for i in top)
        )
        scored.append((video, float(F.cross_entropy(logits, torch.tensor(clip.label)))))
    network.train()
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
