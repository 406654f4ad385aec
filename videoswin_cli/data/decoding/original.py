"""The rest of a video file beside its frames, which a copy with other pictures takes over."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from videoswin_cli.data.decoding.container import open_container
from videoswin_cli.data.decoding.frame_index import FrameIndex
from videoswin_cli.data.decoding.picture_index import PICTURE_KINDS
from videoswin_cli.options.run import OpenOptions

if TYPE_CHECKING:
    from av import Packet
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_TICK = Fraction(1, 90_000)  # s, where that of the file does not fit into an mp4
_BY_709 = (1, 9, 10)  # matrices of ITU-T H.273: BT.709, and BT.2020, which is shown as that


@dataclass(frozen=True, kw_only=True)
class Original:
    """Facts and sound of an opened file. Sound is read once, from start to end."""

    tick: Fraction  # s, of the time stamps of its frames
    pixel_aspect: Fraction | None = None  # width / height of a pixel as it is shown
    is_bt709: bool = False  # its colors are coded by ITU-R BT.709, not BT.601
    sound: "AudioStream | None" = None
    lost_sound: str | None = None  # why there is none, although the file has some
    _container: "InputContainer | None" = None
    _origin: float = 0.0  # s

    def packets(self) -> "Iterator[tuple[float, Packet[AudioStream]]]":
        """Packets of sound and their starts in seconds, on the clock of `Video.timestamps`."""
        import av

        if self.sound is None or self._container is None:
            return
        try:
            for packet in self._container.demux(self.sound):
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    yield float(packet.pts * packet.time_base) - self._origin, packet
        except av.error.FFmpegError:  # the rest of the file is missing, which its frames tell
            return


@contextmanager
def open_original(index: FrameIndex, opening: OpenOptions) -> Iterator[Original]:
    """The file of an index, opened a second time.

    Raises:
        VideoError: the file is gone.
    """
    from av.stream import Discard

    if index.container in PICTURE_KINDS:
        yield Original(tick=_TICK)
        return
    with open_container(index.path, stream=opening.stream, max_pixels=opening.max_pixels) as (
        container,
        stream,
    ):
        stream.discard = Discard.all
        sound = container.streams.best("audio")
        lost = None
        if sound is not None and index.clock.joins:
            sound, lost = None, "joined streams, whose time stamps start over"
        elif sound is not None:
            sound.discard = Discard.default
        aspect = stream.sample_aspect_ratio or None
        if aspect is not None and index.orientation.transposed:
            aspect = 1 / aspect
        tick = stream.time_base
        if tick is None or tick.numerator > 100_000 or tick.denominator > 1_000_000:
            tick = _TICK
        yield Original(
            tick=tick,
            pixel_aspect=aspect,
            is_bt709=stream.codec_context.colorspace in _BY_709,
            sound=sound,  # type: ignore[arg-type]
            lost_sound=lost,
            _container=container,
            _origin=index.clock.origin,
        )
