"""Completeness of files whose containers are chains of parts without a table of them.

A part that reaches beyond the end of the file proves that it was cut, and something else in the
place of a part that one is lost. A missing end mark proves nothing: live recordings, captures and
pieces have none. Where a stream without sizes stops inside a unit, or an end mark is missing that
every writer sets, that is a doubt, for people to judge.
"""

import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import FileIO

_PAGE = 4096  # bytes


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A file, and where its demuxer found the packets of the video stream."""

    file: "FileIO"  # unbuffered
    size: int  # bytes
    places: Sequence[int]  # in the file, in bytes; -1: not known
    sizes: Sequence[int]  # bytes

    @property
    def last(self) -> int:
        return max(self.places, default=-1)

    def read(self, place: int, count: int) -> bytes:
        self.file.seek(max(place, 0))
        return self.file.read(count)

    def map(self) -> mmap:
        return mmap(self.file.fileno(), 0, access=ACCESS_READ)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """End of a file, as its parts show it."""

    cut_off: bool = False  # proven
    holes: tuple[int, ...] = ()  # places in the file, in bytes, where a part is missing or broken
    doubt: str | None = None  # why the file may be truncated, where that cannot be proven


WHOLE, CUT = Ending(), Ending(cut_off=True)


def find_ending(kind: str, parts: Parts) -> Ending:
    """End of a file of FFmpeg's container `kind`, as its parts show it."""
    look = _LOOKS.get(kind)
    return look(parts) if look is not None else WHOLE


def _follow(parts: Parts, place: int, measure: Callable[[bytes], int], *, head: int) -> int:
    """End of a chain of parts: inside the file, at its end, or beyond it.

    Args:
        parts: the file.
        place: of the first part.
        measure: bytes of a part from its first `head` bytes, the head included; 0 where they are
            no head, which ends the chain.
        head: bytes that `measure` needs.
    """
    while 0 <= place < parts.size:
        length = measure(parts.read(place, head).ljust(head, b"\0"))
        if not length:
            break
        place += length
    return place


# --- FLV ------------------------------------------------------------------------------------------


def _look_at_flv(parts: Parts) -> Ending:
    """Tags: a head of 11 bytes, the data, and their length once more in 4 bytes.

    Source: Adobe Flash Video File Format Specification 10.1, annex E.
    """

    def measure(head: bytes) -> int:
        known = head[0] & 0xDF in (8, 9, 18) and head[8:] == b"\0\0\0"
        return 15 + int.from_bytes(head[1:4], "big") if known else 0

    holes: list[int] = []
    tags = sorted({place for place in parts.places if place > 0})
    place = tags[0] if tags else parts.size
    while True:
        place = _follow(parts, place, measure, head=11)
        if place > parts.size and place - parts.size != 4:  # which some recorders leave out
            return Ending(cut_off=True, holes=tuple(holes))
        following = bisect_right(tags, place)
        if following == len(tags):
            break
        holes.append(place)
        place = tags[following]
    doubt, stated = None, _read_flv_size(parts)
    if place < parts.size and not parts.read(parts.size - _PAGE, _PAGE).strip(b"\0"):
        doubt = "its end is zeros"
    elif stated > parts.size:  # as in pieces that a server sent of a longer file
        doubt = f"it has {parts.size:,} of the {stated:,.0f} bytes that its header declares"
    return Ending(holes=tuple(holes), doubt=doubt)


def _read_flv_size(parts: Parts) -> float:
    """Bytes of the whole file, as its first tag may say: a name, then a double."""
    head = parts.read(0, _PAGE)
    place = head.find(b"\0\x08filesize\0")
    number = head[place + 11 : place + 19]
    return struct.unpack(">d", number)[0] if place >= 0 and len(number) == 8 else 0.0


# --- ASF and WMV ----------------------------------------------------------------------------------

_ASF_FILE = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
_ASF_DATA = bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")
_ASF_INDEX = bytes.fromhex("90080033B1E5CF1189F400A0C90349CB")
_ASF_DATA_HEAD = 50  # bytes
_ASF_CORRECTION = b"\x82\0\0"  # with which the packets of most writers begin


def _look_at_asf(parts: Parts) -> Ending:
    """A data object of packets of one size, which a live stream does not know.

    Source: Advanced Systems Format Specification 01.20.06, 3.1, 3.2 and 5.1.
    """
    length = int.from_bytes(parts.read(16, 8), "little")
    header = parts.read(0, min(length, 1 << 20))
    properties = header.find(_ASF_FILE)
    data = parts.read(length, _ASF_DATA_HEAD) if length < parts.size else b""
    if properties < 0 or data[:16] != _ASF_DATA:
        return WHOLE
    flags, packet = (
        int.from_bytes(header[properties + at : properties + at + 4], "little") for at in (88, 92)
    )
    packets, live = int.from_bytes(data[40:48], "little"), bool(flags & 1)
    first = length + _ASF_DATA_HEAD
    there, rest = divmod(parts.size - first, max(packet, 1))
    if live:
        torn = rest and parts.read(parts.size - rest, 16) != _ASF_INDEX[:rest]
    else:
        torn = packets and length + int.from_bytes(data[16:24], "little") > parts.size
    count = there if live else min(there, packets)
    starts = range(first, first + packet * count, max(packet, 1))
    marked = parts.read(first, 3) == _ASF_CORRECTION
    broken = (place for place in starts if marked and parts.read(place, 3) != _ASF_CORRECTION)
    return Ending(cut_off=bool(torn), holes=tuple(broken))


