"""How a file ends, where its container is a chain of parts with stated sizes, or has an end mark.

A part that reaches beyond the end of the file proves that it was cut. A missing end mark proves
nothing: live recordings, captures and pieces have none. Where the file stops inside a unit of a
stream without sizes, or an end mark is missing that every writer sets, that is a doubt to be told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import FileIO


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What the last bytes of a file tell."""

    cut_off: bool = False  # proven
    doubt: str | None = None  # why it may be cut off, where that cannot be proven


WHOLE, CUT = Ending(), Ending(cut_off=True)
_ZEROS = 4096  # bytes: a download that was not ended, into a file made at full length

Look = Callable[["FileIO", int, Sequence[int], Sequence[int]], Ending]


def find_ending(
    kind: str, file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]
) -> Ending:
    """How a file of `size` bytes ends.

    Args:
        kind: FFmpeg's name of the container.
        file: opened for reading, unbuffered.
        size: of the file in bytes.
        places: of the packets of the video stream in the file, -1 where it is not known.
        sizes: of these packets in bytes.
    """
    look = _LOOKS.get(kind)
    return look(file, size, places, sizes) if look is not None else WHOLE


def _read(file: "FileIO", place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _ends_inside(
    file: "FileIO", size: int, place: int, measure: Callable[[bytes], int], *, head: int
) -> bool:
    """Whether a chain of parts reaches beyond the end of the file.

    Args:
        file: the file.
        size: of the file in bytes.
        place: of a part.
        measure: bytes of a part from its first `head` bytes, the head included; 0 where they are
            no head, which ends the chain.
        head: bytes that `measure` needs.
    """
    while 0 <= place < size:
        start = _read(file, place, head)
        length = measure(start.ljust(head, b"\0"))
        if not length:
            return False
        place += length
    return place > size


def _look_at_zeros(tail: bytes) -> Ending:
    """What a tail means that holds something else than the parts of its container."""
    return WHOLE if tail.strip(b"\0") else Ending(doubt="its end is zeros")


# --- FLV ------------------------------------------------------------------------------------------


def _look_at_flv(file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]) -> Ending:
    """Tags: a head of 11 bytes, the data, and their length once more in 4 bytes.

    Source: Adobe Flash Video File Format Specification 10.1, annex E.
    """

    def measure(head: bytes) -> int:
        known = head[0] & 0xDF in (8, 9, 18) and head[8:] == b"\0\0\0"
        return 15 + int.from_bytes(head[1:4], "big") if known else 0

    # Some recorders leave out the last 4 bytes.
    if _ends_inside(file, size + 4, max(places, default=-1), measure, head=11):
        return CUT
    return _look_at_zeros(_read(file, max(size - _ZEROS, 0), _ZEROS))


# --- ASF and WMV ----------------------------------------------------------------------------------

_ASF_FILE = bytes.fromhex("A1DCAB8C47A9CF118EE400C00C205365")
_ASF_DATA = bytes.fromhex("3626B2758E66CF11A6D900AA0062CE6C")
_ASF_INDEX = bytes.fromhex("90080033B1E5CF1189F400A0C90349CB")
_ASF_DATA_HEAD = 50  # bytes


def _look_at_asf(file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]) -> Ending:
    """A data object of packets of one size, which a live stream does not know.

    Source: Advanced Systems Format Specification 01.20.06, 3.1, 3.2 and 5.1.
    """
    header = _read(file, 0, 30)
    length = int.from_bytes(header[16:24], "little")
    content = _read(file, 0, min(length, 1 << 20))
    properties = content.find(_ASF_FILE)
    data = _read(file, length, _ASF_DATA_HEAD)
    if properties < 0 or data[:16] != _ASF_DATA:
        return WHOLE
    flags, packet = (
        int.from_bytes(content[properties + at : properties + at + 4], "little") for at in (88, 92)
    )
    packets = int.from_bytes(data[40:48], "little")
    live = bool(flags & 1)
    if not live and packets and length + int.from_bytes(data[16:24], "little") > size:
        return CUT
    rest = (size - length - _ASF_DATA_HEAD) % packet if packet else 0
    if live and rest and _read(file, size - rest, 16) != _ASF_INDEX[:rest]:
        return CUT
    return WHOLE


