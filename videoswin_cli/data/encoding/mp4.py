"""An mp4 that takes pictures with their times, and the sound of another file."""

from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoswin_cli.data.decoding.original import Original
from videoswin_cli.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from av import Packet, VideoStream
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from numpy.typing import NDArray

# Of sound that mp4 can hold and players play.
_SOUNDS = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "flac", "opus"})
_CODER = "libx264"
_LIMITED_RANGE = 1  # of ITU-T H.273: black is 16, as FFmpeg codes RGB
_BT709 = 1  # likewise
_RUN_IN = 0.1  # s, of sound before the first frame that its coder needs

# Options of x264 without which its bits depend on the CPU, and with AVX-512 on the run.
SAME_BITS = {"x264-params": "cpu-independent=1"}


@dataclass(frozen=True, kw_only=True)
class Coding:
    """Settings of the coder of H.264."""

    crf: int = 20  # 0 is lossless, 51 the worst
    preset: str = "veryfast"
    threads: int = 4  # whatever the machine has: each number of them gives other bits


@contextmanager
def open_mp4(
    path: Path,
    size: tuple[int, int],
    *,
    fps: float,
    original: Original,
    zero: float,
    end: float | None,
    coding: Coding = Coding(),
) -> "Iterator[Mp4]":
    """An mp4 that is complete when the block ends.

    Args:
        path: where to, whatever its suffix.
        size: (width, height) in px. Pictures of another size are scaled to it.
        fps: frames per second on average; each frame has a time of its own all the same.
        original: the file whose sound, pixel aspect and color coding it gets. Sound that mp4 cannot
            hold is left out, and the notes of the mp4 say so.
        zero: time of the original at which the mp4 begins, in seconds.
        end: time of the original at which its sound is cut off, in seconds; None: it is not.
        coding: of the pictures.

    Raises:
        MachineError: FFmpeg has no coder of H.264 here.
    """
    lost = _lose_sound(path, size, fps, original)
    begun = _begin(path, size, fps, original, coding=coding, with_sound=lost is None)
    with begun as (container, video, sound):
        mp4 = Mp4(container, video, sound, original, zero, end)
        mp4.size = size
        if lost is not None:
            mp4.notes = (f"the annotated video has no sound: {lost}",)
        yield mp4
        mp4.finish()


def _lose_sound(path: Path, size: tuple[int, int], fps: float, original: Original) -> str | None:
    """Reason why the sound of a file cannot be copied; None where it can, or where it has none."""
    import av

    if original.sound is None:
        return original.lost_sound
    name = original.sound.codec_context.name if original.sound.codec_context else "unknown"
    if name.removesuffix("float") not in _SOUNDS:
        return f"{name} does not fit into mp4"
    try:
        with _begin(path, size, fps, original, with_sound=True):
            return None
    except (av.error.FFmpegError, ValueError) as error:
        return str(error)


class Mp4:
    """Pictures and sound in the order of their times."""

    notes: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)  # (width, height) in px, to which other pictures are scaled

    def __init__(
        self,
        container: "OutputContainer",
        video: "VideoStream",
        sound: "AudioStream | None",
        original: Original,
        zero: float,
        end: float | None,
    ) -> None:
        from av.video.reformatter import Colorspace, VideoReformatter

        self._container, self._video, self._sound = container, video, sound
        self._tick, self._zero, self._end = original.tick, zero, end
        self._packets = original.packets() if sound is not None else iter(())
        self._waiting: tuple[float, Packet[AudioStream]] | None = None
        self._sent = -1  # time stamp of the last picture, in ticks
        self._durations: dict[int, int] = {}  # in ticks, by time stamp
        self._reformatter = VideoReformatter()
        self._format: dict[str, Any] = {"format": "yuv420p"}
        if original.is_bt709:
            self._format["dst_colorspace"] = Colorspace.ITU709
        if "threads" in (VideoReformatter.reformat.__doc__ or ""):
            self._format["threads"] = 1  # starting more takes longer than the conversion

    def add(self, image: "NDArray[np.uint8]", start: float, end: float) -> None:
        """Add a picture, (height, width, 3) RGB, that is shown from `start` to `end`, in seconds.

        Times are those of the original.
        """
        import av

        height, width = image.shape[:2]
        scaled = self.size != (width, height)
        image = image if scaled else _to_even(image)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame = self._reformatter.reformat(frame, **self._format, **self._scaling(scaled))
        stamp = max(round((start - self._zero) / self._tick), self._sent + 1)
        self._durations[stamp] = max(round((end - self._zero) / self._tick) - stamp, 1)
        frame.pts, frame.time_base, self._sent = stamp, self._tick, stamp
        self._send(self._video.encode(frame))
        self._send_sound(start)

    def _scaling(self, scaled: bool) -> dict[str, Any]:
        """Arguments of the conversion of a picture."""
        if not scaled:
            return {}
        from av.video.reformatter import Interpolation

        width, height = (side + side % 2 for side in self.size)
        return {"width": width, "height": height, "interpolation": Interpolation.BICUBIC}

    def finish(self) -> None:
        """Send what is left."""
        self._send(self._video.encode(None))
        self._send_sound(inf if self._end is None else self._end)

    def _send(self, packets: "Sequence[Packet[VideoStream]]") -> None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts, 0)
            self._container.mux(packet)

    def _send_sound(self, until: float) -> None:
        """Send packets that start before a time in seconds, of those within the copy."""
        while (found := self._waiting or next(self._packets, None)) is not None:
            start, packet = found
            if start >= until:
                self._waiting = found
                return
            self._waiting = None
            if start < self._zero - _RUN_IN or packet.pts is None or packet.time_base is None:
                continue
            moved = round((start - self._zero) / packet.time_base) - packet.pts
            packet.pts += moved
            packet.dts = packet.pts if packet.dts is None else packet.dts + moved
            packet.stream = self._sound  # type: ignore[assignment]
            self._container.mux(packet)


@contextmanager
def _begin(
    path: Path,
    size: tuple[int, int],
    fps: float,
    original: Original,
    *,
    with_sound: bool,
    coding: Coding = Coding(),
) -> "Iterator[tuple[OutputContainer, VideoStream, AudioStream | None]]":
    """A file with its header, and its streams."""
    import av

    options = {"movflags": "+faststart"}  # so that a browser need not fetch all of it first
    with av.open(str(path.absolute()), "w", format="mp4", options=options) as container:
        try:
            video = container.add_stream(_CODER, rate=Fraction(fps).limit_denominator(1001))
        except av.codec.codec.UnknownCodecError as error:
            raise MachineError(
                f"this FFmpeg cannot write H.264: it has no {_CODER}",
                hint="install PyAV from its wheel: pip install av",
            ) from error
        video.width, video.height = (side + side % 2 for side in size)
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        # Without frames that look ahead: mp4 would lose how long the last picture is shown.
        context.options = {"crf": str(coding.crf), "preset": coding.preset, "bf": "0", **SAME_BITS}
        context.thread_count = coding.threads
        context.time_base = original.tick
        context.color_range = _LIMITED_RANGE
        if original.is_bt709:
            context.colorspace = context.color_primaries = context.color_trc = _BT709
        if original.pixel_aspect is not None:
            context.sample_aspect_ratio = original.pixel_aspect
        sound = None
        if with_sound and original.sound is not None:
            sound = container.add_stream_from_template(original.sound)
        container.start_encoding()
        yield container, video, sound


def _to_even(image: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """With its last column and row once more where their number is odd."""
    import numpy as np

    rows, columns = (side % 2 for side in image.shape[:2])
    if not rows and not columns:
        return image
    return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge")
