"""Classification of packets by their bits: can decoding start here, is a picture shown?

Containers mark packets as key frames that are none: files without a table of key frames, periodic
intra refresh, muxers that mark everything. What is believed here stands in the coded picture
itself. A codec that is not known here has no such packets, and is decoded from its first one.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from av import Packet, VideoStream


class Access(IntEnum):
    """Random access at a packet: how far decoding can start there."""

    NONE = 0
    OPEN = 1  # from here on, without the frames that are sent after it and shown before it
    CLOSED = 2  # all that is sent from here on


class PacketKind(NamedTuple):
    """Kind of one packet, by its bits."""

    access: Access = Access.NONE
    shown: bool = True  # False: it holds no picture, or one that is never shown
    recovery_frames: int = -1  # frames until the picture is whole again; -1: nothing is said of it
    looks_back: bool = False  # after an open access it may need a picture from before


Inspect = Callable[[memoryview], PacketKind]

_HIDDEN = PacketKind(shown=False)
_PICTURE = PacketKind()
_BACK = PacketKind(looks_back=True)
_OPEN = PacketKind(Access.OPEN, recovery_frames=0)
_CLOSED = PacketKind(Access.CLOSED, recovery_frames=0)


def make_inspector(stream: "VideoStream") -> "Callable[[Packet[VideoStream]], PacketKind]":
    """A function that reads packets of this stream, in the order in which they are sent."""
    codec = stream.codec_context.codec
    extradata = bytes(stream.codec_context.extradata or b"")
    inspect: Inspect
    name = codec.canonical_name
    if name == "h264":
        inspect = _inspect_h264(_length_bytes(extradata, at=4))
    elif name == "hevc":
        inspect = _inspect_hevc(_length_bytes(extradata, at=21))
    elif name == "mpeg4":
        inspect = _Mpeg4(extradata)
    elif name in _INSPECTORS:
        inspect = _INSPECTORS[name]
    elif codec.intra_only and name != "ffv1":  # whose contexts go from frame to frame
        return lambda packet: _CLOSED if packet.is_keyframe else _PICTURE
    else:
        return lambda packet: _PICTURE

    def safely(packet: "Packet[VideoStream]") -> PacketKind:
        try:
            return inspect(memoryview(packet))
        except (IndexError, ValueError):  # shorter than it says: the decoder shall tell
            return _PICTURE

    return safely


class _Bits:
    """Bits of a header, most significant first. Past the end is a ValueError."""

    def __init__(self, data: bytes | memoryview, start: int = 0, *, most: int = 64) -> None:
        """Begin at byte `start`; no more than `most` bytes are read."""
        head = data[start : start + most]
        self._value = int.from_bytes(head, "big")  # one number: shifts are faster than a loop
        self._left = 8 * len(head)

    def read(self, count: int) -> int:
        left = self._left - count
        if left < 0:
            raise ValueError("a header ends too early")
        self._left = left
        value = self._value >> left
        self._value &= (1 << left) - 1
        return value

    def read_golomb(self) -> int:
        """An unsigned Exp-Golomb number."""
        return self.read(2 * (self._left - self._value.bit_length()) + 1) - 1


# --- H.264 and HEVC: units, behind start codes or their length ------------------------------------


def _length_bytes(extradata: bytes, *, at: int) -> int | None:
    """Bytes of the length before each unit, None for start codes."""
    if len(extradata) > at and extradata[0] == 1:
        return (extradata[at] & 3) + 1
    return None


def _units(data: memoryview, length_bytes: int | None) -> Iterator[memoryview]:
    if length_bytes is None:
        yield from _units_by_start_code(data)
        return
    place = 0
    while place + length_bytes < len(data):
        size = int.from_bytes(data[place : place + length_bytes], "big")
        place += length_bytes
        if size == 1 and length_bytes == 4:  # 00 00 00 01: start codes against what extradata say
            yield from _units_by_start_code(data)
            return
        if not 0 < size <= len(data) - place:
            raise ValueError("a unit is longer than its packet")
        yield data[place : place + size]
        place += size


def _units_by_start_code(data: memoryview) -> Iterator[memoryview]:
    content = bytes(data)
    start = content.find(b"\0\0\1")
    while start >= 0:
        following = content.find(b"\0\0\1", start + 3)
        end = len(content) if following < 0 else following
        if end > start + 3:
            yield data[start + 3 : end]
        start = following


def _inspect_h264(length_bytes: int | None) -> Inspect:
    """IDR pictures, and I pictures at an exact recovery point. Source: ITU-T H.264, 7.4.1, D.2.8.

    A recovery point that takes frames to recover (intra refresh) is no access.
    """

    def inspect(data: memoryview) -> PacketKind:
        """Kind of a packet from its units."""
        recovery, exact, pictures = -1, False, 0
        for unit in _units(data, length_bytes):
            kind = unit[0] & 31
            if kind == 5:
                return _CLOSED if not pictures else _PICTURE
            if kind == 6 and not pictures:
                recovery, exact = _read_recovery_point(unit) or (recovery, exact)
            elif kind in (1, 2):
                pictures += 1
                slice_type = _read_slice_type(unit)
                if recovery != 0 or not exact or slice_type not in _INTRA_SLICES:
                    return PacketKind(recovery_frames=recovery, looks_back=slice_type == 1)
        if not pictures:
            return _HIDDEN  # parameter sets or messages alone
        return _OPEN

    return inspect


_INTRA_SLICES = (2, 4)  # I, SI; 1 is B


def _read_slice_type(unit: memoryview) -> int:
    bits = _Bits(unit, 1, most=10)
    bits.read_golomb()  # first macroblock
    return bits.read_golomb() % 5


def _read_recovery_point(unit: memoryview) -> tuple[int, bool] | None:
    """Frames until the picture is whole, and whether it is exact then."""
    content = bytes(unit).replace(b"\0\0\3", b"\0\0")  # without emulation prevention
    place = 1
    while place + 2 < len(content):
        kind, place = _read_sei_number(content, place)
        size, place = _read_sei_number(content, place)
        if kind == 6:
            bits = _Bits(content, place)
            return bits.read_golomb(), bits.read(1) == 1
        place += size
    return None


def _read_sei_number(content: bytes, place: int) -> tuple[int, int]:
    value = 0
    while content[place] == 255:
        value, place = value + 255, place + 1
    return value + content[place], place + 1


def _inspect_hevc(length_bytes: int | None) -> Inspect:
    """IRAP pictures. Source: ITU-T H.265, 7.4.2.2.

    Leading pictures of IDR and of BLA without RASL can be decoded (RADL), those of CRA and of other
    BLA cannot.
    """

    def inspect(data: memoryview) -> PacketKind:
        """Kind of a packet from its units."""
        for unit in _units(data, length_bytes):
            kind, layer = unit[0] >> 1 & 63, (unit[0] & 1) << 5 | unit[1] >> 3
            if kind < 32 and layer == 0:
                if kind in (17, 18, 19, 20):
                    return _CLOSED
                if kind in (16, 21):
                    return _OPEN
                return _BACK if kind in (8, 9) else _PICTURE  # RASL
        return _HIDDEN

    return inspect


# --- VP8, VP9, AV1, Theora ------------------------------------------------------------------------


def _inspect_vp8(data: memoryview) -> PacketKind:
    """Source: RFC 6386, 9.1."""
    shown = bool(data[0] >> 4 & 1)
    key = not data[0] & 1 and bytes(data[3:6]) == b"\x9d\x01\x2a"
    return _CLOSED if key and shown else PacketKind(shown=shown)


def _inspect_vp9(data: memoryview) -> PacketKind:
    """Source: VP9 Bitstream Specification 0.6, 7.2 and annex B (superframes)."""
    marker, starts = data[-1], [0]
    if marker >> 5 == 6:
        count, size_bytes = (marker & 7) + 1, (marker >> 3 & 3) + 1
        index = len(data) - 2 - count * size_bytes
        if index >= 0 and data[index] == marker:
            for number in range(count - 1):
                place = index + 1 + number * size_bytes
                starts.append(
                    starts[-1] + int.from_bytes(data[place : place + size_bytes], "little")
                )
    headers = [_read_vp9_header(data[start:]) for start in starts]
    if headers[0] == (True, True):
        return _CLOSED
    return PacketKind(shown=any(shown for _, shown in headers))


def _read_vp9_header(data: memoryview) -> tuple[bool, bool]:
    """Whether a frame is a key frame, and whether it is shown."""
    bits = _Bits(data)
    bits.read(2)
    profile = bits.read(1) + 2 * bits.read(1)
    if profile == 3:
        bits.read(1)
    if bits.read(1):
        return False, True  # shows one that was sent before
    return not bits.read(1), bool(bits.read(1))


def _inspect_av1(data: memoryview) -> PacketKind:
    """Shown key frames. Source: AV1 Bitstream Specification 1.0, 5.3 to 5.9, 7.6.2."""
    place, still = 0, False
    while place < len(data):
        header = data[place]
        kind, place = header >> 3 & 15, place + (2 if header & 4 else 1)
        size = len(data) - place
        if header & 2:
            size, place = _read_leb128(data, place)
        if kind == 1:
            still = bool(data[place] >> 3 & 1)  # reduced_still_picture_header
        elif kind in (3, 6):  # a frame header, alone or with its frame
            first = data[place]
            # show_existing_frame 0, frame_type 00 (key), show_frame 1
            key = still or first >> 4 == 0b0001
            return _CLOSED if key else _PICTURE
        place += size
    return _HIDDEN


def _read_leb128(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for number in range(8):
        byte = data[place + number]
        value |= (byte & 127) << 7 * number
        if not byte & 128:
            return value, place + number + 1
    raise ValueError("a number of more than 8 bytes")


def _inspect_theora(data: memoryview) -> PacketKind:
    """Source: Theora Specification, 7.1."""
    if data[0] & 0x80:
        return _HIDDEN
    return _PICTURE if data[0] & 0x40 else _CLOSED


# --- MPEG-1, MPEG-2 and MPEG-4 part 2: start codes ------------------------------------------------


def _inspect_mpeg2(data: memoryview) -> PacketKind:
    """I pictures. Source: ISO/IEC 13818-2, 6.2.2.6 and 6.2.3."""
    closed = False
    for unit in _units_by_start_code(data):
        if unit[0] == 0xB8:
            closed = bool(unit[4] & 0x40)
        elif unit[0] == 0:
            picture_type = unit[2] >> 3 & 7
            if picture_type == 1:
                return _CLOSED if closed else _OPEN
            return _BACK if picture_type == 3 else _PICTURE
    return _HIDDEN


class _Mpeg4:
    """I-VOPs, and VOPs that are not coded. Source: ISO/IEC 14496-2, 6.2.3 to 6.2.5."""

    def __init__(self, extradata: bytes) -> None:
        self._time_bits: int | None = None
        self._packed = False  # a packet held two pictures; the next one is empty and shows one
        with suppress(IndexError, ValueError):  # shorter than it says
            self(memoryview(extradata))

    def __call__(self, data: memoryview) -> PacketKind:
        closed, found = False, []
        for unit in _units_by_start_code(data):
            code = unit[0]
            if 0x20 <= code <= 0x2F:
                self._time_bits = _read_time_bits(unit)
            elif code == 0xB3:
                closed = bool(unit[3] & 0x20)
            elif code == 0xB6:
                found.append(self._read_vop(unit))
        if not found:
            return _HIDDEN
        self._packed = self._packed or len(found) > 1
        coded, coding_type = found[0]
        if not coded:
            return _PICTURE if self._packed else _HIDDEN
        if coding_type == 0:
            return _CLOSED if closed else _OPEN
        return _BACK if coding_type == 2 else _PICTURE

    def _read_vop(self, unit: memoryview) -> tuple[bool, int]:
        """Whether it is coded, and its type: 0 is I, 1 P, 2 B."""
        bits = _Bits(unit, 1)
        coding_type = bits.read(2)
        if self._time_bits is None:
            return True, coding_type
        while bits.read(1):
            pass
        bits.read(1 + self._time_bits + 1)
        return bool(bits.read(1)), coding_type


def _read_time_bits(unit: memoryview) -> int | None:
    """Bits of `vop_time_increment`, from a video object layer."""
    bits = _Bits(unit, 1)
    bits.read(1 + 8)
    version = 1
    if bits.read(1):
        version = bits.read(4)
        bits.read(3)
    if bits.read(4) == 15:
        bits.read(16)
    if bits.read(1):
        bits.read(3)
        if bits.read(1):
            bits.read(79)
    if bits.read(2) == 3 and version != 1:
        bits.read(4)
    bits.read(1)
    return max(1, (bits.read(16) - 1).bit_length())


_INSPECTORS: dict[str, Inspect] = {
    "vp8": _inspect_vp8,
    "vp9": _inspect_vp9,
    "av1": _inspect_av1,
    "theora": _inspect_theora,
    "mpeg1video": _inspect_mpeg2,
    "mpeg2video": _inspect_mpeg2,
}