# --- Ogg ------------------------------------------------------------------------------------------

_OGG_PAGE = 27 + 255 + 255 * 255  # bytes, at most


def _look_at_ogg(file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]) -> Ending:
    """Pages; the last one of a stream says so. Source: RFC 3533, 6."""
    tail = _read(file, max(size - 2 * _OGG_PAGE, 0), 2 * _OGG_PAGE)
    place, ended = tail.find(b"OggS"), False
    while place >= 0:
        segments = tail[place + 26 : place + 27]
        table = tail[place + 27 : place + 27 + segments[0]] if segments else b""
        if not segments or len(table) < segments[0]:
            return CUT
        ended = ended or bool(tail[place + 5] & 4)
        end = place + 27 + len(table) + sum(table)
        if end > len(tail):
            following = tail.find(b"OggS", place + 4)
            if following < 0:
                return CUT
            place = following  # the first one was found inside a page
            continue
        place = tail.find(b"OggS", end)
    return WHOLE if ended else Ending(doubt="its last page is not marked as the end")


# --- GIF ------------------------------------------------------------------------------------------


def _look_at_gif(file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]) -> Ending:
    """Blocks from the last picture on, up to a trailer. Source: GIF89a Specification."""
    place = max(places, default=-1)
    if place < 0:
        return WHOLE
    tail = _read(file, place, size - place)
    place = 0
    if tail[:3] == b"GIF":
        place = 13 + _count_colours(tail[10:11])
    while place < len(tail):
        kind = tail[place]
        if kind == 0x3B:
            return WHOLE
        if kind == 0x21:
            place += 2
        elif kind == 0x2C:
            place += 10 + _count_colours(tail[place + 9 : place + 10]) + 1
        else:
            return WHOLE  # something else follows
        while place < len(tail) and tail[place]:
            place += 1 + tail[place]
        if place >= len(tail):
            return CUT
        place += 1
    return Ending(doubt="it has no trailer")


