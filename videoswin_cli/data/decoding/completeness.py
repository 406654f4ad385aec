"""Missing parts of a file, found by the extent of its parts and not by its headers.

Durations and frame counts in headers are wrong in many sound files: pieces of a longer recording,
last pictures that are held for seconds, sound that is longer than the picture. That a box, a
segment or a table of packets reaches beyond the end of the file, or that there is noise in place of
a block, is no matter of opinion.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

from videoswin_cli.data.decoding.endings import Parts, find_ending

if TYPE_CHECKING:
    from io import FileIO

    from videoswin_cli.data.decoding.packets import PacketSource

AVI_HEAD = 8  # bytes between the place that the index of an AVI names and the data of a packet


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Video that belongs to a file and is not in it, as far as its container can tell."""

    cut_off: bool = False  # the end is missing
    doubt: str | None = None  # why the end may be missing, where that cannot be proven
    before: frozenset[int] = frozenset()  # packets in front of which something is missing


def find_loss(source: "PacketSource", *, end_slot: int, gaps: bool) -> Loss:
    """Missing end or parts of a file whose packets were read.

    Args:
        source: the file.
        end_slot: end of the last frame in ticks of the stream, by its decode stamps.
        gaps: the frame rate is not constant, so that frames may be missing between others.
    """
    kind = source.container.format.name
    places, stream = source.places, source.stream
    cut_off, doubt, lost = False, None, []
    # Unbuffered: only the heads of the parts are read, a few bytes each.
    with source.open_bytes() as opened:
        file = cast("FileIO", opened)
        size = file.seek(0, 2)
        if kind.startswith("mov,"):
            lost = _list_unread(stream.index_entries, places, 0)
            cut_off = _is_box_cut(file, size) or any(place >= size for place in lost)
        elif kind.startswith("matroska,"):
            sizes = zip(places, source.sizes, strict=True)
            ends = {place: place + _BLOCK_HEAD + length for place, length in sizes}
            lost = list(_walk_segment(file, size, ends, enter_all=gaps))
        elif kind == "avi":
            cut_off, indexed, sized = _look_at_riff(file, size)
            cut_off = cut_off or (sized and not indexed and end_slot < stream.frames)
            lost = _list_unread(stream.index_entries, places, AVI_HEAD) if indexed else []
        else:
            parts = Parts(file=file, size=size, places=places, sizes=source.sizes)
            ending = find_ending(kind, parts)
            cut_off, doubt, lost = ending.cut_off, ending.doubt, list(ending.holes)
    return _judge(lost, places, cut_off=cut_off, doubt=doubt)


def _judge(lost: Sequence[int], places: Sequence[int], *, cut_off: bool, doubt: str | None) -> Loss:
    """From the places in the file where something is missing."""
    reached = list(accumulate(places, max))
    last = reached[-1] if reached else -1
    before = (bisect_right(reached, hole) for hole in lost if hole < last)
    return Loss(
        cut_off=cut_off or any(hole >= last for hole in lost),
        doubt=doubt,
        before=frozenset(before),
    )


def _list_unread(entries: Any, places: Sequence[int], head_bytes: int) -> list[int]:
    """Places of packets that the index of a file lists and that the demuxer did not give."""
    listed = [entry.pos + head_bytes for entry in entries if entry.size > 0]
    if len(places) >= len(listed):
        return []
    return sorted(set(listed).difference(places))


# --- mp4 and mov ----------------------------------------------------------------------------------

_FRAGMENT_BOXES = (b"moof", b"moov")


def _is_box_cut(file: "FileIO", size: int) -> bool:
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

_EBML, _SEGMENT, _CLUSTER, _BLOCK_GROUP = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xA0
_PARENTS = frozenset({_SEGMENT, _CLUSTER, _BLOCK_GROUP})
_KNOWN = _PARENTS | frozenset(
    {_EBML, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367}
    # EBML, SeekHead, Info, Tracks, Cues, Attachments, Chapters, Tags; in a cluster; in a group
    | {0xE7, 0x5854, 0xAB, 0xA7, 0xA3, 0xAF, 0xEC, 0xBF}
    | {0xA1, 0xA2, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xC8}
)
_BLOCK_HEAD = 4  # bytes between the place of a packet and its data: track, time, flags


def _walk_segment(
    file: "FileIO", size: int, ends: Mapping[int, int], *, enter_all: bool
) -> Iterator[int]:
    """Places at which there is no element, or one that is longer than the file.

    Elements stand one behind the other. Those that hold blocks are entered: all, or the last ones.
    A live recording does not know how long its segment and its clusters are. Source: RFC 8794,
    RFC 9559.
    """
    places = sorted(ends)
    last, place, end = max(ends, default=0), 0, size
    while place < end:
        kind, body, length = _read_element(file, place)
        if kind == _EBML and place:
            return  # another file follows
        if kind not in _KNOWN:
            yield place
            following = bisect_right(places, place)
            place = size if following == len(places) else ends[places[following]]
            continue
        if length is not None and body + length > size:
            yield size
            length = None
        if kind == _SEGMENT and length is not None:
            end = body + length
        enter = kind == _SEGMENT or length is None or body + length > last or enter_all
        if kind in _PARENTS and enter:
            place = body
        elif length is None:
            return
        else:
            place = body + length


def _read_element(file: "FileIO", place: int) -> tuple[int, int, int | None]:
    """Identifier (0: none), start of the content and its length (None: not known) of an element."""
    file.seek(place)
    header = file.read(12)
    id_bytes = 9 - header[0].bit_length() if header else 9
    if id_bytes > 4 or len(header) <= id_bytes or not header[id_bytes]:
        return 0, place, None
    kind = int.from_bytes(header[:id_bytes], "big")
    length_bytes = 9 - header[id_bytes].bit_length()
    unknown = (1 << 7 * length_bytes) - 1
    length = int.from_bytes(header[id_bytes : id_bytes + length_bytes], "big") & unknown
    return kind, place + id_bytes + length_bytes, None if length == unknown else length


# --- AVI ------------------------------------------------------------------------------------------


def _look_at_riff(file: "FileIO", size: int) -> tuple[bool, bool, bool]:
    """Whether a chunk is longer than the file, whether there is an index, whether sizes are known.

    Who writes to a pipe cannot come back to write a size. Source: the OpenDML AVI File Format
    Extensions 1.02: one RIFF after the other.
    """
    place, indexed = 0, False
    while place + 12 <= size:
        file.seek(place)
        header = file.read(12)
        length = int.from_bytes(header[4:8], "little")
        if header[:4] != b"RIFF":
            break  # something else follows
        if length < 4 or length == 0xFFFFFFFF:
            return False, indexed, False
        end = place + 8 + length
        if end > size:
            return True, indexed, True
        indexed = indexed or _has_index(file, place + 12, end)
        place = end + length % 2
    return False, indexed, True


def _has_index(file: "FileIO", place: int, end: int) -> bool:
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
