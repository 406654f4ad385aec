"""Whether the end of a file is missing: by the extent of its parts, not by what headers promise.

Durations and frame counts in headers are wrong in many sound files: pieces of a longer recording,
last pictures that are held for seconds, sound that is longer than the picture. That a box, a
segment or a table of packets reaches beyond the end of the file is no matter of opinion.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from videoswin_cli.data.decoding.packets import PacketFacts

if TYPE_CHECKING:
    from av import VideoStream
    from av.container import InputContainer


def misses_its_end(
    path: str, container: "InputContainer", stream: "VideoStream", facts: Sequence[PacketFacts]
) -> bool:
    """Whether video that belongs to the file is not in it, as far as its container can tell."""
    kind = container.format.name
    with Path(path).open("rb") as file:
        size = file.seek(0, 2)
        if kind.startswith("mov,"):
            listed = sum(entry.size > 0 for entry in stream.index_entries)
            return len(facts) < listed or _is_box_cut(file, size)
        if kind.startswith("matroska,"):
            return _is_segment_cut(file, size)
        if kind == "avi":
            slots = max(
                (fact.dts + fact.duration for fact in facts if fact.dts is not None), default=0
            )
            extent_cut, indexed = _look_at_riff(file, size)
            return extent_cut or (not indexed and slots < stream.frames)
    return False


# --- mp4 and mov ----------------------------------------------------------------------------------

_FRAGMENT_BOXES = (b"moof", b"moov")


def _is_box_cut(file: BinaryIO, size: int) -> bool:
    """Whether a box of the table of samples, or of the samples behind a fragment's, is cut."""
    place, fragmented = 0, False
    while place + 8 <= size:
        file.seek(place)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            return False  # to the end of the file, wherever that is
        if length < 8 or not kind.isalnum():
            return False  # something else follows
        fragmented = fragmented or kind == b"moof"
        if place + length > size:
            return kind in _FRAGMENT_BOXES or (fragmented and kind == b"mdat")
        place += length
    return 0 < size - place < 8 and fragmented


# --- Matroska and WebM ----------------------------------------------------------------------------

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_IN_SEGMENT = frozenset(
    {0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B, 0x1941A469, 0x1043A770}
    | {0x1254C367, 0xEC, 0xBF}  # SeekHead, Info, Tracks, Cluster, Cues, ..., Void, CRC-32
)


def _is_segment_cut(file: BinaryIO, size: int) -> bool:
    """Whether the segment, or one of its parts, is longer than the file or followed by noise.

    A live recording does not know its size. Source: RFC 8794, RFC 9559.
    """
    place = 0
    while place < size:
        found = _read_element(file, place)
        if found is None:
            return False
        kind, body, length = found
        if length is None and kind != _SEGMENT:
            return False
        end = size if length is None else body + length
        if kind == _SEGMENT:
            return end > size or _is_cluster_cut(file, body, end)
        if kind != _EBML:
            return False
        place = end
    return False


def _is_cluster_cut(file: BinaryIO, place: int, end: int) -> bool:
    while place < end:
        found = _read_element(file, place)
        if found is None or found[0] not in _IN_SEGMENT:
            return True
        _, body, length = found
        if length is None:
            return False
        place = body + length
    return place > end


def _read_element(file: BinaryIO, place: int) -> tuple[int, int, int | None] | None:
    """Identifier, start of the content and its length (None: not known) of an EBML element."""
    file.seek(place)
    header = file.read(12)
    if not header or not header[0]:
        return None
    id_bytes = 9 - header[0].bit_length()
    if len(header) <= id_bytes or not header[id_bytes]:
        return None
    length_bytes = 9 - header[id_bytes].bit_length()
    content = header[id_bytes : id_bytes + length_bytes]
    if id_bytes > 4 or len(content) < length_bytes:
        return None
    unknown = (1 << 7 * length_bytes) - 1
    length = int.from_bytes(content, "big") & unknown
    kind = int.from_bytes(header[:id_bytes], "big")
    return kind, place + id_bytes + length_bytes, None if length == unknown else length


# --- AVI ------------------------------------------------------------------------------------------


def _look_at_riff(file: BinaryIO, size: int) -> tuple[bool, bool]:
    """Whether a chunk is longer than the file, and whether an index follows the pictures.

    Source: the OpenDML AVI File Format Extensions 1.02: one RIFF after the other.
    """
    place, indexed = 0, False
    while place + 12 <= size:
        file.seek(place)
        header = file.read(12)
        length = int.from_bytes(header[4:8], "little")
        if header[:4] != b"RIFF" or length < 4:
            break  # something else follows, or a recorder that did not come to write it
        end = place + 8 + length
        if end > size:
            return True, indexed
        indexed = indexed or _has_index(file, place + 12, end)
        place = end + length % 2
    return False, indexed


def _has_index(file: BinaryIO, place: int, end: int) -> bool:
    while place + 8 <= end:
        file.seek(place)
        header = file.read(8)
        length = int.from_bytes(header[4:], "little")
        if header[:4] == b"idx1":
            return length > 0
        if not header[:4].strip(b"\0"):
            return False
        place += 8 + length + length % 2
    return False
