"""Clips of a stream: a ring of resized frames, no more of them than one clip needs."""

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from videoswin_cli.data.sampling import clip_step, latest_clip
from videoswin_cli.data.view_dataset import Corners, VideoViews
from videoswin_cli.records import InputProtocol, VideoInfo

_SAME_TIME = 1e-3  # s; MPEG-TS rounds stamps to 1/90000 s, some cameras to milliseconds


@dataclass(frozen=True, kw_only=True)
class LiveFrame:
    """A frame as the views need it."""

    number: int  # of all frames of the run, over all connections
    time: float  # s since the first frame of the connection
    image: Tensor  # uint8 (height, width, 3) RGB, resized, all crops of it


@dataclass(frozen=True, kw_only=True)
class LiveClip:
    """A clip that was due, ready for the network."""

    views: VideoViews
    first: int  # number of its first frame
    last: int
    captured: float  # s of the clock: arrival of its last frame


class ClipRing:
    """The frames of the last clip of a stream."""

    def __init__(self, protocol: InputProtocol, *, every: float) -> None:
        """`every`: seconds from one clip to the next, by the times of the frames.

        Raises:
            UsageError: a model without windows; see `clip_step`.
        """
        self._protocol = protocol
        self._every = every
        self.span = clip_step(protocol) * (protocol.clip_frames - 1)
        self._frames: deque[LiveFrame] = deque()
        self._due: float | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def clear(self) -> None:
        """Forget all frames: what comes next does not follow them."""
        self._frames.clear()
        self._due = None

    @property
    def fps(self) -> float:
        """Frames per second at hand, 0 where there are not two."""
        if len(self._frames) < 2:
            return 0.0
        return (len(self._frames) - 1) / (self._frames[-1].time - self._frames[0].time)

    def add(self, frame: LiveFrame) -> bool:
        """Keep a frame that is later than the last one; whether a clip that ends with it is due."""
        frames = self._frames
        frames.append(frame)
        begin = frame.time - self.span + _SAME_TIME
        while len(frames) > 1 and frames[1].time <= begin:
            frames.popleft()
        if frames[0].time > begin:
            return False  # not a whole clip yet
        self._due = frame.time if self._due is None else self._due
        if frame.time < self._due - _SAME_TIME:
            return False
        while self._due <= frame.time + _SAME_TIME:
            self._due += self._every
        return True

    def clip(self, info: VideoInfo, corners: Corners, *, captured: float) -> LiveClip:
        """The clip that ends with the last frame."""
        frames = list(self._frames)
        numbers = latest_clip(self._protocol, [frame.time for frame in frames])
        distinct = sorted(set(numbers))
        rows = {number: row for row, number in enumerate(distinct)}
        first, last = frames[distinct[0]], frames[distinct[-1]]
        views = VideoViews(
            info=info,
            frames=torch.stack([frames[number].image for number in distinct]),
            clips=(tuple(rows[number] for number in numbers),),
            starts=tuple(frames[number].time for number in distinct),
            times=((first.time, last.time + 1 / self.fps),),
            corners=corners,
            crop_size=self._protocol.crop_size,
            notes=(),
            seconds=0.0,
            resize_seconds=0.0,
        )
        return LiveClip(views=views, first=first.number, last=last.number, captured=captured)
