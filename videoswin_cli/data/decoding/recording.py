"""A stream kept in a file: its packets as they are, nothing is encoded again."""

from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.io.atomic import atomic_write, check_writable, is_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from av import Packet
    from av.stream import Stream

_FORMATS = {".ts": "mpegts", ".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}


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
    """The first of NAME.ts, NAME-2.ts, NAME-3.ts, ... that is free."""
    numbered = (path.with_stem(f"{path.stem}-{number}") for number in count(2))
    return next(name for name in chain([path], numbered) if not name.exists())


@contextmanager
def open_recording(
    path: Path, streams: "Sequence[Stream]"
) -> "Iterator[Callable[[Packet[Any]], None]]":
    """A function that keeps a packet; the file has its name when the block ends.

    Meanwhile it is `NAME.PID.part`, which stays where the process is killed. Packets before the
    first key frame are left out, and times begin at 0.

    Raises:
        VideoSwinError: the file cannot be written, or its format does not take such a stream.
    """
    import av

    with atomic_write(path, keep=True) as part:
        try:
            with av.open(str(part), "w", format=_FORMATS[path.suffix.lower()]) as container:
                copies = {
                    stream.index: container.add_stream_from_template(stream) for stream in streams
                }
                yield _Writer(container, copies, video=streams[0].index).write
        except av.error.FFmpegError as error:
            raise VideoSwinError(
                f"cannot record to {path}: {error.strerror}",
                hint="another suffix may take this stream: .mkv takes most; or the disk is full",
            ) from error


class _Writer:
    def __init__(self, container: Any, copies: "dict[int, Any]", *, video: int) -> None:
        self._container = container
        self._copies = copies
        self._video = video
        self._begin: Any = None  # seconds, a fraction

    def write(self, packet: "Packet[Any]") -> None:
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None or packet.pts is None:
            return  # no place in a file
        if self._begin is None:
            if packet.stream.index != self._video or not packet.is_keyframe:
                return
            self._begin = stamp * packet.time_base
        shift = round(self._begin / packet.time_base)
        if stamp < shift:
            return  # sound of before
        packet.pts -= shift
        if packet.dts is not None:
            packet.dts -= shift
        packet.stream = self._copies[packet.stream.index]
        self._container.mux(packet)
