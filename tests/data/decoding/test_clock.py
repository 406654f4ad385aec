"""Numbers and times of frames, from the stamps of packets alone. One tick is 1/25 s here."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import pytest

from videoswin_cli.data.decoding.clock import Clock, Timing, set_clock
from videoswin_cli.data.decoding.packets import PacketFacts
from videoswin_cli.data.decoding.random_access import Access

NONE, OPEN, CLOSED = Access.NONE, Access.OPEN, Access.CLOSED
TICK = Fraction(1, 25)
MILLISECOND = Fraction(1, 1000)


def packet(
    pts: int | None,
    dts: int | None = None,
    access: Access = NONE,
    *,
    duration: int = 0,
    key: bool = False,
    shown: bool = True,
    looks_back: bool = False,
    discard: bool = False,
) -> PacketFacts:
    return PacketFacts(
        pts=pts,
        dts=pts if dts is None else dts,
        duration=duration,
        key=key or access is not NONE,
        access=access,
        shown=shown,
        recovery_frames=0 if access else -1,
        looks_back=looks_back,
        corrupt=False,
        discard=discard,
    )


def stream(count: int, first: int = 0) -> list[PacketFacts]:
    """Packets without reordering, one a tick."""
    return [packet(first + n, access=NONE if n else CLOSED) for n in range(count)]


def reordered(count: int, first: int = 0) -> list[PacketFacts]:
    """I P B B P B B ...: dts rise by one, two B-frames in front of each P-frame."""
    packets = [packet(first, first - 2, CLOSED)]
    for number in range(1, count, 3):
        for pts, offset in ((number + 2, 0), (number, 1), (number + 1, 2)):
            packets.append(packet(first + pts, first - 2 + number + offset, looks_back=offset > 0))
    return packets


def clock_of(
    packets: Sequence[PacketFacts],
    *,
    tick: Fraction | None = TICK,
    rate: float = 25.0,
    may_jump: bool = False,
    unordered: bool = False,
    first_decoded: int | None = None,
    earliest: float | None = None,
) -> Clock:
    timing = Timing(
        tick=tick,
        rate=rate,
        may_jump=may_jump,
        reorders=True,
        unordered=unordered,
        first_decoded=first_decoded,
        earliest=earliest,
    )
    return set_clock(packets, timing)


def even(count: int, first: float = 0.0) -> list[float]:
    return [first + n / 25 for n in range(count)]


# --- one stream -----------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 3, -4, 1 << 33, (1 << 33) - 5])  # FFmpeg counts on at 33 bits
def test_constant_rate(first: int) -> None:
    clock = clock_of(stream(10, first))
    assert list(clock.numbers) == list(range(10))
    assert clock.times == pytest.approx(even(10))
    assert clock.end == pytest.approx(0.4)
    assert (clock.fps, clock.varies, clock.counted) == (25, False, False)
    assert (clock.joins, clock.begin, clock.headless) == ((), 0, 0)


def test_frames_that_are_sent_in_another_order() -> None:
    clock = clock_of(reordered(10))
    assert list(clock.numbers) == [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    assert clock.times == pytest.approx(even(10))
    assert (clock.counted, clock.joins) == (False, ())


def test_the_rate_of_the_header_is_taken_unless_it_is_plainly_wrong() -> None:
    milliseconds = [packet(round(n * 1001 / 30), access=OPEN) for n in range(60)]
    assert clock_of(milliseconds, tick=MILLISECOND, rate=30000 / 1001).fps == 30000 / 1001
    assert clock_of(stream(10), rate=90000).fps == pytest.approx(25)
    assert clock_of(stream(10), rate=0).fps == pytest.approx(25)


def test_a_single_frame() -> None:
    clock = clock_of(stream(1, 7))
    assert (list(clock.numbers), clock.times, clock.fps, clock.varies) == ([0], (0.0,), 25, False)
    assert clock.end == pytest.approx(1 / 25)
    assert clock_of(stream(1), rate=0.0).fps > 0
    assert clock_of([packet(5, access=CLOSED, duration=100)]).end == pytest.approx(4.0)


@pytest.mark.parametrize("duration", [1, 50, 100])
def test_the_last_frame_lasts_as_long_as_its_packet_says(duration: int) -> None:
    packets = reordered(10)
    last = packets.index(max(packets, key=lambda fact: fact.pts or 0))
    packets[last] = packets[last]._replace(duration=duration)
    clock = clock_of(packets)
    assert clock.times == pytest.approx(even(10))
    assert clock.end == pytest.approx((9 + duration) / 25)


def test_a_last_frame_without_a_duration_lasts_as_long_as_most() -> None:
    packets = [packet(pts, access=CLOSED) for pts in (0, 2, 4, 6, 36)]
    assert clock_of(packets).end == pytest.approx(38 / 25)


def test_hidden_and_discarded_packets_have_no_number() -> None:
    packets = stream(8)
    packets[2] = packets[2]._replace(shown=False)
    for number in (0, 1, 7):
        packets[number] = packets[number]._replace(discard=True)
    clock = clock_of(packets)
    assert list(clock.numbers) == [-1, -1, -1, 0, 1, 2, 3, -1]
    assert clock.times == pytest.approx(even(4))
    assert (clock.begin, clock.headless) == (0, 0)


def test_all_packets_discarded() -> None:
    clock = clock_of([fact._replace(discard=True) for fact in stream(3)])
    assert (clock.times, list(clock.numbers)) == ((), [-1, -1, -1])


def test_hidden_packets_may_share_the_stamp_of_the_next_one() -> None:
    packets = stream(5)
    packets.insert(1, packet(1, shown=False))
    clock = clock_of(packets)
    assert list(clock.numbers) == [0, -1, 1, 2, 3, 4]
    assert not clock.counted


# --- stamps that are not there --------------------------------------------------------------------


def test_without_presentation_stamps_frames_are_counted() -> None:
    packets = [fact._replace(pts=None) for fact in stream(6)]
    clock = clock_of(packets)
    assert clock.counted
    assert list(clock.numbers) == list(range(6))
    assert clock.times == pytest.approx(even(6))  # by their decode stamps


def test_one_missing_stamp_is_enough() -> None:
    packets = stream(6)
    packets[3] = packets[3]._replace(pts=None)
    clock = clock_of(packets)
    assert (clock.counted, list(clock.numbers)) == (True, list(range(6)))
    assert clock.times == pytest.approx(even(6))


@pytest.mark.parametrize("rate", [0.0, 10.0])
def test_without_any_stamps_the_rate_decides(rate: float) -> None:
    packets = [fact._replace(pts=None, dts=None) for fact in stream(6)]
    for tick in (TICK, None):
        clock = clock_of(packets, rate=rate, tick=tick)
        assert clock.counted
        assert clock.times == pytest.approx([n / (rate or 25) for n in range(6)])
        assert clock.end == pytest.approx(6 / (rate or 25))


def test_equal_stamps_are_counted() -> None:
    packets = [packet(pts, dts, CLOSED) for dts, pts in enumerate((0, 1, 1, 2, 4, 5))]
    clock = clock_of(packets)
    assert (clock.counted, list(clock.numbers)) == (True, list(range(6)))
    assert all(b >= a for a, b in pairwise(clock.times))


def test_stamps_that_are_all_equal_say_nothing() -> None:
    clock = clock_of([packet(0, 0, CLOSED)] * 4)
    assert clock.counted
    assert clock.times == pytest.approx(even(4))


def test_frames_of_a_container_without_presentation_stamps_are_counted() -> None:
    """AVI: its stamps are the order of sending, although B-frames are in it."""
    packets = [packet(n, n, CLOSED if not n else NONE) for n in (0, 1, 2, 4, 5)]  # slot 3 is empty
    clock = clock_of(packets, unordered=True)
    assert (clock.counted, list(clock.numbers)) == (True, list(range(5)))
    assert clock.times == pytest.approx([0, 0.04, 0.08, 0.16, 0.2])


# --- streams that were joined ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "may_jump"),
    [
        (0, False),  # both begin at 0
        (0, True),
        (5, False),  # it overlaps the end of the first one
        (-300, False),
        (500, True),  # 20 s later, where stamps may jump
        (90_000, True),
    ],
)
@pytest.mark.parametrize("make", [stream, reordered])
def test_joined_streams_follow_each_other(
    second: int, may_jump: bool, make: Callable[..., list[PacketFacts]]
) -> None:
    clock = clock_of([*make(10), *make(10, second)], may_jump=may_jump)
    one = list(clock_of(make(10)).numbers)
    assert list(clock.numbers) == [*one, *(10 + number for number in one)]
    assert clock.times == pytest.approx(even(20))
    assert clock.end == pytest.approx(0.8)
    assert (clock.joins, clock.counted, clock.varies) == ((10,), False, False)


def test_three_streams() -> None:
    clock = clock_of([*reordered(7), *stream(5, 1), *reordered(4, -50)])
    assert clock.joins == (7, 12)
    assert clock.times == pytest.approx(even(16))
    assert list(clock.numbers) == [0, 3, 1, 2, 6, 4, 5, *range(7, 12), 12, 15, 13, 14]


@pytest.mark.parametrize(("step", "may_jump"), [(500, False), (240, True), (50, False)])
def test_a_gap_stays_a_gap(step: int, may_jump: bool) -> None:
    clock = clock_of([*stream(10), *stream(10, 9 + step)], may_jump=may_jump)
    assert clock.joins == ()
    assert clock.times == pytest.approx([*even(10), *even(10, (9 + step) / 25)])
    assert clock.varies


def test_a_small_step_back_is_a_flaw_and_no_other_stream() -> None:
    packets = [packet(pts, dts, CLOSED) for pts, dts in ((0, 0), (1, 1), (2, 3), (3, 2), (4, 4))]
    clock = clock_of(packets)
    assert (clock.joins, list(clock.numbers)) == ((), list(range(5)))


def test_the_last_frame_of_a_part_lasts_as_its_packet_says() -> None:
    first = stream(10)
    first[-1] = first[-1]._replace(duration=50)
    clock = clock_of([*first, *stream(5)])
    assert clock.times == pytest.approx([*even(10), *even(5, 59 / 25)])


def test_a_part_that_opens_with_pictures_of_nothing_is_cut() -> None:
    second = [packet(2, 0, OPEN), packet(0, 1, looks_back=True), packet(1, 2, looks_back=True)]
    clock = clock_of([*stream(4), *second, packet(3)])
    assert list(clock.numbers) == [0, 1, 2, 3, 4, -1, -1, 5]
    assert clock.times == pytest.approx(even(6))
    assert (clock.headless, clock.joins) == (2, (4,))


def test_each_part_needs_its_own_order() -> None:
    """Equal stamps of two parts are no obstacle, those within one are."""
    assert not clock_of([*stream(4), *stream(4)]).counted
    assert clock_of([*stream(4), *stream(4), packet(3, 4)]).counted


# --- how a stream begins --------------------------------------------------------------------------

LEADING = [packet(5, 2, OPEN), packet(3, 3, looks_back=True), packet(4, 4, looks_back=True)]
FOLLOWING = [packet(8, 5), packet(6, 6, looks_back=True), packet(7, 7, looks_back=True)]


def test_leading_pictures_of_an_open_start_are_left_out() -> None:
    clock = clock_of([*LEADING, *FOLLOWING])
    assert list(clock.numbers) == [0, -1, -1, 3, 1, 2]
    assert clock.times == pytest.approx(even(4))
    assert (clock.begin, clock.headless, clock.counted) == (0, 2, False)


def test_leading_pictures_without_stamps_are_left_out_too() -> None:
    bare = [fact._replace(pts=None) if fact.looks_back else fact for fact in LEADING]
    clock = clock_of([*bare, *FOLLOWING])
    assert list(clock.numbers) == [0, -1, -1, 3, 1, 2]
    assert (clock.headless, clock.counted) == (2, False)


def test_leading_pictures_of_a_closed_start_are_kept() -> None:
    opening = [packet(2, 0, CLOSED), packet(0, 1), packet(1, 2)]
    clock = clock_of([*opening, packet(3)])
    assert list(clock.numbers) == [2, 0, 1, 3]
    assert clock.headless == 0


def test_nothing_counts_before_the_first_access() -> None:
    clock = clock_of([packet(0), packet(1), *stream(4, 2)])
    assert list(clock.numbers) == [-1, -1, 0, 1, 2, 3]
    assert (clock.begin, clock.headless) == (2, 2)
    assert clock.times == pytest.approx(even(4))


def test_without_an_access_the_decoder_or_the_container_says_where_pictures_begin() -> None:
    bare = [packet(n, key=n == 2) for n in range(6)]
    assert list(clock_of(bare, first_decoded=3).numbers) == [-1, -1, -1, 0, 1, 2]
    assert list(clock_of(bare).numbers) == [-1, -1, 0, 1, 2, 3]
    assert list(clock_of([packet(n) for n in range(3)]).numbers) == [0, 1, 2]


# --- when a stream begins -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "earliest", "late"),
    [
        (50, 0.0, 2.0),  # the picture comes 2 s after the sound
        (50, 1.5, 0.5),
        (50, None, 0.0),  # no sound: the file begins with its picture
        (0, 2.0, 0.0),  # the sound comes later
        (50, 2.0, 0.0),
        (0, -0.021, 0.0),  # the sound runs in before 0, which is not played
        (2, -0.021, 0.08),
        (-5, -1.0, 0.8),  # all stamps are negative
    ],
)
def test_a_picture_that_begins_after_the_sound(
    first: int, earliest: float | None, late: float
) -> None:
    clock = clock_of(stream(5, first), earliest=earliest)
    assert clock.times == pytest.approx(even(5, late))
    assert clock.end == pytest.approx(late + 0.2)
    assert clock.fps == 25
    assert not clock.varies


def test_only_the_first_part_can_be_late() -> None:
    clock = clock_of([*stream(5, 50), *stream(5, 10)], earliest=0.0)
    assert clock.times == pytest.approx(even(10, 2.0))


def test_frames_that_are_cut_off_do_not_make_it_late() -> None:
    packets = [fact._replace(discard=n < 3) for n, fact in enumerate(stream(8, -3))]
    clock = clock_of(packets, earliest=-0.12)
    assert clock.times == pytest.approx(even(5))


# --- constant or not ------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [23.976, 25, 29.97, 30, 50, 59.94, 60, 120, 240])
def test_rounding_to_milliseconds_is_no_variable_rate(fps: float) -> None:
    packets = [packet(round(n * 1000 / fps), access=CLOSED) for n in range(2000)]
    assert not clock_of(packets, tick=MILLISECOND, rate=fps).varies


@pytest.mark.parametrize(
    ("stamps", "varies"),
    [
        ([0, 40, 80, 120, 160], False),
        ([0, 41, 79, 121, 160], False),
        ([0, 40, 80, 160, 200], False),  # less than half a frame from its place
        ([0, 40, 80, 120, 4000], True),  # held
        ([0, 40, 80, 280, 480], True),  # 25 a second, then 5
        ([0, 3000, 6000], False),  # slides
        ([0, 40], False),
        ([0], False),
    ],
)
def test_the_rate_varies(stamps: list[int], varies: bool) -> None:
    clock = clock_of([packet(pts, access=CLOSED) for pts in stamps], tick=MILLISECOND)
    assert clock.varies == varies


def test_the_rate_of_varying_frames_is_their_average() -> None:
    stamps = [*range(0, 2000, 40), *range(2000, 12000, 200)]
    clock = clock_of([packet(pts, access=CLOSED) for pts in stamps], tick=MILLISECOND, rate=25)
    assert clock.varies
    assert clock.fps == pytest.approx((len(stamps) - 1) / 11.8)
