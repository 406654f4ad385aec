"""One connection to a live source: packets in, clips that are due out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from videoswin_cli.data.decoding.container import check_pixels
from videoswin_cli.data.decoding.live_input import LiveDecoder, LiveInput
from videoswin_cli.data.decoding.orientation import Orientation, read_orientation
from videoswin_cli.data.decoding.pyav_reader import make_converter
from videoswin_cli.data.live.clips import ClipRing, LiveClip, LiveFrame
from videoswin_cli.data.live.pace import Clock, Pace
from videoswin_cli.data.live.source import LiveSource
from videoswin_cli.data.sampling import clip_step
from videoswin_cli.data.view_dataset import Resizer
from videoswin_cli.data.workers import Notice
from videoswin_cli.errors import FetchError
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import InputProtocol, VideoInfo, Views

if TYPE_CHECKING:
    from videoswin_cli.data.decoding.live_input import Packet, VideoFrame

_LATE_SECONDS = 2.0  # behind the stream: decoding is too slow, and passes over the next packets
_CAUGHT_UP_SECONDS = 0.5
_BACK_SECONDS = 1.0  # a jump of the stamps; what is less is an odd frame
_JUMP_SECONDS = 20.0
_FEW = 0.75  # of the frames per second that clips want


@dataclass
class StreamState:
    """Progress of a stream over all connections, written by the thread that reads it."""

    frames: int = 0  # decoded
    passed_over: int = 0  # packets that were not decoded, as decoding was too slow
    damaged: int = 0  # packets and frames
    reconnects: int = 0
    lost: str | None = None  # why there is no connection
    recordings: list[Path] = field(default_factory=list)
    recording_failed: bool = False
    slow: bool = False  # fewer frames per second than clips want
    told: set[str] = field(default_factory=set)  # what is said once


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A source, and the clips that are wanted of it."""

    source: LiveSource
    protocol: InputProtocol
    views: Views
    opening: OpenOptions
    every: float  # s from one clip to the next
    record: Path | None = None
    stall: float = 10.0  # s without data after which a stream is lost
    first_wait: float = 1.0  # s before it is connected to again; doubled before each further try


