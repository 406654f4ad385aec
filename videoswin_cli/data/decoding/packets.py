"""The packets of one video stream, in the order in which they are sent.

Frames are numbered by them, and the PyAV reader decodes from them. A file that is small enough is
read once: its packets are kept as they are, compressed.
"""

from array import array
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from videoswin_cli.data.decoding.container import decode_packet, open_container
from videoswin_cli.data.decoding.random_access import Access, PacketKind, make_inspector
from videoswin_cli.io.range_file import RangeFile
from videoswin_cli.options.run import MAX_PIXELS

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

_HELD_BYTES = 256 << 20  # of a file whose packets are kept instead of being read twice


class PacketFacts(NamedTuple):
    """Facts of one packet without its data. Time stamps are in ticks of the stream."""

    pts: int | None
    dts: int | None
    duration: int  # 0: not known
    key: bool  # says the container
    access: Access  # says the bitstream
    shown: bool  # likewise
    recovery_frames: int  # likewise; -1: nothing is said of it
    looks_back: bool  # likewise
    corrupt: bool  # says the demuxer
    discard: bool  # cut off by an edit list


@dataclass
class Scan:
    """All packets of a stream, and the first picture that they give."""

    facts: list[PacketFacts] = field(default_factory=list)
    first: "VideoFrame | None" = None
    broken_off: bool = False  # the demuxer met an error in place of the next packet


class PacketSource:
    """An opened file whose packets can be read several times, from any of them on."""

    container: "InputContainer"
    stream: "VideoStream"  # decode with its context: it is another one after `read_from`

    def __init__(
        self,
        path: str | Path,
        stream: int | None,
        max_pixels: int,
        stack: ExitStack,
        file: RangeFile | None = None,
    ) -> None:
        """A file by its path; where its bytes are elsewhere, `file` reads them."""
        self.path = str(path)
        self._file = file
        self._wanted = stream
        self._max_pixels = max_pixels
        self._stack = stack
        self._held: list[Packet[VideoStream]] | None = None
        self.places = array("q")  # of each packet in the file, -1 where it is not known
        self.sizes = array("q")
        self._seek_stamps = array("q")
        self._open()

    def _open(self) -> None:
        self._stack.close()
        self.container, self.stream = self._stack.enter_context(
            open_container(
                self.path, stream=self._wanted, max_pixels=self._max_pixels, file=self._file
            )
        )

    def open_bytes(self) -> "AbstractContextManager[BinaryIO | RangeFile]":
        """The bytes of the file, unbuffered."""
        return self._file or Path(self.path).open("rb", buffering=0)

    def scan(self) -> Scan:
        """Read all packets, and decode until the first picture."""
        import av

        inspect = make_inspector(self.stream)
        small = Path(self.path).stat().st_size <= _HELD_BYTES
        held: list[Packet[VideoStream]] = []
        scan = Scan()
        try:
            for packet in self.container.demux(self.stream):
                if packet.size == 0:  # the end, or a slot of an AVI in which nothing changes
                    continue
                scan.facts.append(describe_packet(packet, inspect(packet)))
                self.note(packet)
                if small:
                    held.append(packet)
                if scan.first is None:
                    scan.first = next(filter(None, decode_packet(self.stream, packet)), None)
        except av.error.FFmpegError:  # the rest of the file is missing
            scan.broken_off = True
        if scan.first is None and scan.facts:
            scan.first = next(filter(None, decode_packet(self.stream, None)), None)
        self._held = held if small else None
        return scan

    def note(self, packet: "Packet[VideoStream]") -> None:
        """Keep where the next packet is, and how it is sought."""
        self.places.append(-1 if packet.pos is None else packet.pos)
        self.sizes.append(packet.size)
        self._seek_stamps.append(_choose_seek_stamp(self.container, packet))

    def release(self) -> None:
        """Drop the packets that are kept; they are read again when they are wanted."""
        self._held = None

    def read_from(self, start: int) -> "Iterator[tuple[int, Packet[VideoStream]]]":
        """Packets and their numbers, from number `start` on."""
        if self._held is not None:
            return enumerate(self._held[start:], start)
        found = self._seek(start) if start else None
        if found is None:
            self._open()  # a seek to time 0 is no way to the start where stamps start over
            found = self._demux()
        return ((number, packet) for number, packet in found if number >= start)

    def _seek(self, start: int) -> "Iterator[tuple[int, Packet[VideoStream]]] | None":
        """Packets from `start` or before; None where the seek ends behind it or nowhere known."""
        import av

        try:
            self.container.seek(self._seek_stamps[start], stream=self.stream)
            first = next(self.container.demux(self.stream), None)
        except av.error.FFmpegError:
            return None
        if first is None or not first.pos or first.pos not in self.places:
            return None
        landed = self.places.index(first.pos)
        if landed > start or self.sizes[landed] != first.size:
            return None
        return self._continue(first, landed)

    def _continue(
        self, first: "Packet[VideoStream]", landed: int
    ) -> "Iterator[tuple[int, Packet[VideoStream]]]":
        yield landed, first
        for number, packet in self._demux(landed + 1):
            if packet.size != self.sizes[number]:
                return  # not the packets that were counted
            yield number, packet

    def _demux(self, number: int = 0) -> "Iterator[tuple[int, Packet[VideoStream]]]":
        import av

        packets = (packet for packet in self.container.demux(self.stream) if packet.size)
        try:
            yield from zip(count(number), packets)
        except av.error.FFmpegError:
            return  # the file ends here; the decoder still holds frames back


@contextmanager
def open_packets(
    path: str | Path, *, stream: int | None = None, max_pixels: int = MAX_PIXELS
) -> Iterator[PacketSource]:
    """An opened file. Arguments and errors are those of `open_container`."""
    with ExitStack() as stack:
        yield PacketSource(path, stream, max_pixels, stack)


def describe_packet(packet: "Packet[VideoStream]", kind: PacketKind) -> PacketFacts:
    """Facts of a packet, as its container and its bits tell."""
    return PacketFacts(
        packet.pts,
        packet.dts,
        packet.duration or 0,
        packet.is_keyframe,
        kind.access,
        kind.shown,
        kind.recovery_frames,
        kind.looks_back,
        packet.is_corrupt,
        packet.is_discard,
    )


def _choose_seek_stamp(container: "InputContainer", packet: "Packet[VideoStream]") -> int:
    # mp4 and Matroska are sought by presentation time, the others by decode time: MPEG-TS, say,
    # would land behind the packet.
    stamps = [stamp for stamp in (packet.pts, packet.dts) if stamp is not None]
    known = container.format.name.startswith(("mov,", "matroska,"))
    return 0 if not stamps else stamps[0] if known else min(stamps)
