"""Clips by time, the ring, the mailbox and the pace, without a stream."""

import threading
from dataclasses import replace
from typing import Any

import pytest
import torch
from live_server import UNIFORM, QuickClock
from tiny import PROTOCOL

from videoswin_cli.data.live.clips import ClipRing, LiveClip, LiveFrame
from videoswin_cli.data.live.mailbox import Mailbox
from videoswin_cli.data.live.pace import Pace
from videoswin_cli.data.live.source import parse_source
from videoswin_cli.data.sampling import latest_clip
from videoswin_cli.errors import MissingInputError, UsageError

AT_15 = replace(PROTOCOL, sampling="torchvision", interval_frames=1, frame_rate=15.0)
NONE: Any = None


@pytest.mark.parametrize("protocol", [PROTOCOL, AT_15])
@pytest.mark.parametrize(
    ("fps", "numbers"),
    [(30, (23, 25, 27, 29)), (15, (26, 27, 28, 29)), (60, (17, 21, 25, 29)), (5, (28, 28, 29, 29))],
)
def test_a_clip_takes_the_frames_of_training_at_any_rate(
    protocol: Any, fps: int, numbers: tuple[int, ...]
) -> None:
    assert latest_clip(protocol, [n / fps for n in range(30)]) == numbers


def test_stamps_that_tremble_do_not_move_a_clip() -> None:
    times = [n / 30 + 0.007 * (-1) ** n * (n % 3 > 0) for n in range(30)]
    assert latest_clip(AT_15, times) == (23, 25, 27, 29)


def test_a_model_that_wants_a_whole_video_is_refused() -> None:
    with pytest.raises(UsageError, match="spreads its frames over the whole video"):
        ClipRing(UNIFORM, every=1)


def frame(number: int, *, fps: float = 30) -> LiveFrame:
    return LiveFrame(number=number, time=number / fps, image=torch.empty(0))


@pytest.mark.parametrize("fps", [5, 30, 59.94])
def test_the_ring_holds_one_clip_however_long_the_stream(fps: float) -> None:
    ring = ClipRing(AT_15, every=1)
    sizes = [len(ring) for n in range(3000) if ring.add(frame(n, fps=fps)) is not NONE]
    assert max(sizes[100:]) <= 0.2 * fps + 3


def test_clips_are_due_by_the_times_of_frames() -> None:
    ring = ClipRing(AT_15, every=0.5)
    assert [n for n in range(60) if ring.add(frame(n))] == [6, 21, 36, 51]
    ring.clear()
    assert [n for n in range(60, 80) if ring.add(frame(n))] == [66]


def clip(first: int, last: int) -> LiveClip:
    return LiveClip(views=NONE, first=first, last=last, captured=0.0)


def test_the_mailbox_holds_the_latest_clip_and_counts_what_is_lost() -> None:
    mailbox, ended = Mailbox(), threading.Event()
    mailbox.put(clip(0, 9))
    assert mailbox.take(ended) == clip(0, 9)
    mailbox.put(clip(5, 14))
    mailbox.put(clip(12, 21))  # 10 and 11 were in no clip that is computed
    mailbox.put(clip(40, 49))  # 12 to 21 neither
    mailbox.close()
    assert mailbox.take(ended) == clip(40, 49)
    assert mailbox.take(ended) is None
    assert (mailbox.skipped, mailbox.dropped) == (2, 12)


def test_nothing_is_dropped_where_every_clip_is_computed() -> None:
    mailbox, ended = Mailbox(), threading.Event()
    for first in range(0, 300, 100):  # most frames are in no clip that is due
        mailbox.put(clip(first, first + 9))
        assert mailbox.take(ended) is not None
    assert (mailbox.skipped, mailbox.dropped) == (0, 0)


def test_the_mailbox_hands_on_an_error_and_lets_go() -> None:
    mailbox, ended = Mailbox(), threading.Event()
    mailbox.close(UsageError("broken"))
    with pytest.raises(UsageError, match="broken"):
        mailbox.take(ended)
    ended.set()
    assert mailbox.take(ended) is None


def test_what_waited_on_its_way_is_late() -> None:
    clock = QuickClock()
    pace = Pace(clock, real_time=False)
    assert pace.arrive(5.0) == 0
    clock.time = 1.0
    pace.ask()
    assert pace.arrive(6.0) == 0
    clock.time = 5.0
    pace.ask()  # nothing was waited for
    assert pace.arrive(7.0) == pytest.approx(3.0)
    assert pace.captured(7.0) == pytest.approx(2.0)
    assert pace.arrive(10.5) == 0  # quicker than those before
    assert clock.slept == []


def test_a_slow_clock_of_the_sender_is_followed() -> None:
    clock = QuickClock()
    pace = Pace(clock, real_time=False)
    late = 0.0
    for number in range(20_000):  # 10 minutes, of which the sender counts a second less
        pace.ask()
        clock.time += 0.04 * 1.002
        late = pace.arrive(number * 0.04)
    assert late < 0.1


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("camera:0", "camera", "camera:0"),
        ("camera:/dev/video2", "camera", "camera:/dev/video2"),
        ("rtsp://me:pass@word@cam:554/a?key=1", "rtsp", "rtsp://cam:554/a"),
        ("HTTPS://cam/live?key=1#x", "http", "HTTPS://cam/live"),
        ("tcp://me@10.0.0.1:9000", "tcp", "tcp://10.0.0.1:9000"),
        ("udp://@:1234", "udp", "udp://:1234"),
        ("udp://[ff02::1]:1234", "udp", "udp://[ff02::1]:1234"),
    ],
)
def test_sources_are_named_without_credentials(text: str, kind: str, shown: str) -> None:
    source = parse_source(text)
    assert (source.kind, source.shown) == (kind, shown)


def test_messages_of_libraries_lose_credentials() -> None:
    source = parse_source("http://me:secret@cam/live?key=hidden")
    text = "cannot parse http://me:secret@cam/live?key=hidden (url: /live?key=hidden)"
    assert source.hide(text) == "cannot parse http://cam/live (url: /live)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rtmp://host/app", "rtmp:// cannot be watched"),
        ("tcp://me:secret@host", "no port"),
        ("rtsp:///stream", "no host"),
        ("tcp://host:99999999", "no valid address"),
        ("no-such-file.mp4", "no such file"),
        ("camera:", "no such file"),
    ],
)
def test_what_is_no_source_is_refused(text: str, message: str) -> None:
    with pytest.raises((UsageError, MissingInputError), match=message) as caught:
        parse_source(text)
    assert "secret" not in caught.value.message
