"""Index of the frames that a video file really holds, read from its packets.

Almost nothing is decoded.

Headers lie, packets do not. A file whose end is missing is refused: scores of what is left would
pass for scores of the video. The one pass over the packets serves both decoders: frames are
numbered here, and decord is only trusted with files whose numbering it is known to get right.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from videoswin_cli.data.decoding.clock import Clock, Timing, set_clock
from videoswin_cli.data.decoding.coding import PLAIN, Coding, read_coding
from videoswin_cli.data.decoding.completeness import AVI_HEAD, Loss, find_loss
from videoswin_cli.data.decoding.container import (
    CHECK_FILE,
    describe_stream,
    list_streams,
    name_codec,
)
from videoswin_cli.data.decoding.orientation import Orientation, read_orientation
from videoswin_cli.data.decoding.packets import PacketFacts, PacketSource, Scan
from videoswin_cli.data.decoding.random_access import Access
from videoswin_cli.errors import TruncatedVideoError, VideoError
from videoswin_cli.io.visible import counted

if TYPE_CHECKING:
    from av import VideoStream
    from av.container import InputContainer

_PAUSE = 1.0  # s; where packets are lost on the way, less is missing, and no new start follows
_MARKS_AT_A_JOIN = 3  # packets: the demuxer blames the last ones before a join for the join


@dataclass(frozen=True, kw_only=True)
class FrameIndex:
    """The frames of one stream of a file in presentation order, as its packets tell."""

    path: str
    container: str  # FFmpeg's name of the format: "mov,mp4,m4a,3gp,3g2,mj2"
    codec: str
    streams: int  # video streams of the file; one of them is read
    height: int  # px, as shown
    width: int  # px, as shown
    orientation: Orientation
    clock: Clock
    starts: tuple[int, ...]  # packets from which decoding can start, ascending
    first_frames: tuple[int, ...]  # number of the first frame that each of them gives
    # Packets, ascending: a refresh begins; the picture is whole after this or a later refresh.
    recoveries: tuple[tuple[int, int], ...]
    closed: frozenset[int]  # packets from which all that is sent can be decoded, and shown after
    marked_keys: frozenset[int]  # packets that the container calls key frames
    hidden: bool  # some packets show no frame
    promised_frames: int  # says the header; 0 where it does not
    lossy: bool  # it was read although something is missing
    corrupt: frozenset[int]  # packets that the demuxer marks as damaged
    notes: tuple[str, ...]  # what a user should know about this file
    fps_stated: bool = True  # False: nothing says the frame rate; that of `clock` is a guess
    coding: Coding = PLAIN

    @property
    def has_halved_odd_rows(self) -> bool:
        """Whether color has half the rows of pictures that have an odd number of them.

        No fast conversion to RGB takes these, and the general ones of FFmpeg differ.
        """
        rows = self.width if self.orientation.transposed else self.height
        return bool(rows % 2) and "420p" in self.coding.pixel_format

    def start_before(self, number: int) -> int:
        """Position in `starts` of the last start from which frame `number` can be decoded."""
        return max(bisect_right(self.first_frames, number) - 1, 0)

    def whole_after(self, packet: int) -> int:
        """The packet at which the picture is whole again if one is damaged."""
        count = len(self.clock.numbers)
        after = bisect_right(self.recoveries, (packet, count))
        return self.recoveries[after][1] if after < len(self.recoveries) else count

    def spoiled_by(self, first: int, last: int) -> Iterator[int]:
        """Frames that cannot be relied on where a packet, one of `first` to `last`, is damaged.

        They are those sent from there to the next packet at which the picture is whole again, and
        those sent after that but shown before it.
        """
        numbers, end = self.clock.numbers, self.whole_after(last)
        yield from (number for number in numbers[max(first, 0) : end] if number >= 0)
        for number in numbers[end + 1 :]:
            if number > numbers[end]:
                return
            if number >= 0:
                yield number


def index_frames(source: PacketSource, *, allow_truncated: bool = False) -> FrameIndex:
    """Read the packets of a video file and decode its first frame.

    Raises:
        VideoError: it holds no video frame that can be decoded, or its end is missing and
            `allow_truncated` is not set.
    """
    scan = source.scan()
    container, stream, shown = source.container, source.stream, source.path
    facts, first = scan.facts, scan.first
    if container.format.name == "avi":
        facts = list(_read_slots(source, facts))
    if first is None:
        raise _nothing_decodes(source, len(facts))
    timing = _read_timing(container, stream, scan)
    clock = set_clock(facts, timing)
    if not clock.times:
        raise VideoError(f"{shown}: its edit list cuts off all {counted(len(facts), 'frame')}")
    notes = list(_describe(container, stream, clock))
    slots = (fact.dts + fact.duration for fact in facts if fact.dts is not None)
    loss = find_loss(source, end_slot=max(slots, default=0), gaps=clock.varies)
    found = None
    if clock.lost_parts:
        found = (
            f"in {clock.lost_parts} of its {len(clock.joins) + 1} joined streams decoding cannot"
            " start: another codec, or damage"
        )
    if loss.cut_off or scan.broken_off or facts[-1].corrupt:
        found = _describe_rest(stream, facts, clock)
    elif loss.doubt is not None:
        notes.append(f"the file may be truncated: {loss.doubt}")
    if found is not None:
        if not allow_truncated:
            raise TruncatedVideoError(
                f"{shown}: {found}",
                hint="Get the file again, or use --allow-truncated to read what is left.",
            )
        notes.append(found)
        if len(clock.times) > 1 and not clock.lost_parts:  # the last one is torn, perhaps
            facts[-1] = facts[-1]._replace(shown=False)
            clock = set_clock(facts, timing)
    orientation = read_orientation(first)
    height, width = first.height, first.width
    if orientation.transposed:
        height, width = width, height
    starts, first_frames = _find_starts(facts, clock)
    return FrameIndex(
        path=shown,
        container=container.format.name,
        codec=name_codec(stream),
        streams=len(list_streams(container)),
        height=height,
        width=width,
        orientation=orientation,
        clock=clock,
        starts=starts,
        first_frames=first_frames,
        recoveries=_find_recoveries(facts),
        closed=_find_closed(facts, clock),
        marked_keys=frozenset(i for i, fact in enumerate(facts) if fact.key),
        hidden=any(not fact.shown for fact in facts),
        promised_frames=stream.frames,
        lossy=found is not None,
        corrupt=frozenset(_find_corrupt(facts, clock, timing, loss)),
        notes=tuple(notes),
        coding=read_coding(first, stream),
    )


def _nothing_decodes(source: PacketSource, packets: int) -> VideoError:
    stream = source.stream
    large = "" if stream.width else " Or its pictures are larger than --max-pixels allows."
    return VideoError(
        f"{source.path}: not one frame can be decoded"
        f" ({packets} video packets in {source.container.size:,} bytes,"
        f" codec {name_codec(stream)})",
        hint=CHECK_FILE + large,
    )


def _read_slots(source: PacketSource, facts: Sequence[PacketFacts]) -> Iterator[PacketFacts]:
    """Packets of an AVI with the number of their slot, as its index has it, for both stamps.

    It knows no presentation stamps, and FFmpeg makes them up; where a packet is lost, it counts on.
    """
    slots = {entry.pos + AVI_HEAD: entry.timestamp for entry in source.stream.index_entries}
    for fact, place in zip(facts, source.places, strict=True):
        slot = slots.get(place, fact.dts)
        yield fact._replace(pts=slot, dts=slot)


def _read_timing(container: "InputContainer", stream: "VideoStream", scan: Scan) -> Timing:
    from av.format import Flags

    flags: Any = container.format.flags
    others = (
        float(other.start_time * other.time_base)
        for other in container.streams
        if other.type in ("audio", "video") and other is not stream
        if other.start_time is not None and other.time_base is not None
    )
    return Timing(
        tick=stream.time_base,
        rate=float(stream.average_rate or stream.guessed_rate or 0),
        may_jump=bool(flags & Flags.ts_discont.value),
        reorders=stream.codec_context.has_b_frames,
        unordered=container.format.name == "avi" and stream.codec_context.has_b_frames,
        first_decoded=scan.first.pts if scan.first is not None else None,
        earliest=min(others, default=None),
    )


def _find_starts(
    facts: Sequence[PacketFacts], clock: Clock
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Packets at which decoding can start, and the first frame that each of them gives."""
    starts, first_frames = [clock.begin], [0]
    if not clock.counted:  # else frames are numbered by counting from the first packet
        for i, fact in enumerate(facts):
            if fact.access and i > clock.begin and clock.numbers[i] > first_frames[-1]:
                starts.append(i)
                first_frames.append(clock.numbers[i])
    return tuple(starts), tuple(first_frames)