def _count_colours(flags: bytes) -> int:
    """Bytes of a table of colours."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


# --- MPEG -----------------------------------------------------------------------------------------

_TS_SIZES = (188, 192, 204)  # bytes of a packet
_TS_SAMPLE = 24  # packets


def _look_at_mpegts(
    file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]
) -> Ending:
    """Packets of one size, each with the mark 0x47. Captures begin and end anywhere.

    The last packet of a picture is filled up with stuffing. Source: ISO/IEC 13818-1, 2.4.3.
    """
    start = max(size - _TS_SAMPLE * 204, 0)
    tail = _read(file, start, _TS_SAMPLE * 204)
    found = [
        (step, phase)
        for step in _TS_SIZES
        for phase in range(step)
        if set(tail[phase::step]) == {0x47} and len(tail) > 4 * step
    ]
    if not found:
        return _look_at_zeros(tail)
    step, phase = found[0]
    # Of 192 bytes the first 4 stand before the mark.
    left = (len(tail) - phase) % step
    if left != (188 if step == 192 else 0):
        return Ending(doubt=f"it ends inside a packet of {step} bytes")
    if _fills_last_packet(file, size, max(places, default=-1), (start + phase) % step, step):
        return Ending(doubt="it ends inside a picture")
    return WHOLE


def _fills_last_packet(file: "FileIO", size: int, place: int, phase: int, step: int) -> bool:
    """Whether there is no stuffing at the end of the picture that begins in the packet at a place.

    (Of 184 pictures one fits by chance.)
    """
    if place < 0:
        return False
    content = _read(file, place - (place - phase) % step, size - place + step)
    marks = range(0, len(content) - 3, step)
    stream = (content[1] & 31, content[2])
    own = [at for at in marks if (content[at + 1] & 31, content[at + 2]) == stream]
    return bool(own) and content[own[-1] + 3] >> 4 & 3 == 1  # no field of adaptation


def _look_at_mpeg(file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]) -> Ending:
    """Packs and packets, of which all but the head of a pack state their length.

    Source: ISO/IEC 13818-1, 2.5.3, and ISO/IEC 11172-1, 2.4.3.
    """

    def measure(head: bytes) -> int:
        if head[:3] != b"\0\0\1":
            return 0
        if head[3] == 0xBA:
            return 14 + (head[13] & 7) if head[4] >> 6 == 1 else 12
        return 6 + int.from_bytes(head[4:6], "big") if head[3] >= 0xBB else 0

    return CUT if _ends_inside(file, size, max(places, default=-1), measure, head=14) else WHOLE


def _look_at_mpegvideo(
    file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]
) -> Ending:
    """Pictures of as many rows of slices. Source: ISO/IEC 13818-2, 6.2.4."""
    if len(places) < 2 or min(places[-2:]) < 0:
        return WHOLE
    before, last = (
        _read(file, place, length) for place, length in zip(places[-2:], sizes[-2:], strict=True)
    )
    if before.count(b"\0\0\1\0") == last.count(b"\0\0\1\0") and _last_row(last) < _last_row(before):
        return Ending(doubt="its last picture lacks rows")
    return WHOLE


def _last_row(packet: bytes) -> int:
    codes = (unit[0] for unit in packet.split(b"\0\0\1")[1:] if unit)
    return max((code for code in codes if 1 <= code <= 0xAF), default=0)


# --- MXF, NUT, RealMedia, pictures of one size ----------------------------------------------------

_RM_DATA_HEAD = 18  # bytes
_MXF_KEY = b"\x06\x0e\x2b\x34"


def _look_at_mxf(file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]) -> Ending:
    """Triples of a key, a length and a value. Source: SMPTE ST 336, 377-1."""
    head = _read(file, 0, 1 << 16)
    pack = head.find(b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02")
    if pack >= 0:
        value = pack + 17 + (head[pack + 16] & 0x7F if head[pack + 16] & 0x80 else 0)
        footer = int.from_bytes(head[value + 24 : value + 32], "big")
        if footer >= size:
            return CUT

    def measure(start: bytes) -> int:
        if start[:4] != _MXF_KEY:
            return 0
        more = start[16] & 0x7F if start[16] & 0x80 else 0
        length = int.from_bytes(start[17 : 17 + more], "big") if more else start[16]
        return 17 + more + length

    return CUT if _ends_inside(file, size, max(places, default=-1), measure, head=26) else WHOLE


def _look_at_nut(file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]) -> Ending:
    """An index at the end, whose own length is the last number in it. Source: FFmpeg's nut.txt."""
    tail = _read(file, max(size - 12, 0), 8)
    index = size - int.from_bytes(tail, "big")
    if 0 < index < size and _read(file, index, 8) == bytes.fromhex("4E58DD672F23E64E"):
        return WHOLE
    return Ending(doubt="it has no index at its end")


def _look_at_rm(file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]) -> Ending:
    """Chunks: a kind and a length of 4 bytes each."""

    def measure(head: bytes) -> int:
        return int.from_bytes(head[4:8], "big") if head[:4].strip(b".").isalpha() else 0

    # FFmpeg counts more of the head of the chunk of data than there is.
    return CUT if _ends_inside(file, size + _RM_DATA_HEAD, 0, measure, head=8) else WHOLE


def _look_at_equal_frames(
    file: "FileIO", size: int, places: Sequence[int], sizes: Sequence[int]
) -> Ending:
    """Frames of one size up to the end."""
    if not places or places[-1] < 0 or len({*sizes}) > 1:
        return WHOLE
    end = places[-1] + sizes[-1]
    rest, first = _read(file, end, 6), _read(file, max(places[0] - 6, 0), 6)
    if places[0] == 0:
        first = _read(file, 0, 6)
    return CUT if rest and first.startswith(rest[:3]) else WHOLE


_LOOKS: dict[str, Look] = {
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
