"""Training batches: augmented clips for the network, or cached features for a linear probe."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from videoswin_cli.data.augment import Augmentation
from videoswin_cli.data.training_dataset import TrainingClip, TrainingClips
from videoswin_cli.data.transforms import normalize
from videoswin_cli.data.view_dataset import FailedVideo, ViewDataset
from videoswin_cli.data.views import resolve_views
from videoswin_cli.data.workers import ItemSource, load_in_workers, quiet
from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.forward import forward_videos
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.io.visible import counted
from videoswin_cli.model.network import TrainableNetwork, VideoNetwork, plan_on_cpu, plan_training
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import InputProtocol, ListedVideo, Views
from videoswin_cli.training.initialize import train_mode

_NEWS_SECONDS = 30.0  # between two messages on the progress of the features


@dataclass(frozen=True, kw_only=True)
class CachedClip:
    """Pooled features of a clip."""

    video: int  # number in the list
    features: Tensor  # float32 (C,)


Item = TrainingClip | CachedClip | FailedVideo
Logits = Generator[Tensor | FailedVideo, None, None]  # (views, classes), float32


class Inputs(Protocol):
    """Training items, their batches, and logits of validation clips."""

    trained: nn.Module  # takes a batch, gives logits (B, classes)
    source: ItemSource[Item]
    reading: "EvalLoader"
    workers: int  # processes that make the items
    device: torch.device  # of the batches

    def batch(self, items: Sequence[Item]) -> Tensor:
        """Batch of the items, on the device; of none, one row that counts for nothing."""

    def autocast(self) -> AbstractContextManager[object]:
        """The precision to compute in."""

    def logits(self, clips: Sequence[ListedVideo]) -> Logits:
        """Logits (1, classes), float32, of each clip: one centre view of the middle clip."""


def mark_classes(clips: Sequence[ListedVideo], classes: int) -> Tensor:
    """(clips, classes) float32: 1 for the classes of a clip, 0 for the others."""
    marks = torch.zeros(len(clips), classes)
    for row, clip in zip(marks, clips, strict=True):
        row[list(clip.labels)] = 1.0
    return marks


@dataclass(frozen=True, kw_only=True)
class EvalLoader:
    """Reading and computing of validation clips, for logits or pooled features."""

    sampling: InputProtocol
    opening: OpenOptions
    runtime: Runtime
    dtype: torch.dtype
    workers: int
    batch_size: int  # views per forward pass of validation
    notice: Callable[[str], None] = quiet

    def autocast(self) -> AbstractContextManager[object]:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.runtime.device.type, self.dtype)

    def outputs(
        self,
        clips: Sequence[ListedVideo],
        network: VideoNetwork,
        *,
        views: Views | None = None,
        pooled: bool = False,
    ) -> Generator[Tensor | FailedVideo, None, None]:
        """Logits, or pooled features, (views, ...) float32 of each clip.

        Without `views` of one: the centre of the middle clip.
        """
        if self.runtime.on_cpu and self.dtype == torch.float32:
            network = plan_on_cpu(network)
        compute = network.pool if pooled else network

        def precisely(views: Tensor) -> Tensor:
            with self.autocast():
                return compute(views).float()

        parts = [clip.part for clip in clips]
        dataset = ViewDataset(
            parts,
            protocol=self.sampling,
            views=views or resolve_views("1x1", self.sampling),
            opening=self.opening,
        )
        outputs = forward_videos(
            load_in_workers(
                dataset,
                range(len(parts)),
                workers=min(self.workers, len(parts)),
                notice=self.notice,
            ),
            precisely,
            protocol=self.sampling,
            runtime=self.runtime,
            batch_size=self.batch_size,
        )
        with closing(outputs):
            for output in outputs:
                yield output if isinstance(output, FailedVideo) else output.outputs


class ClipInputs:
    """Decoded and augmented clips, for the whole network."""

    def __init__(
        self,
        network: TrainableNetwork,
        clips: Sequence[ListedVideo],
        *,
        reading: EvalLoader,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.trained = plan_training(network)
        self._network = network
        self.workers = reading.workers
        self.device = reading.runtime.device
        self.autocast = reading.autocast
        self.reading = reading
        self.source: ItemSource[Item] = TrainingClips(
            [clip.part for clip in clips],
            protocol=reading.sampling,
            augmentation=augmentation,
            opening=reading.opening,
            seed=seed,
        )

    def batch(self, items: Sequence[Item]) -> Tensor:
        sampling = self.reading.sampling
        side, count = sampling.crop_size, sampling.clip_frames
        nothing = torch.zeros((1, count, side, side, 3), dtype=torch.uint8)
        clips = [item.frames for item in items if isinstance(item, TrainingClip)]
        frames = torch.stack(clips) if clips else nothing
        return normalize(
            frames.to(self.device),
            mean=sampling.mean,
            std=sampling.std,
            dtype=torch.float32,
        )

    def logits(self, clips: Sequence[ListedVideo]) -> Logits:
        self.trained.eval()
        with closing(self.reading.outputs(clips, self._network)) as outputs:
            yield from outputs
        train_mode(self.trained)


class FeatureInputs:
    """Features of a backbone that stays as it is, computed once: a linear probe of its head."""

    def __init__(
        self,
        network: TrainableNetwork,
        train: Sequence[ListedVideo],
        val: Sequence[ListedVideo],
        *,
        reading: EvalLoader,
        world: World,
        notice: Callable[[str], None],
    ) -> None:
        self.trained: nn.Module = _Classifier(network)
        self.reading = reading
        self.workers = 0
        self.autocast = nullcontext
        self.device = reading.runtime.device
        self._features = _compute_features(
            network, [*train, *val], reading=reading, world=world, notice=notice
        )
        self.source: ItemSource[Item] = _CachedClips(train, self._features)

    def batch(self, items: Sequence[Item]) -> Tensor:
        width = next(self.trained.parameters()).shape[1]
        features = [item.features for item in items if isinstance(item, CachedClip)]
        return torch.stack(features or [torch.zeros(width)]).to(self.device)

    def logits(self, clips: Sequence[ListedVideo]) -> Logits:
        self.trained.eval()
        for clip in clips:
            found = self._features[clip.path]
            if isinstance(found, FailedVideo):
                yield found
            else:
                with torch.no_grad():
                    yield self.trained(found[None].to(self.device)).float().cpu()
        self.trained.train()


class _Classifier(nn.Module):
    """The part of the network that is behind the pooled features."""

    def __init__(self, network: TrainableNetwork) -> None:
        super().__init__()
        assert network.head is not None
        self.head = network.head
        self.dropout = network.head_dropout

    def forward(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.head(F.dropout(pooled, self.dropout, self.training))
        return logits


class _CachedClips:
    """Features by (number in the list, draw), as `TrainingClips` has clips."""

    def __init__(
        self, clips: Sequence[ListedVideo], features: Mapping[str, Tensor | FailedVideo]
    ) -> None:
        self._clips = clips
        self._features = features

    def __getitem__(self, key: tuple[int, int]) -> Item:
        found = self._features[self._clips[key[0]].path]
        if isinstance(found, FailedVideo):
            return found
        return CachedClip(video=key[0], features=found)

    def failed(self, key: tuple[int, int], reason: str) -> Item:
        raise AssertionError(f"{key}: {reason}")  # nothing is decoded, so nothing can die


def _compute_features(
    network: TrainableNetwork,
    clips: Sequence[ListedVideo],
    *,
    reading: EvalLoader,
    world: World,
    notice: Callable[[str], None],
) -> dict[str, Tensor | FailedVideo]:
    """Pooled features by path; each process computes its share, and all get all."""
    notice(f"computing the features of {counted(len(clips), 'clip')} once, without augmentation")
    network.eval()
    mine = world.shard.select(clips)
    found: list[tuple[str, Tensor | FailedVideo]] = []
    told = time.monotonic()
    with closing(reading.outputs(mine, network, pooled=True)) as outputs:
        for clip, output in zip(mine, outputs, strict=True):
            found.append((clip.path, output if isinstance(output, FailedVideo) else output[0]))
            if time.monotonic() - told > _NEWS_SECONDS:
                told = time.monotonic()
                notice(f"features of {len(found) * world.size} of {counted(len(clips), 'clip')}")
    network.train()
    return dict(world.share(found))