def _find_recoveries(facts: Sequence[PacketFacts]) -> tuple[tuple[int, int], ...]:
    known = any(fact.access for fact in facts)  # else what the container calls key frames must do
    begun = [
        (i, min(i + max(fact.recovery_frames, 0), len(facts)))
        for i, fact in enumerate(facts)
        if (fact.recovery_frames >= 0 if known else fact.key)
    ]
    earliest = [*accumulate((whole for _, whole in reversed(begun)), min)][::-1]
    return tuple((i, whole) for (i, _), whole in zip(begun, earliest, strict=True))


def _find_closed(facts: Sequence[PacketFacts], clock: Clock) -> frozenset[int]:
    numbers = clock.numbers
    latest = [-1, *accumulate(numbers, max)]  # [i]: of all before i
    shown = [number if number >= 0 else len(numbers) for number in numbers]
    earliest = [*accumulate(reversed(shown), min)][::-1]  # [i]: of i and all after it
    return frozenset(
        i for i, fact in enumerate(facts) if fact.access and latest[i] < numbers[i] == earliest[i]
    )


def _find_corrupt(
    facts: Sequence[PacketFacts], clock: Clock, timing: Timing, loss: Loss
) -> Iterator[int]:
    """Packets around a loss, and those that the demuxer calls corrupt, but not for a join."""
    for i in loss.before:
        yield from (i - 1, i)
    joins = {*clock.joins, *_find_pauses(facts, timing)}
    for i, fact in enumerate(facts):
        if fact.corrupt and joins.isdisjoint(range(i + 1, i + 1 + _MARKS_AT_A_JOIN)):
            yield i


