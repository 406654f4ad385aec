"""Write tiny synthetic videos whose frames carry their own number.

Each frame shows its number as 16 bits: 8 x 2 blocks, a dark one for 0 and a bright one for 1.
`read_number` gives it back from a decoded frame, so a test can say WHICH frame it got, even
after lossy coding. Bright blocks are reddish: swapped channels are noticed too.
"""

import os
import struct
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from videoswin_cli.options.run import DecoderChoice
from videoswin_cli.records import Segment, VideoPart

BITS = 16
COLUMNS = 8
DARK = (30, 40, 60)
BRIGHT = (220, 190, 150)

# The 2 x 2 part of a track header's matrix, (a, b, c, d), for each clockwise turn in degrees.
_TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def draw_frame(number: int, *, size: tuple[int, int] = (64, 48), seed: int = 0) -> np.ndarray:
    """Frame `number` of video `seed`: (height, width, 3) uint8 RGB; size is (width, height)."""
    width, height = size
    bits = np.array([number >> bit & 1 for bit in range(BITS)]).reshape(-1, COLUMNS)
    rows = np.arange(height) * bits.shape[0] // height
    columns = np.arange(width) * COLUMNS // width
    image = np.where(bits[rows][:, columns, None] == 1, BRIGHT, DARK)
    texture = np.random.default_rng(seed).integers(-12, 13, (height // 8 + 1, width // 8 + 1, 1))
    image += np.kron(texture, np.ones((8, 8, 1), dtype=np.int64))[:height, :width]
    return image.astype(np.uint8)


def read_number(frame: np.ndarray) -> int:
    """The number that a decoded (height, width, 3) RGB frame shows."""
    height, width = frame.shape[:2]
    rows = BITS // COLUMNS
    number = 0
    for bit in range(BITS):
        row, column = divmod(bit, COLUMNS)
        y, x = (2 * row + 1) * height // (2 * rows), (2 * column + 1) * width // (2 * COLUMNS)
        block = frame[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).astype(float).mean(axis=0)
        bright = block.mean() > 115
        if bright:
            assert block[0] > block[2] + 30, f"block {bit} is not reddish, it is {block}"
        number |= int(bright) << bit
    return number


def write_video(
    path: Path,
    *,
    frames: int = 40,
    size: tuple[int, int] = (64, 48),
    fps: float = 25,
    codec: str = "libx264",
    gop: int = 12,
    b_frames: int = 2,
    open_gop: bool = False,
    seed: int = 0,
    pix_fmt: str = "yuv420p",
    times: Sequence[float] | None = None,
    faststart: bool = True,
    audio: bool = False,
    options: Mapping[str, str] | None = None,
    muxing: Mapping[str, str] | None = None,
    format: str | None = None,
    draw: Callable[[int], np.ndarray] | None = None,
) -> Path:
    """Write one video; the container follows from the suffix.

    Args:
        path: where to.
        frames: how many.
        size: (width, height) in pixels.
        fps: frames a second.
        codec: name of an FFmpeg encoder.
        gop: frames from one key frame to the next.
        b_frames: bidirectional frames in a row; 0 where decode order is presentation order.
        open_gop: frames may refer to the key frame after them.
        seed: of the faint texture under the numbers, so that two videos differ.
        pix_fmt: of the encoded frames.
        times: start of each frame in seconds, for a variable frame rate; replaces fps.
        faststart: mp4 and mov carry their index before the frames.
        audio: add a silent sound track.
        options: of the encoder, in place of those that follow from the others.
        muxing: options of the muxer.
        format: of the container, where it does not follow from the suffix.
        draw: makes a frame of `size` by its number, in place of `draw_frame`.

    Returns:
        `path`.
    """
    os.environ.setdefault("SVT_LOG", "1")  # libsvtav1 talks to stderr behind FFmpeg's back
    movable = path.suffix in {".mp4", ".mov"}
    muxer_options = {"movflags": "+faststart"} if movable and faststart else {}
    muxer_options |= muxing or {}
    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", format=format, options=muxer_options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        context = stream.codec_context
        context.gop_size = gop
        context.thread_count = 1  # the same bytes on every machine
        if codec == "libx264":
            context.options = {
                "preset": "superfast",
                "crf": "18",
                "bf": str(b_frames),
                "sc_threshold": "0",
                "x264-params": f"open-gop={int(open_gop)}:keyint={gop}:min-keyint={gop}"
                ":cpu-independent=1",
            }
        elif codec == "libx265":
            context.options = {
                "preset": "ultrafast",
                "x265-params": f"log-level=0:bframes={b_frames}:keyint={gop}:pools=1:"
                f"open-gop={int(open_gop)}",
            }
        elif codec == "libsvtav1":
            context.options = {"preset": "12", "crf": "30"}
        elif codec == "libvpx-vp9":
            context.options = {"deadline": "realtime", "cpu-used": "8", "crf": "20"}
        elif codec in {"mpeg4", "mpeg2video", "mpeg1video"}:
            context.max_b_frames = b_frames
            context.options = {"qscale": "3", "flags": "+qscale", "global_quality": "354"}
        context.options = {**context.options, **(options or {})}
        time_base = 1 / rate if times is None else Fraction(1, 1000)
        if times is not None:
            context.time_base = time_base
        sound = container.add_stream("aac", rate=16000, layout="mono") if audio else None
        converter = VideoReformatter()
        for number in range(frames):
            drawn = draw(number) if draw else draw_frame(number, size=size, seed=seed)
            image = av.VideoFrame.from_ndarray(drawn, "rgb24")
            image = converter.reformat(image, format=pix_fmt)
            image.time_base = time_base
            image.pts = number if times is None else round(times[number] * 1000)
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
        if sound is not None:
            _write_silence(container, sound, seconds=frames / fps)
    return path


def write_audio(path: Path, *, seconds: float = 0.5) -> Path:
    """Write a file that holds sound only."""
    with av.open(str(path), "w") as container:
        _write_silence(
            container, container.add_stream("aac", rate=16000, layout="mono"), seconds=seconds
        )
    return path


def _write_silence(container: Any, stream: Any, *, seconds: float) -> None:
    for start in range(0, int(seconds * 16000), 1024):
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate, sound.pts = 16000, start
        container.mux(stream.encode(sound))
    container.mux(stream.encode(None))


def rotate_video(source: Path, path: Path, *, degrees: int) -> Path:
    """Copy an mp4 and turn it clockwise by rotation metadata, as phones do: 0, 90, 180, 270."""
    return turn_video(source, path, matrix=_TURNS[degrees])


def turn_video(source: Path, path: Path, *, matrix: Sequence[float]) -> Path:
    """Copy an mp4 with another display matrix: x' = a x + c y, y' = b x + d y."""
    data = bytearray(source.read_bytes())
    assert data.count(b"tkhd") == 1, "one track, please"
    a, b, c, d = (round(value * (1 << 16)) for value in matrix)
    start = data.index(b"tkhd") + 44  # the matrix of a version 0 track header
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def truncate_video(source: Path, path: Path, *, share: float) -> Path:
    """Copy the first `share` (0..1) of a file's bytes."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def damage_video(source: Path, path: Path, *, start: float, stop: float) -> Path:
    """Copy a file with the bytes from share `start` to share `stop` (0..1) set to zero."""
    data = bytearray(source.read_bytes())
    first, last = int(len(data) * start), int(len(data) * stop)
    data[first:last] = bytes(last - first)
    path.write_bytes(data)
    return path


def trim_video(source: Path, path: Path, *, frames: int, fps: int = 25) -> Path:
    """Copy an mp4 whose edit list cuts off its first frames; they stay in the file."""
    data = bytearray(source.read_bytes())
    start = data.index(b"elst") + 16  # the media time of the only entry of a version 0 list
    timescale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    (media_time,) = struct.unpack_from(">i", data, start)
    struct.pack_into(">i", data, start, media_time + frames * timescale // fps)
    movie = data.index(b"mvhd") + 16
    (movie_timescale,) = struct.unpack_from(">I", data, movie)
    for duration in (start - 4, movie + 4):  # of the list's entry, and of the whole file
        (length,) = struct.unpack_from(">I", data, duration)
        struct.pack_into(">I", data, duration, length - frames * movie_timescale // fps)
    path.write_bytes(data)
    return path


def cut_tail(source: Path, path: Path, *, seconds: float) -> Path:
    """Copy an mp4 whose edit list ends the first track after so many seconds."""
    data = bytearray(source.read_bytes())
    (movie_timescale,) = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)
    struct.pack_into(">I", data, data.index(b"elst") + 12, round(seconds * movie_timescale))
    path.write_bytes(data)
    return path


def remux_video(
    source: Path,
    path: Path,
    *,
    drop: Collection[int] = (),
    later: float = 0,
    last: float | None = None,
    muxing: Mapping[str, str] | None = None,
) -> Path:
    """Copy the packets of a video, without coding them anew.

    Args:
        source: what to copy.
        path: where to; the container follows from the suffix.
        drop: packets to leave out, in the order of sending.
        later: seconds by which all stamps are moved.
        last: seconds that the last picture is shown.
        muxing: options of the muxer.

    Returns:
        `path`.
    """
    with av.open(str(source)) as old, av.open(str(path), "w", options=dict(muxing or {})) as new:
        (stream,) = old.streams.video
        copy = new.add_stream_from_template(stream)
        packets = [packet for packet in old.demux(stream) if packet.size]
        end = max(packet.pts for packet in packets)
        ticks = round(later / stream.time_base)
        for number, packet in enumerate(packets):
            if number in drop:
                continue
            if last is not None and packet.pts == end:
                packet.duration = round(last / stream.time_base)
            packet.pts += ticks
            if packet.dts is not None:
                packet.dts += ticks
            packet.stream = copy
            new.mux(packet)
    return path


def find_packets(path: Path) -> list[int]:
    """Where each packet of the video begins in its file, in bytes."""
    with av.open(str(path)) as container:
        return [packet.pos for packet in container.demux(video=0) if packet.size]


def overwrite_video(source: Path, path: Path, *, start: int, size: int) -> Path:
    """Copy a file with noise in place of `size` bytes from byte `start` on."""
    data = bytearray(source.read_bytes())
    data[start : start + size] = np.random.default_rng(start).bytes(size)
    path.write_bytes(data)
    return path


def lose_packets(source: Path, path: Path, *, share: float, count: int) -> Path:
    """Copy an MPEG-TS without `count` of its packets of video, from share (0..1) on."""
    data = source.read_bytes()
    units = [data[place : place + 188] for place in range(0, len(data), 188)]
    pictures = [n for n, unit in enumerate(units) if unit[1] & 31 == 1 and unit[2] == 0]  # 0x100
    lost = [n for n in pictures if n >= len(units) * share][:count]
    path.write_bytes(b"".join(unit for n, unit in enumerate(units) if n not in lost))
    return path


def as_parts(*paths: str | Path, segment: Segment | None = None) -> list[VideoPart]:
    """What a dataset takes: whole videos, or the same segment of each."""
    return [VideoPart(path=str(path), segment=segment) for path in paths]


def decode_numbers(path: Path, decoder: DecoderChoice = "auto") -> tuple[str, list[int]]:
    """Decoder and numbers of all frames of a video. Here for worker processes to import."""
    from videoswin_cli.data.decoding.open import open_video

    with open_video(path, decoder=decoder) as video:
        images = video.read_frames(range(video.info.frames))
        return video.info.decoder, [read_number(image) for image in images]


class _Pipe:
    """A file that cannot be gone back in: its sizes are never known."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.name = str(path)

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def close(self) -> None:
        self._file.close()


def send_through_a_pipe(
    source: Path, path: Path, *, format: str, options: Mapping[str, str] | None = None
) -> Path:
    """Copy the packets of a video to a file whose muxer cannot go back in it."""
    pipe = _Pipe(path)
    with (
        av.open(str(source)) as old,
        av.open(pipe, "w", format=format, options=dict(options or {})) as new,
    ):
        copy = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    pipe.close()
    return path
