"""Few frames of a long mp4 behind an address, without the rest of it.

The table of samples says where each packet is, and when it is shown; so the demuxer numbers all
frames of a file whose samples are zeros, and only the packets are fetched that the wanted frames
need. What their bits would say of the others is assumed: that decoding can start at sync samples,
and that each sample is a picture. Where anything speaks against that, `WholeFileError` sends the
caller to the whole file.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, cast

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.data.decoding.container import decode_packet, name_codec
from videoswin_cli.data.decoding.frame_index import index_frames
from videoswin_cli.data.decoding.open import Video
from videoswin_cli.data.decoding.packets import PacketFacts, PacketSource, Scan, describe_packet
from videoswin_cli.data.decoding.pyav_reader import PyAvReader
from videoswin_cli.data.decoding.random_access import Access, PacketKind, make_inspector
from videoswin_cli.io.addresses import is_url, is_web
from videoswin_cli.io.range_file import RangeFile
from videoswin_cli.io.remote import find_copy, look_up_again
from videoswin_cli.io.storage import look_up, read_range
from videoswin_cli.io.web_objects import look_up_web, read_web_range
from videoswin_cli.options.run import OpenOptions

if TYPE_CHECKING:
    from av import Packet, VideoStream

LEAST_BYTES = 16 << 20  # of a file: a smaller one is fetched as fast as its parts
BLOCK_BYTES = 512 << 10  # that are fetched at once
MOST_OF_FILE = 0.5  # of its bytes; who needs more fetches it all

_CODECS = ("h264", "hevc")  # whose samples are one picture each, by ISO/IEC 14496-15
_SMALLEST_PICTURE = 128  # bytes; a smaller sample may hold none, so it is looked at
_MOST_LOOKS = 64  # requests for such samples; with more the whole file is there as fast
_SYNC = PacketKind(Access.CLOSED, recovery_frames=0)
_OTHER = PacketKind()


class WholeFileError(Exception):
    """The file cannot be read in part; the message says why."""


@contextmanager
def open_in_part(ref: str, options: OpenOptions) -> Iterator[Video]:
    """A video of which few frames are read.

    Raises:
        WholeFileError: it is no long mp4 behind an address whose server has ranges, there is a
            local copy of it, or its samples are not what they seem.
        VideoError, FetchError: the same as those of the whole file, or not: ask that.
    """
    path = Path(ref.partition("?")[0]) if is_web(ref) else Path(ref)
    if not is_url(ref) or path.suffix.lower() not in (".mp4", ".mov", ".m4v"):
        raise WholeFileError("no mp4 behind an address")
    if options.decoder == "decord" or options.allow_truncated or find_copy(ref) is not None:
        raise WholeFileError("the whole file is here, or wanted")
    stored = look_up_web(ref) if is_web(ref) else look_up_again(ref)
    if stored is None or stored.size < LEAST_BYTES:
        raise WholeFileError("small, or without ranges")
    fetch = partial(read_web_range, ref, stored=stored) if is_web(ref) else partial(read_range, ref)
    file = RangeFile(fetch, stored.size, block=BLOCK_BYTES, budget=int(stored.size * MOST_OF_FILE))
    file.holes = tuple(_find_samples(file))
    with ExitStack() as stack:
        source = _PartSource(ref, options.stream, options.max_pixels, stack, file)
        index = index_frames(source)
        if index.lossy or index.clock.counted or index.clock.joins or index.clock.headless:
            raise WholeFileError("its packets are not in order")
        video = Video(index, PyAvReader(index, source))
        video.path = hide_credentials(ref)
        yield video
    if not is_web(ref) and look_up(ref) != stored:  # of a web server each answer said so
        raise WholeFileError("it was replaced meanwhile")


def _find_samples(file: RangeFile) -> Iterator[range]:
    """Places of the media data of an mp4 that has one table of samples.

    Raises:
        WholeFileError: it is fragmented, or something else.
    """
    place, kinds = 0, set()
    while place + 8 <= file.size:
        file.seek(place)
        header = file.read(16)
        length, kind, head = int.from_bytes(header[:4], "big"), header[4:8], 8
        if length == 1:
            length, head = int.from_bytes(header[8:16], "big"), 16
        elif length == 0:
            length = file.size - place
        if length < head or place + length > file.size or not kind.isalnum():
            raise WholeFileError(f"no box at byte {place}")
        kinds.add(kind)
        if kind == b"mdat":
            yield range(place + head, place + length)
        place += length
    if b"moof" in kinds or not kinds >= {b"ftyp", b"moov", b"mdat"}:
        raise WholeFileError("no mp4 with one table of samples")


class _PartSource(PacketSource):
    """Packets of a file that is here in part."""

    def __init__(
        self, ref: str, stream: int | None, max_pixels: int, stack: ExitStack, file: RangeFile
    ) -> None:
        self._ranges = file
        super().__init__(ref, stream, max_pixels, stack, file=file)

    def scan(self) -> Scan:
        """All packets by the table of samples, of which those at the start are real."""
        if name_codec(self.stream) not in _CODECS:
            raise WholeFileError(f"{name_codec(self.stream)} samples")
        inspect, scan = make_inspector(self.stream), Scan()
        # Packets themselves say what FFmpeg's parser saw, which is nothing in zeros.
        sync = {entry.pos for entry in self.stream.index_entries if entry.is_keyframe}
        self._check_small()
        for packet in self.container.demux(self.stream):
            if packet.size == 0:
                continue
            key = packet.pos in sync
            kind = self._judge(packet, key, inspect(packet) if scan.first is None else None)
            scan.facts.append(describe_packet(packet, kind)._replace(key=key))
            self.note(packet)
            if scan.first is None:
                scan.first = next(filter(None, decode_packet(self.stream, packet)), None)
                self._ranges.hollow = scan.first is not None
        self._ranges.hollow = False
        self._check(scan.facts)
        self._open()  # what it has buffered is zeros
        return scan

    def read_from(self, start: int) -> "Iterator[tuple[int, Packet[VideoStream]]]":
        """Packets and their numbers; each is what it was taken for."""
        inspect = make_inspector(self.stream)
        for number, packet in super().read_from(start):
            kind = inspect(packet)
            if not kind.shown or (number == start and not kind.access):
                raise WholeFileError(f"packet {number} is not what the table of samples says")
            yield number, packet

    def _judge(
        self, packet: "Packet[VideoStream]", key: bool, real: PacketKind | None
    ) -> PacketKind:
        if real is not None:
            if not real.shown or (key and not real.access):
                raise WholeFileError("its first samples are no pictures, or no sync samples")
            return real
        return _SYNC if key else _OTHER

    def _check_small(self) -> None:
        """Raises WholeFileError unless the samples that are too small for a picture hold one."""
        import av

        entries = self.stream.index_entries
        small = {e.pos: e.size for e in entries if 0 < e.size < _SMALLEST_PICTURE}
        groups: list[list[int]] = []
        for place in sorted(small):
            if groups and place - groups[-1][0] < BLOCK_BYTES // 8:
                groups[-1].append(place)
            else:
                groups.append([place])
        if len(groups) > _MOST_LOOKS:
            raise WholeFileError("many small samples")
        inspect = make_inspector(self.stream)
        for group in groups:
            start, end = group[0], group[-1] + small[group[-1]]
            data = self._ranges.peek(start, end)
            for place in group:
                sample = data[place - start : place - start + small[place]]
                if not inspect(cast("Packet[VideoStream]", av.Packet(sample))).shown:
                    raise WholeFileError("a sample without a picture")

    def _check(self, facts: list[PacketFacts]) -> None:
        """Raises WholeFileError where the order of the stamps is open to doubt."""
        if not facts or facts[0].access is not Access.CLOSED:
            raise WholeFileError("decoding cannot start at its first sample")
        if any(fact.pts is None or fact.corrupt for fact in facts):
            raise WholeFileError("a sample without a time")
        latest = accumulate((fact.pts or 0 for fact in facts), max)
        if any(
            fact.key and (fact.pts or 0) < last for fact, last in zip(facts, latest, strict=True)
        ):
            raise WholeFileError("pictures before a sync sample are shown after it")
