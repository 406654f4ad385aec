"""Which frames a video file really holds: read from its packets, almost nothing is decoded.

Headers lie, packets do not. A file that holds fewer frames than its header promises is refused: it
was cut off, and scores of what is left would pass for scores of the video. The one pass over the
packets serves both decoders: frames are numbered here, and decord is only trusted with files whose
numbering it is known to get right.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from videoswin_cli.errors import VideoError

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

# Seconds that the picture may end before the file: a packet of sound and more.
_LATE_SOUND = 0.1
_CHECK = "Check that the file is complete and plays elsewhere."


@dataclass(frozen=True, kw_only=True)
class FrameIndex:
    """The frames of one file in presentation order, as its packets tell."""

    path: str
    container: str  # FFmpeg's name of the format: "mov,mp4,m4a,3gp,3g2,mj2"
    codec: str
    fps: float  # average frames a second
    height: int  # px, rotated
    width: int  # px, rotated
    times: tuple[float, ...]  # s, start of each frame; the first is 0
    marks: tuple[int, ...] | None  # pts of each frame; None: no pts to rely on, count frames
    keys: tuple[int, ...]  # frame numbers at which decoding can start
    seek_points: tuple[int, ...]  # timestamp that leads the demuxer to each of `keys`
    closed: bool  # no frame sent after a key frame is shown before it

    def key_before(self, number: int) -> int:
        """Position in `keys` of the last key frame at or before frame `number`."""
        return max(bisect_right(self.keys, number) - 1, 0)


class _Packet(NamedTuple):
    """What is kept of a packet: not its data, a long video would fill the memory."""

    pts: int | None
    dts: int | None
    key: bool
    corrupt: bool
    discard: bool

    @classmethod
    def of(cls, packet: "Packet[VideoStream]") -> "_Packet":
        return cls(packet.pts, packet.dts, packet.is_keyframe, packet.is_corrupt, packet.is_discard)


def index_frames(path: str | Path) -> FrameIndex:
    """Read the packets of a video file and decode its first frame.

    Raises:
        VideoError: there is no such file, it was cut off, or it holds no video frame that can be
            decoded.
    """
    import av

    shown, size = _measure_file(path)
    with open_container(path) as (container, stream):
        packets: list[_Packet] = []
        first: VideoFrame | None = None
        dropped, broken_off = 0, False
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    dropped += packet.dts is not None  # AVI knows empty frames; else it is the end
                    continue
                packets.append(_Packet.of(packet))
                if first is None:
                    first = next(filter(None, decode_packet(stream, packet)), None)
        except av.error.FFmpegError:  # the rest of the file is missing
            broken_off = True
        if first is None:
            first = next(filter(None, decode_packet(stream, None)), None)
        if first is None:
            raise VideoError(
                f"{shown}: not one frame can be decoded"
                f" ({len(packets)} video packets in {size:,} bytes, codec {_name_codec(stream)})",
                hint=_CHECK,
            )
        index = _build_index(shown, container, stream, packets, first)
        found = len(packets) + dropped
        if broken_off or packets[-1].corrupt or _misses_its_end(container, stream, index, found):
            promised = f" of the {stream.frames} that its header promises" if stream.frames else ""
            raise VideoError(
                f"{shown}: the file is cut off: it holds {found} frames{promised},"
                f" {index.times[-1] + 1 / index.fps:.2f} s",
                hint="Fetch it again, or keep what is left: ffmpeg -i FILE -c copy NEW.mp4",
            )
        return index


def _misses_its_end(
    container: "InputContainer", stream: "VideoStream", index: FrameIndex, found: int
) -> bool:
    """Whether the header promises more video than the packets hold."""
    if container.format.name == "avi":
        return found < stream.frames
    if container.format.name.startswith("mov,") and found >= stream.frames:
        return False
    # An mp4 may hold fewer frames than its table because an edit list hides some, and Matroska
    # counts none: there the promised time decides. Sound may end a little after the picture.
    promised = _read_duration(container, stream)
    return promised is not None and index.times[-1] + 1 / index.fps < promised - _LATE_SOUND


def _read_duration(container: "InputContainer", stream: "VideoStream") -> float | None:
    """Seconds of video that the header promises, if it does."""
    clock = stream.metadata.get("DURATION")  # Matroska: "00:00:01.600000000" for each track
    if clock is not None and re.fullmatch(r"\d+:\d\d:\d\d(\.\d*)?", clock):
        hours, minutes, seconds = clock.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    kinds = ("mov,", "matroska,")
    if container.duration is None or not container.format.name.startswith(kinds):
        return None
    alone = container.format.name.startswith("mov,") or len(container.streams) == 1
    return container.duration / 1e6 if alone else None  # it is that of the longest stream


@contextmanager
def open_container(path: str | Path) -> "Iterator[tuple[InputContainer, VideoStream]]":
    """Open a file and its main video stream."""
    import av

    try:
        # An absolute path is never taken for a protocol ("concat:...").
        # Text in the metadata that is no UTF-8 stops PyAV unless told otherwise.
        container = av.open(str(Path(path).absolute()), metadata_errors="ignore")
    except av.error.FFmpegError as error:
        raise VideoError(
            f"{path}: not a readable video file ({error.strerror}; {_describe_start(path)})",
            hint=_CHECK,
        ) from error
    with container:
        yield container, _pick_stream(str(path), container)


def decode_packet(
    stream: "VideoStream", packet: "Packet[VideoStream] | None"
) -> "Sequence[VideoFrame | None]":
    """Frames that become ready with this packet, or (None,) for a damaged one.

    Without a packet: the frames still held back at the end.
    """
    import av

    try:
        return stream.codec_context.decode(packet)
    except av.error.FFmpegError:  # InvalidDataError mostly; decoders use a few other codes, too
        return (None,)


def _measure_file(path: str | Path) -> tuple[str, int]:
    file, shown = Path(path), str(path)
    if file.is_dir():
        raise VideoError(f"{shown}: this is a folder", hint="Name the video files in it.")
    if not file.exists():
        raise VideoError(f"{shown}: no such file")
    if not file.is_file():
        raise VideoError(f"{shown}: neither a file nor a link to one")
    size = file.stat().st_size
    if size == 0:
        raise VideoError(f"{shown}: the file is empty (0 bytes)")
    return shown, size


def _describe_start(path: str | Path) -> str:
    try:
        with Path(path).open("rb") as file:
            start = file.read(12)
    except OSError as error:
        return error.strerror or "unreadable"
    return f"it starts with {start!r}"


def _name_codec(stream: "VideoStream") -> str:
    # Without a decoder (an unknown or unsupported codec) there is no context to ask.
    return stream.codec_context.name if stream.codec_context is not None else "unknown"


def _pick_stream(shown: str, container: "InputContainer") -> "VideoStream":
    from av.stream import Disposition

    kind = container.format.name
    if kind.endswith("_pipe") or kind in {"image2", "ico"}:
        raise VideoError(f"{shown}: a single picture ({kind}), no video")
    if kind == "tty":  # FFmpeg films any *.txt as a terminal
        raise VideoError(f"{shown}: a text file, no video")
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        found = ", ".join(f"{s.type}" for s in container.streams) or "nothing"
        if container.streams.video:
            found += " (the video stream is a cover picture)"
        raise VideoError(f"{shown}: no video stream in this {kind} file; it holds: {found}")
    best = container.streams.best("video")
    stream = next((s for s in videos if best is not None and s.index == best.index), videos[0])
    if stream.codec_context is None:
        raise VideoError(f"{shown}: no decoder for its video stream", hint=_CHECK)
    # As decord is told to: many videos are read at once, one a worker. It also keeps the number
    # of packets that a decoder swallows ahead of a frame small.
    stream.codec_context.thread_count = 1
    return stream


def _build_index(
    shown: str,
    container: "InputContainer",
    stream: "VideoStream",
    packets: list[_Packet],
    first: "VideoFrame",
) -> FrameIndex:
    shown_packets = [packet for packet in packets if not packet.discard]
    if not shown_packets:
        raise VideoError(f"{shown}: its edit list cuts off all of its {len(packets)} frames")
    turned = first.rotation % 180 != 0
    height, width = (first.width, first.height) if turned else (first.height, first.width)

    keys: tuple[int, ...]
    seek_points: tuple[int, ...] = ()
    marks, key_packets, closed = _order_packets(stream, container, packets)
    times = _measure_times(stream, shown_packets, marks)
    if marks is None:
        keys = tuple(number for number, packet in enumerate(shown_packets) if packet.key)
    else:
        # A key frame may be cut off by the edit list and still be needed: it counts as the
        # first frame shown after it.
        keys = tuple(bisect_left(marks, packet.pts or 0) for packet in key_packets)
        seek_points = tuple(_seek_point(container, packet) for packet in key_packets)
    return FrameIndex(
        path=shown,
        container=container.format.name,
        codec=_name_codec(stream),
        fps=_measure_fps(stream, times),
        height=height,
        width=width,
        times=times,
        marks=marks,
        keys=keys,
        seek_points=seek_points,
        closed=closed,
    )


def _order_packets(
    stream: "VideoStream", container: "InputContainer", packets: list[_Packet]
) -> tuple[tuple[int, ...] | None, list[_Packet], bool]:
    """Presentation order: the pts of each frame, the key packets, and if all groups are closed."""
    pairs = [(packet.pts, packet) for packet in packets if packet.pts is not None]
    # AVI knows no presentation times. FFmpeg makes them up, wrongly where frames are reordered.
    made_up = container.format.name == "avi" and stream.codec_context.has_b_frames
    unusable = len(pairs) < len(packets) or len({stamp for stamp, _ in pairs}) < len(pairs)
    start = next((i for i, packet in enumerate(packets) if packet.key), None)
    if made_up or unusable or start is None:
        return None, [], False
    # Frames sent or shown before the first key frame have nothing to refer to.
    opening = pairs[start][0]
    pairs = [(stamp, packet) for stamp, packet in pairs[start:] if stamp >= opening]
    stamps = [stamp for stamp, _ in pairs]
    latest = [opening - 1, *accumulate(stamps, max)]  # [i]: of all before i
    earliest = [*accumulate(reversed(stamps), min)][::-1]  # [i]: of i and all after it
    keys = [(i, pair) for i, pair in enumerate(pairs) if pair[1].key]
    closed = all(latest[i] < stamp == earliest[i] for i, (stamp, _) in keys)
    ordered = sorted((pair for _, pair in keys), key=lambda pair: pair[0])
    marks = tuple(sorted(stamp for stamp, packet in pairs if not packet.discard))
    return marks, [packet for _, packet in ordered], closed


def _seek_point(container: "InputContainer", key: _Packet) -> int:
    # mp4 and Matroska are sought by presentation time, the others by decode time: MPEG-TS, say,
    # would land behind the key frame, and what it then decodes has the right pts, wrong content.
    stamps = [stamp for stamp in (key.pts, key.dts) if stamp is not None]
    known = container.format.name.startswith(("mov,", "matroska,"))
    return stamps[0] if known else min(stamps)


def _measure_times(
    stream: "VideoStream", packets: list[_Packet], marks: tuple[int, ...] | None
) -> tuple[float, ...]:
    stamps: Sequence[int | None] = marks or [packet.pts for packet in packets]
    known = sorted(stamp for stamp in stamps if stamp is not None)
    if len(known) < len(stamps):
        known = sorted(packet.dts for packet in packets if packet.dts is not None)
    if stream.time_base is not None and len(known) == len(stamps):
        # Integers: a long video would spend more time in Fraction than in reading its packets.
        tick, second = stream.time_base.numerator, stream.time_base.denominator
        return tuple((stamp - known[0]) * tick / second for stamp in known)
    rate = stream.average_rate or stream.guessed_rate or 25
    return tuple(float(number / rate) for number in range(len(packets)))


def _measure_fps(stream: "VideoStream", times: Sequence[float]) -> float:
    declared = float(stream.average_rate or stream.guessed_rate or 0)
    duration = times[-1] - times[0]
    if duration <= 0:
        return declared or 1.0
    measured = (len(times) - 1) / duration
    # The header has the exact fraction (30000/1001) and is right, unless it is plainly wrong.
    return declared if abs(measured - declared) <= 0.01 * measured else measured