# --- Ogg ------------------------------------------------------------------------------------------

_OGG_HEAD = 27  # bytes
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _look_at_ogg(parts: Parts) -> Ending:
    """Pages with a checksum; the last one of a stream says so. Source: RFC 3533, 6."""
    holes: list[int] = []
    place, ended = 0, False
    own, known = b"", set()  # streams: of the video, and all
    with parts.map() as content:
        while place < parts.size:
            end = _find_page_end(content, place)
            page = content[place : min(end, parts.size)]
            if end <= parts.size and _is_page_whole(page):
                ended = bool(page[5] & 4)
                known.add(page[14:18])
                own = page[14:18] if place <= parts.places[0] < end else own
                place = end
                continue
            following = content.find(b"OggS", place + 1)
            if following < 0 and (end > parts.size or b"OggS".startswith(page[:4])):
                return Ending(cut_off=True, holes=tuple(holes))
            if following < 0:
                break  # something else follows
            if page[14:18] not in known - {own}:
                holes.append(place)
            place = following
    doubt = None if ended else "its last page is not marked as the end"
    return Ending(holes=tuple(holes), doubt=doubt)


def _find_page_end(content: mmap, place: int) -> int:
    """Place behind the page at a place; behind its mark where there is none."""
    head = content[place : place + _OGG_HEAD]
    if len(head) < _OGG_HEAD or head[:4] != b"OggS":
        return place + 4
    start = place + _OGG_HEAD + head[26]
    return start + sum(content[place + _OGG_HEAD : start])


