"""Index of a sequence of pictures, each of which is whole."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate

from videoswin_cli.data.decoding.clock import Timing, set_clock
from videoswin_cli.data.decoding.frame_index import FrameIndex
from videoswin_cli.data.decoding.orientation import UPRIGHT
from videoswin_cli.data.decoding.packets import PacketFacts
from videoswin_cli.data.decoding.random_access import Access

PICTURE_KINDS = ("webp", "frames", "array")  # that have no packets and no sound
RATELESS_KINDS = ("frames", "array")  # that state no frame rate
ASSUMED_FPS = 30.0  # of pictures that have no rate

_MOST_DENOMINATOR = 1001  # of a rate: 30000/1001


def index_at_rate(
    path: str,
    kind: str,
    size: tuple[int, int],
    count: int,
    *,
    fps: float | None,
    notes: tuple[str, ...] = (),
) -> FrameIndex:
    """The index of `count` pictures of a constant rate, which None leaves open.

    The other arguments are those of `index_pictures`.
    """
    rate = Fraction(fps or ASSUMED_FPS).limit_denominator(_MOST_DENOMINATOR)
    if fps is None:
        notes = (*notes, f"no frame rate is stated: times are at {ASSUMED_FPS:g} frames per second")
    index = index_pictures(
        path, kind, size, [1] * count, tick=1 / rate, rate=float(rate), notes=notes
    )
    return replace(index, fps_stated=fps is not None)


def index_pictures(
    path: str,
    kind: str,
    size: tuple[int, int],
    durations: Sequence[int],
    *,
    tick: Fraction,
    rate: float = 0.0,
    notes: tuple[str, ...] = (),
) -> FrameIndex:
    """The index of pictures that follow each other from time 0 on.

    Args:
        path: what errors call them.
        kind: of `PICTURE_KINDS`.
        size: (width, height) in px, as shown.
        durations: of each picture, in ticks.
        tick: in seconds.
        rate: in frames per second; 0: by the durations.
        notes: what a user should know about them.
    """
    starts = [0, *accumulate(durations[:-1])]
    facts = [
        PacketFacts(
            pts=start,
            dts=start,
            duration=duration,
            key=not start,
            access=Access.NONE if start else Access.CLOSED,
            shown=True,
            recovery_frames=-1,
            looks_back=False,
            corrupt=False,
            discard=False,
        )
        for start, duration in zip(starts, durations, strict=True)
    ]
    timing = Timing(
        tick=tick,
        rate=rate,
        may_jump=False,
        reorders=False,
        unordered=False,
        first_decoded=None,
        earliest=None,
    )
    width, height = size
    return FrameIndex(
        path=path,
        container=kind,
        codec=kind,
        streams=1,
        height=height,
        width=width,
        orientation=UPRIGHT,
        clock=set_clock(facts, timing),
        starts=(0,),
        first_frames=(0,),
        recoveries=(),
        closed=frozenset({0}),
        marked_keys=frozenset({0}),
        hidden=False,
        promised_frames=len(facts),
        lossy=False,
        corrupt=frozenset(),
        notes=notes,
    )
