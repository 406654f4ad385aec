"""A stream kept in a file: its packets as they are, nothing is encoded again."""

from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.io.atomic import atomic_write, check_writable, is_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from av import Packet
    from av.stream import Stream


_TICK = Fraction(1, 1_000_000)  # s
_FORMATS = {".ts": "mpegts", ".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}


class NothingRecordedError(Exception):
    """No packet came that a file could begin with: there is none."""


def check_recording(path: Path) -> None:
    """Raises UsageError for a file that cannot be recorded to, before a stream is opened."""
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(
            f"--record {path}: unknown suffix {path.suffix!r}", hint=f"use {', '.join(_FORMATS)}"
        )
    if is_stream(path):
        raise UsageError(f"--record {path}: a pipe, socket or device", hint="give a file")
    check_writable(path)


def next_name(path: Path) -> Path:
    """The first of NAME.ts, NAME-2.ts, NAME-3.ts, ... that is free, or an empty file."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(name for name in chain([path], numbered) if _is_free(name))


def _is_free(path: Path) -> bool:
    return not path.exists() or (path.is_file() and not path.stat().st_size)


@contextmanager
def open_recording(
    path: Path, streams: "Sequence[Stream]"
) -> "Iterator[Callable[[Packet[Any], float | None], None]]":
    """A function that keeps a packet; its second argument is the arrival of one without stamps.

    The file has its name when the block ends. Meanwhile it is `NAME.PID.part`, which stays where
    the process is killed. Packets before the first key frame are left out, and times begin at 0.

    Raises:
        VideoSwinError: the file cannot be written, or its format does not take such a stream.
        NothingRecordedError: no packet was kept; nothing is left of the file.
    """
    import av

    format = _FORMATS[path.suffix.lower()]
    with atomic_write(path, keep=True) as part:
        with _explained(path), av.open(str(part), "w", format=format) as container:
            copies = {each.index: container.add_stream_from_template(each) for each in streams}
            writer = _Writer(path, container, copies, video=streams[0].index)
            yield writer.write
        if not writer.written:
            part.unlink()  # a header at most
            raise NothingRecordedError


@contextmanager
def _explained(path: Path) -> "Iterator[None]":
    import av

    try:
        yield
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoSwinError(
            f"cannot record to {path}: {getattr(error, 'strerror', None) or error}",
            hint="another suffix may take this stream: .mkv takes most; or the disk is full",
        ) from error


class _Writer:
    def __init__(self, path: Path, container: Any, copies: "dict[int, Any]", *, video: int) -> None:
        self._path = path
        self._container = container
        self._copies = copies
        self._video = video
        self._begin: Fraction | None = None  # s
        self._last: dict[int, int] = {}  # decode stamp of each stream
        self.written = 0  # packets

    def write(self, packet: "Packet[Any]", arrived: float | None) -> None:
        """Write a packet, which is changed by that."""
        if arrived is not None:
            packet.time_base = _TICK
            packet.pts = packet.dts = round(arrived / _TICK)
        if packet.pts is None:
            return  # no place in a file
        stamp, index = packet.pts if packet.dts is None else packet.dts, packet.stream.index
        if self._begin is None:
            if index != self._video or not packet.is_keyframe:
                return
            self._begin = stamp * packet.time_base
        shift = round(self._begin / packet.time_base)
        if stamp < shift and index != self._video:
            return  # sound of before
        # Muxers refuse a stamp that is not above the last one; some cameras repeat or swap them.
        packet.dts = max(stamp - shift, self._last.get(index, -1) + 1)
        packet.pts = max(packet.pts - shift, packet.dts)
        self._last[index] = packet.dts
        packet.stream = self._copies[index]
        with _explained(self._path):
            self._container.mux(packet)
        self.written += 1