def _find_pauses(facts: Sequence[PacketFacts], timing: Timing) -> Iterator[int]:
    """Packets at which a stream goes on anew after a pause: joined, or recorded again."""
    for i, (before, fact) in enumerate(pairwise(facts), start=1):
        if not (timing.may_jump and timing.tick and fact.access is Access.CLOSED):
            continue
        if None not in (before.dts, fact.dts):
            step = ((fact.dts or 0) - (before.dts or 0)) * timing.tick
            if step > _PAUSE:
                yield i


def _describe(container: "InputContainer", stream: "VideoStream", clock: Clock) -> Iterator[str]:
    videos = list_streams(container)
    if len(videos) > 1:
        yield (
            f"{len(videos)} video streams: {', '.join(map(describe_stream, videos))}; "
            f"#{stream.index} is read (--stream)"
        )
    if clock.joins:
        yield (
            f"{len(clock.joins) + 1} streams joined: their time stamps start over, so times go on "
            "from the durations of the frames"
        )


def _describe_rest(stream: "VideoStream", facts: Sequence[PacketFacts], clock: Clock) -> str:
    more = stream.frames > len(facts)
    promised = f" of the {stream.frames} that its header declares" if more else ""
    return (
        f"the file is truncated: it holds {counted(len(facts), 'frame')}{promised}, "
        f"{clock.end - clock.times[0]:.2f} s"
    )