def _is_page_whole(page: bytes) -> bool:
    """Whether the checksum of a page is right: CRC-32 with its bits the other way round."""
    if len(page) < _OGG_HEAD:
        return False
    content = page[:22] + b"\0\0\0\0" + page[26:]
    found = zlib.crc32(content.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return found.to_bytes(4, "big").translate(_REVERSED) == page[22:26]


# --- GIF ------------------------------------------------------------------------------------------


def _look_at_gif(parts: Parts) -> Ending:
    """Blocks up to a trailer. Source: GIF89a Specification."""
    with parts.map() as content:
        place = 13 + _count_colors(content[10:11])
        while place < parts.size:
            kind = content[place]
            if kind == 0x3B:
                return WHOLE
            if kind == 0x21:
                place += 2
            elif kind == 0x2C:
                place += 10 + _count_colors(content[place + 9 : place + 10]) + 1
            elif kind == 0:  # decoders skip these
                place += 1
                continue
            else:
                return Ending(holes=(place,))
            while place < parts.size and content[place]:
                place += 1 + content[place]
            if place >= parts.size:
                return CUT
            place += 1
    return Ending(doubt="it has no trailer")


def _count_colors(flags: bytes) -> int:
    """Bytes of a table of colors."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


# --- MPEG -----------------------------------------------------------------------------------------

_TS_SIZES = (188, 192, 204)  # bytes of a packet
_TS_SAMPLE = 24  # packets
_PICTURE = 16 << 20  # bytes, at most


def _look_at_mpegts(parts: Parts) -> Ending:
    """Packets of one size, each with the mark 0x47. Captures begin and end anywhere.

    The last packet of a picture is filled up with stuffing. Source: ISO/IEC 13818-1, 2.4.3.
    """
    start = max(parts.size - _TS_SAMPLE * 204, 0)
    tail = parts.read(start, parts.size - start)
    grids = [
        (step, phase)
        for step in _TS_SIZES
        for phase in range(step)
        if set(tail[phase::step]) == {0x47} and len(tail) > 4 * step
    ]
    if not grids:
        return WHOLE if tail.strip(b"\0") else Ending(doubt="its end is zeros")
    step, phase = grids[0]
    # Of 192 bytes the first 4 stand before the mark.
    if (len(tail) - phase) % step != (188 if step == 192 else 0):
        return Ending(doubt=f"it ends inside a packet of {step} bytes")
    if _fills_last_packet(parts, start + phase, step):
        return Ending(doubt="it ends inside a picture")
    return WHOLE


def _fills_last_packet(parts: Parts, mark: int, step: int) -> bool:
    """Whether there is no stuffing at the end of the last picture.

    Of 184 whole pictures one fits by chance.
    """
    place = parts.last + (mark - parts.last) % step
    if parts.last < 0 or parts.size - place > _PICTURE:
        return False
    content = parts.read(place, parts.size - place)
    heads = [content[at : at + 4] for at in range(0, len(content) - 3, step)]
    own = [head for head in heads if (head[1] & 31, head[2]) == (heads[0][1] & 31, heads[0][2])]
    return own[-1][3] >> 4 & 3 == 1  # no field of adaptation


def _look_at_mpeg(parts: Parts) -> Ending:
    """Packs and packets, of which all but the head of a pack state their length.

    Source: ISO/IEC 13818-1, 2.5.3, and ISO/IEC 11172-1, 2.4.3.
    """

    def measure(head: bytes) -> int:
        if head[:3] != b"\0\0\1":
            return 0
        if head[3] == 0xBA:
            return 14 + (head[13] & 7) if head[4] >> 6 == 1 else 12
        return 6 + int.from_bytes(head[4:6], "big") if head[3] >= 0xBB else 0

    return CUT if _follow(parts, parts.last, measure, head=14) > parts.size else WHOLE


def _look_at_mpegvideo(parts: Parts) -> Ending:
    """Pictures of as many rows of slices. Source: ISO/IEC 13818-2, 6.2.4."""
    if len(parts.places) < 2 or min(parts.places[-2:]) < 0:
        return WHOLE
    before, last = map(parts.read, parts.places[-2:], parts.sizes[-2:])
    if before.count(b"\0\0\1\0") == last.count(b"\0\0\1\0") and _last_row(last) < _last_row(before):
        return Ending(doubt="its last picture lacks rows")
    return WHOLE


def _last_row(packet: bytes) -> int:
    codes = (unit[0] for unit in packet.split(b"\0\0\1")[1:] if unit)
    return max((code for code in codes if 1 <= code <= 0xAF), default=0)


# --- MXF, NUT, RealMedia, frames of one size ------------------------------------------------------

_MXF_KEY = bytes.fromhex("060E2B34")
_MXF_HEADER = bytes.fromhex("060E2B34020501010D0102010102")
_NUT_INDEX = bytes.fromhex("4E58DD672F23E64E")
_RM_DATA_HEAD = 18  # bytes


def _look_at_mxf(parts: Parts) -> Ending:
    """Triples of a key, a length and a value. Source: SMPTE ST 336; ST 377-1 for the footer."""
    head = parts.read(0, 1 << 16)
    pack = head.find(_MXF_HEADER)
    if pack >= 0:
        value = pack + _value_at(head[pack : pack + 17])
        if int.from_bytes(head[value + 24 : value + 32], "big") >= parts.size:
            return CUT

    def measure(start: bytes) -> int:
        if not start.startswith(_MXF_KEY):
            return 0
        value = _value_at(start)
        return value + int.from_bytes(start[17:value] or start[16:17], "big")

    return CUT if _follow(parts, parts.last, measure, head=26) > parts.size else WHOLE


def _value_at(start: bytes) -> int:
    """Bytes of a key and its length."""
    return 17 + (start[16] & 0x7F if start[16:] and start[16] & 0x80 else 0)


def _look_at_nut(parts: Parts) -> Ending:
    """An index at the end, whose own length is the last number in it. Source: FFmpeg's nut.txt."""
    index = parts.size - int.from_bytes(parts.read(parts.size - 12, 8), "big")
    if 0 < index < parts.size and parts.read(index, 8) == _NUT_INDEX:
        return WHOLE
    return Ending(doubt="it has no index at its end")


def _look_at_rm(parts: Parts) -> Ending:
    """Chunks: a kind and a length of 4 bytes each."""

    def measure(head: bytes) -> int:
        return int.from_bytes(head[4:8], "big") if head[:4].strip(b".").isalpha() else 0

    # FFmpeg counts more of the head of the chunk of data than there is.
    beyond = _follow(parts, 0, measure, head=8) > parts.size + _RM_DATA_HEAD
    return CUT if beyond else WHOLE


def _look_at_equal_frames(parts: Parts) -> Ending:
    """Frames of one size up to the end, where the next one would begin as the first one does."""
    if not parts.places or parts.places[-1] < 0 or len({*parts.sizes}) > 1:
        return WHOLE
    first = parts.places[0]
    mark = parts.read(first - 6, 6) if first else parts.read(0, 6)
    rest = parts.read(parts.places[-1] + parts.sizes[-1], 3)
    return CUT if rest and mark.startswith(rest) else WHOLE


_LOOKS: dict[str, Callable[[Parts], Ending]] = {
    "asf": _look_at_asf,
    "dv": _look_at_equal_frames,
    "flv": _look_at_flv,
    "gif": _look_at_gif,
    "mpeg": _look_at_mpeg,
    "mpegts": _look_at_mpegts,
    "mpegvideo": _look_at_mpegvideo,
    "mxf": _look_at_mxf,
    "nut": _look_at_nut,
    "ogg": _look_at_ogg,
    "rm": _look_at_rm,
    "yuv4mpegpipe": _look_at_equal_frames,
}
