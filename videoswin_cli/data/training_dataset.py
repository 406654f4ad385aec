"""One random, augmented clip of a video, for training. A failure is a value."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.data.augment import Augmentation, augment
from videoswin_cli.data.decoding.open import Video, open_as
from videoswin_cli.data.failures import name_reason
from videoswin_cli.data.rates import check_rate
from videoswin_cli.data.sampling import random_clip
from videoswin_cli.data.segments import find_span
from videoswin_cli.data.view_dataset import FailedVideo, frames_at_once, varying_bounds
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import InputProtocol, VideoPart
from videoswin_cli.seeding import seeded


@dataclass(frozen=True, kw_only=True)
class TrainingClip:
    """A clip as the network shall see it, but for its normalization."""

    video: int  # number in the list
    frames: Tensor  # uint8 (clip frames, crop size, crop size, 3)
    flipped: bool = False  # mirrored, so that left is right
    seconds: float  # that opening, decoding and augmenting took


class TrainingClips:
    """Clips by (video, draw). Equal keys are equal clips, whoever makes them and when."""

    def __init__(
        self,
        parts: Sequence[VideoPart],
        *,
        protocol: InputProtocol,
        augmentation: Augmentation,
        opening: OpenOptions,
        seed: int,
    ) -> None:
        self.parts = list(parts)
        self.protocol = protocol
        self.augmentation = augmentation
        self.opening = opening
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> TrainingClip | FailedVideo:
        number, draw = key
        begun = time.perf_counter()
        part = self.parts[number]
        try:
            with open_as(part.path, self.opening) as video:
                frames, flipped = self._read(video, part, seeded(self.seed, "clip", draw))
        except Exception as error:  # noqa: BLE001 - as in `iter_video`
            return self.failed(key, name_reason(error, part.path))
        seconds = time.perf_counter() - begun
        return TrainingClip(video=number, frames=frames, flipped=flipped, seconds=seconds)

    def failed(self, key: tuple[int, int], reason: str) -> FailedVideo:
        return FailedVideo(path=hide_credentials(self.parts[key[0]].path), reason=reason)

    def _read(
        self, video: Video, part: VideoPart, generator: torch.Generator
    ) -> tuple[Tensor, bool]:
        share = torch.rand((), generator=generator).item()
        check_rate(video, self.protocol)
        span = find_span(video, part.segment, part.frames)
        bounds = varying_bounds(video, span.first, span.count)
        clip = random_clip(
            self.protocol, frames=span.count, fps=video.info.fps, share=share, bounds=bounds
        )
        at_once = frames_at_once(video.info.height * video.info.width)
        pieces = (
            torch.from_numpy(video.read_frames([span.first + number for number in piece]))
            for piece in (clip[n : n + at_once] for n in range(0, len(clip), at_once))
        )
        size, rule = self.protocol.crop_size, self.protocol.resize
        return augment(pieces, self.augmentation, size, generator, rule=rule)
