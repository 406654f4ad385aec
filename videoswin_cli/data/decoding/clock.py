"""Presentation times and order of the frames, from the time stamps of the packets.

Streams that were joined start over, or jump: they are read in the order in which they were sent,
with a clock that goes on from the durations of their frames.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, takewhile
from statistics import median_low

from videoswin_cli.data.decoding.packets import PacketFacts
from videoswin_cli.data.decoding.random_access import Access

_STEP_BACK = 0.1  # s; less is a flaw in a stream, more is another stream. Source: ffmpeg.c
_JUMP = 10.0  # s, in containers whose stamps may jump; likewise
_INVENTED = (
    0.002  # s; shorter steps between frames, of less than a tenth of the others, are invented
)
_SAME_RATE = 0.5  # frames that a constant rate may be off at any frame


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Frames of a video in presentation order."""

    numbers: "array[int]"  # frame number of each packet, -1 where it shows none
    times: tuple[float, ...]  # s, start of each frame; 0 is the start of the file
    end: float  # s, of the last frame
    fps: float  # average frames per second
    varies: bool  # the frame rate is not constant
    counted: bool  # no stamps tell the order: the decoder's is taken, from the first packet on
    joins: tuple[int, ...]  # packets at which another stream begins
    lost_parts: int  # of the joined streams, those in which decoding cannot start
    begin: int  # packet from which decoding starts
    headless: int  # packets that have nothing to refer to: they come before all access
    origin: float  # s, stamp of the file at which `times` are 0; of the first of joined streams


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Timing of one stream, as its container declares it."""

    tick: Fraction | None  # s
    rate: float  # frames per second, 0 where it does not say
    may_jump: bool  # stamps may start over on the way
    reorders: bool  # frames are sent in another order than shown
    unordered: bool  # stamps are those of decoding, and frames are reordered
    first_decoded: int | None  # pts of the first picture that the decoder gives
    earliest: float | None  # s, first stamp of any other stream


def set_clock(facts: Sequence[PacketFacts], timing: Timing) -> Clock:
    """Number the frames of all packets and give each its time."""
    parts = _split(facts, timing)
    numbers = array("q", [-1]) * len(facts)
    opened = [_open_part(facts, part, timing, first=not part.start) for part in parts]
    if any(fact.access for fact in facts):  # else nothing is known of this codec
        for number, part in enumerate(parts[1:], start=1):
            if _find_start(facts, part) is None:  # another codec, say
                opened[number] = []
    headless = sum(len(part) - len(kept) for part, kept in zip(parts, opened, strict=True))
    kept = [[i for i in part if facts[i].shown and not facts[i].discard] for part in opened]
    counted = timing.unordered or not _have_order(facts, kept, timing)
    if counted:
        order = [i for part in kept for i in part]
        times, end = _count_times([facts[i] for i in order], timing)
    else:
        kept = [sorted(part, key=lambda i: facts[i].pts or 0) for part in kept if part]
        order = [i for part in kept for i in part]
        times, end = _join_times(facts, kept, timing)
    for number, i in enumerate(order):
        numbers[i] = number
    fps = _measure_fps(times, timing.rate)
    return Clock(
        numbers=numbers,
        times=tuple(times),
        end=end,
        fps=fps,
        varies=_varies(times),
        counted=counted,
        joins=tuple(part.start for part in parts[1:]),
        lost_parts=sum(not part for part in opened),
        begin=_find_start(facts, parts[0]) or 0,
        headless=headless,
        origin=_find_origin(facts[order[0]], times[0], timing) if order else 0.0,
    )


def _find_origin(first: PacketFacts, time: float, timing: Timing) -> float:
    stamp = first.dts if first.pts is None else first.pts
    return 0.0 if stamp is None or timing.tick is None else float(stamp * timing.tick) - time


def _split(facts: Sequence[PacketFacts], timing: Timing) -> list[range]:
    """Packets of each stream that was joined."""
    if timing.tick is None:
        return [range(len(facts))]
    back, jump = -_STEP_BACK / timing.tick, _JUMP / timing.tick
    starts, last, latest = [0], None, None
    for i, fact in enumerate(facts):
        step = 0 if fact.dts is None or last is None else fact.dts - last
        # All that was sent before a closed start is shown before it, whatever the stamps say.
        overlaps = (
            fact.access is Access.CLOSED
            and None not in (fact.pts, latest)
            and (fact.pts or 0) < (latest or 0)
        )
        if step < back or (timing.may_jump and step > jump) or overlaps:
            starts.append(i)
            latest = None
        last = last if fact.dts is None else fact.dts
        if fact.pts is not None and fact.shown and not fact.discard:
            latest = fact.pts if latest is None else max(latest, fact.pts)
    return [range(a, b) for a, b in pairwise([*starts, len(facts)])]


def _find_start(facts: Sequence[PacketFacts], part: range) -> int | None:
    """First packet at which decoding can start."""
    return next((i for i in part if facts[i].access), None)


def _open_part(
    facts: Sequence[PacketFacts], part: range, timing: Timing, *, first: bool
) -> list[int]:
    """Packets of a part without those that have nothing to refer to."""
    start = _find_start(facts, part)
    if start is None:
        decoded = timing.first_decoded if first else None
        if decoded is not None:  # the decoder knows when a picture is whole
            return [i for i in part if (pts := facts[i].pts) is None or pts >= decoded]
        key = next((i for i in part if facts[i].key), part.start)
        return list(range(key, part.stop))
    if facts[start].access is Access.CLOSED:
        return list(range(start, part.stop))
    opening = facts[start].pts

    def leads(i: int) -> bool:
        pts = facts[i].pts
        return facts[i].looks_back and (pts is None or opening is None or pts <= opening)

    leading = set(takewhile(leads, range(start + 1, part.stop)))
    return [
        i
        for i in range(start, part.stop)
        if i not in leading and (opening is None or (pts := facts[i].pts) is None or pts >= opening)
    ]


def _have_order(
    facts: Sequence[PacketFacts], parts: Sequence[Sequence[int]], timing: Timing
) -> bool:
    """Whether the presentation stamps tell the order of the frames of each part.

    Muxers that are given stamps which go back write others, a tick apart, in the order of decoding.
    """
    steps = []
    for part in parts:
        stamps = sorted(pts for i in part if (pts := facts[i].pts) is not None)
        if len(set(stamps)) < len(part):
            return False
        steps.append([b - a for a, b in pairwise(stamps)] or [0])
    usual = max(map(median_low, steps), default=0)
    if not timing.reorders or timing.tick is None or not usual:
        return True
    least = min(step for own in steps for step in own if step)
    return least * timing.tick > _INVENTED or least * 10 > usual


def _count_times(facts: Sequence[PacketFacts], timing: Timing) -> tuple[list[float], float]:
    """By stamps in rising order, whichever of both kinds is complete; else by the rate alone."""
    for stamps in ([fact.pts for fact in facts], [fact.dts for fact in facts]):
        known = sorted(stamp for stamp in stamps if stamp is not None)
        if timing.tick is not None and known and len(known) == len(facts):
            times = [float((stamp - known[0]) * timing.tick) for stamp in known]
            if times[-1] > 0 or len(times) == 1:
                return times, times[-1] + _last_duration(times, 0.0, timing)
    rate = timing.rate or 25.0
    return [number / rate for number in range(len(facts))], len(facts) / rate


def _join_times(
    facts: Sequence[PacketFacts], parts: Sequence[Sequence[int]], timing: Timing
) -> tuple[list[float], float]:
    """Each part after the end of the one before; the first one from the start of the file."""
    assert timing.tick is not None
    # Integers: a long video would spend more time in Fraction than in reading its packets.
    tick, second = timing.tick.numerator, timing.tick.denominator
    times: list[float] = []
    end = 0.0
    for part in parts:
        first = facts[part[0]].pts or 0
        if not times:
            end = _late(first * tick / second, timing.earliest)
        own = [((facts[i].pts or 0) - first) * tick / second for i in part]
        last = _last_duration(own, facts[part[-1]].duration * tick / second, timing)
        times += [end + time for time in own]
        end += own[-1] + last
    return times, end


def _late(first: float, earliest: float | None) -> float:
    """Seconds from the start of the file to its first frame."""
    if earliest is None:
        return 0.0
    if first >= 0:  # sound before time 0 is the run-in of its coder, and is not played
        earliest = max(earliest, 0.0)
    return max(first - earliest, 0.0)


def _last_duration(times: Sequence[float], stated: float, timing: Timing) -> float:
    if stated > 0:
        return stated
    if len(times) > 1:
        return median_low([b - a for a, b in pairwise(times)])
    return 1 / (timing.rate or 25.0)


def _measure_fps(times: Sequence[float], declared: float) -> float:
    duration = times[-1] - times[0] if times else 0.0
    if duration <= 0:
        return declared or 1.0
    measured = (len(times) - 1) / duration
    # The header has the exact fraction (30000/1001) and is right, unless it is plainly wrong.
    return declared if abs(measured - declared) <= 0.01 * measured else measured


def _varies(times: Sequence[float]) -> bool:
    """Whether any frame is further from its place at a constant rate than half a frame."""
    if len(times) < 3:
        return False
    step = (times[-1] - times[0]) / (len(times) - 1)
    return any(
        abs(time - times[0] - number * step) > _SAME_RATE * step
        for number, time in enumerate(times)
    )