class Connection:
    """Frames of an opened source, resized, and the clips that end with them."""

    def __init__(
        self,
        opened: LiveInput,
        reading: Reading,
        state: StreamState,
        *,
        ring: ClipRing,
        clock: Clock,
        notice: Notice,
    ) -> None:
        self._opened = opened
        self._reading = reading
        self._state = state
        self._ring = ring
        self._clock = clock
        self._notice = notice
        self._decoder = LiveDecoder(opened.video)
        self._pace = Pace(clock, real_time=opened.sized)
        self._late_seconds = max(_LATE_SECONDS, 2 * ring.span)  # room for a clip without a gap
        self._behind = False
        self._stamp: float | None = None  # of the last packet
        self._origin: float | None = None  # stamp of the first frame
        self._time = 0.0  # s, of the last frame
        self._shape: tuple[int, int, Orientation] | None = None

    def ask(self) -> None:
        """The next packet is asked for."""
        self._pace.ask()

    def receive(self, packet: "Packet[Any]") -> Iterator[LiveClip]:
        """Clips that are due with a packet."""
        if packet.stream.index != self._opened.video.index:
            return
        if self._opened.stamped and (stamp := _stamp_of(packet)) is not None:
            if self._jumps(stamp):
                yield from self._begin_anew()
            self._stamp = stamp
            late = self._pace.arrive(stamp)
            self._behind = late > (_CAUGHT_UP_SECONDS if self._behind else self._late_seconds)
        if self._behind:
            self._tell("decoding is slower than the stream: frames are dropped")
            self._state.passed_over += 1
            self._leave_a_gap()
            return
        damaged = self._decoder.damaged
        frames = self._decoder.decode(packet)
        if self._decoder.damaged > damaged:
            self._tell("damaged data: frames are left out up to the next key frame")
            self._state.damaged += self._decoder.damaged - damaged
            self._ring.clear()  # no clip goes over a gap
        for frame in frames:
            yield from self._keep(frame)

    def _jumps(self, stamp: float) -> bool:
        """Whether a packet is of another time: the sender began anew, or files were joined.

        Raises:
            FetchError: in a broadcast, which is then connected to again.
        """
        step = 0.0 if self._stamp is None else stamp - self._stamp
        if self._opened.sized:
            return step < -_BACK_SECONDS
        if not -_BACK_SECONDS < step < _JUMP_SECONDS:
            raise FetchError(f"its times jump by {step:.1f} s")
        return False

    def _begin_anew(self) -> Iterator[LiveClip]:
        """Take what comes for another part, whose times follow those before."""
        yield from self.finish()
        self._leave_a_gap()
        self._pace = Pace(self._clock, real_time=True)
        self._origin = None

    def _leave_a_gap(self) -> None:
        """Begin again with the next key frame."""
        self._decoder.wait_for_key()
        self._ring.clear()

    def finish(self) -> Iterator[LiveClip]:
        """Clips of the frames that the decoder still held back."""
        for frame in self._decoder.finish():
            yield from self._keep(frame)

    def _keep(self, frame: "VideoFrame") -> Iterator[LiveClip]:
        base = self._opened.video.time_base  # the last frames of a decoder have none of their own
        timed = self._opened.stamped and frame.pts is not None and base is not None
        stamp = float(frame.pts * base) if timed else self._clock.now()  # type: ignore[operator]
        if self._origin is None:
            self._origin = stamp - self._time
            self._greet()
        elif stamp - self._origin <= self._time:
            return  # a stamp that comes again
        self._time = stamp - self._origin
        self._adapt(frame)
        image = torch.from_numpy(self._convert(frame))[None]
        resized = self._resizer.resize(image)[0]
        number, self._state.frames = self._state.frames, self._state.frames + 1
        if self._ring.add(LiveFrame(number=number, time=self._time, image=resized)):
            self._warn()
            info = VideoInfo(
                path=self._reading.source.shown,
                decoder="pyav",
                frames=self._state.frames,
                fps=self._ring.fps,
                height=self._size[0],
                width=self._size[1],
            )
            captured = self._pace.captured(stamp)
            yield self._ring.clip(info, self._resizer.corners, captured=captured)

    def _greet(self) -> None:
        if self._state.lost is not None:
            self._state.lost = None
            self._state.reconnects += 1
            self._notice(f"{self._reading.source.shown}: connected again")

    def _adapt(self, frame: "VideoFrame") -> None:
        """Take frames of another size or orientation, which make clips of their own."""
        orientation = read_orientation(frame)
        shape = (frame.height, frame.width, orientation)
        if shape == self._shape:
            return
        reading = self._reading
        height, width = (
            (frame.width, frame.height) if orientation.transposed else (frame.height, frame.width)
        )
        check_pixels(reading.source.shown, (width, height), reading.opening.max_pixels)
        self._shape, self._size = shape, (height, width)
        self._convert = make_converter((height, width), orientation)
        self._resizer = Resizer(height, width, reading.protocol, reading.views)
        self._ring.clear()

    def _warn(self) -> None:
        wanted = 1 / clip_step(self._reading.protocol)
        if self._ring.fps < _FEW * wanted and not self._state.slow:
            self._state.slow = True
            self._tell(
                f"{self._ring.fps:.3g} frames per second; the model wants {wanted:.3g}: frames are"
                " repeated"
            )

    def _tell(self, text: str) -> None:
        """Say something once."""
        if text not in self._state.told:
            self._state.told.add(text)
            self._notice(f"{self._reading.source.shown}: {text}")


def _stamp_of(packet: "Packet[Any]") -> float | None:
    """Seconds at which a packet is to be decoded, or else shown."""
    stamp = packet.pts if packet.dts is None else packet.dts
    return None if stamp is None else float(stamp * packet.time_base)
