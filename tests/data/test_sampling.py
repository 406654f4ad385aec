"""Frame numbers against those of the references, row by row."""

import gzip
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videoswin_cli.data.sampling import loops, random_clip, sample_clips, slide_windows
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.records import InputProtocol, Stride

# official, mmaction2: {"clip32_interval2_clips4": {frames of the video: first frame of each clip}}
# uniform: {"uniform32": {frames: all numbers}}; full: {frames: {rule: numbers of 4 clips of 32}}
# torchvision 0.28, its own VideoClips and UniformClipSampler, 12 clips of 32 at 15 frames a second:
# {frames a second: {frames: [first frame of each clip, CRC32 of all numbers as int64]}}
GOLDEN = Path(__file__).parents[1] / "golden" / "sampling.json.gz"
TABLES: dict[str, Any] = json.loads(gzip.decompress(GOLDEN.read_bytes()))
OFFICIAL = load_spec("swin-tiny-k400").protocol
MMACTION2 = load_spec("swin-tiny-k400-mmaction2").protocol
UNIFORM = load_spec("swin-base-ssv2").protocol
TORCHVISION = load_spec("swin-tiny-k400-torchvision").protocol
STRIDED = {"official": OFFICIAL, "mmaction2": MMACTION2}


@pytest.mark.parametrize(
    ("rule", "table"), [(rule, table) for rule in STRIDED for table in TABLES[rule]]
)
def test_strided_clips_start_where_the_references_start(rule: str, table: str) -> None:
    clip_frames, interval, clips = map(int, re.findall(r"\d+", table))
    protocol = replace(STRIDED[rule], clip_frames=clip_frames, interval_frames=interval)
    rows = TABLES[rule][table]
    assert len(rows) > 400
    for length, starts in rows.items():
        frames = int(length)
        expected = tuple(
            tuple((start + interval * i) % frames for i in range(clip_frames)) for start in starts
        )
        assert sample_clips(protocol, frames=frames, fps=30, clips=clips) == expected, frames


@pytest.mark.parametrize("frames", TABLES["full"])
@pytest.mark.parametrize("rule", STRIDED)
def test_strided_clips_have_the_frames_of_the_references(rule: str, frames: str) -> None:
    expected = tuple(map(tuple, TABLES["full"][frames][rule]))
    assert sample_clips(STRIDED[rule], frames=int(frames), fps=30, clips=4) == expected


@pytest.mark.parametrize("table", TABLES["uniform"])
def test_uniform_frames_are_those_of_the_official_code(table: str) -> None:
    protocol = replace(UNIFORM, clip_frames=int(table.removeprefix("uniform")))
    rows = TABLES["uniform"][table]
    assert len(rows) > 20
    for frames, numbers in rows.items():
        found = sample_clips(protocol, frames=int(frames), fps=30, clips=1)
        assert found == (tuple(numbers),), frames


@pytest.mark.parametrize("fps", TABLES["torchvision"])
def test_resampled_clips_are_those_of_torchvision(fps: str) -> None:
    rows = TABLES["torchvision"][fps]
    assert len(rows) > 15
    for frames, (starts, crc32) in rows.items():
        found = sample_clips(TORCHVISION, frames=int(frames), fps=float(fps), clips=12)
        assert [clip[0] for clip in found] == starts, frames
        assert zlib.crc32(np.array(found, dtype="<i8").tobytes()) == crc32, frames


def test_resampled_clips_repeat_frames_of_a_slow_video() -> None:
    (clip,) = sample_clips(TORCHVISION, frames=40, fps=10, clips=1)  # 60 frames at 15 a second
    assert clip[:7] == (9, 10, 10, 11, 12, 12, 13)


@pytest.mark.parametrize(
    ("frames", "fps", "clip"),
    [
        (101, 15.0, tuple(range(34, 66))),  # 69 places to start
        (202, 30.0, tuple(range(68, 132, 2))),
        (40, 15.0, tuple(range(4, 36))),
        (32, 15.0, tuple(range(32))),
    ],
)
def test_a_single_resampled_clip_is_the_middle_one(
    frames: int, fps: float, clip: tuple[int, ...]
) -> None:
    assert sample_clips(TORCHVISION, frames=frames, fps=fps, clips=1) == (clip,)


def test_the_two_strided_rules_agree_on_one_clip_and_on_no_more() -> None:
    for frames in range(64, 400):
        one, four = (
            [
                sample_clips(protocol, frames=frames, fps=30, clips=clips)
                for protocol in STRIDED.values()
            ]
            for clips in (1, 4)
        )
        assert one[0] == one[1], frames
        assert four[0] != four[1], frames


@pytest.mark.parametrize("frames", [1, 2, 7, 31])
def test_a_video_shorter_than_a_clip_is_repeated_from_its_start(frames: int) -> None:
    strided = tuple(2 * i % frames for i in range(32))
    for protocol in STRIDED.values():
        assert sample_clips(protocol, frames=frames, fps=30, clips=4) == (strided,) * 4
    consecutive = tuple(i % frames for i in range(32))
    assert sample_clips(TORCHVISION, frames=frames, fps=15, clips=12) == (consecutive,) * 12


@pytest.mark.parametrize("fps", [10, 15, 23.976, 29.97, 30, 50, 60])
def test_a_short_resampled_video_never_asks_for_a_frame_that_is_not_there(fps: float) -> None:
    for frames in range(1, 140):
        for clips in (1, 12):
            found = sample_clips(TORCHVISION, frames=frames, fps=fps, clips=clips)
            assert len(found) == clips
            assert {len(clip) for clip in found} == {32}
            assert min(map(min, found)) >= 0
            assert max(map(max, found)) < frames


@pytest.mark.parametrize(
    ("protocol", "fps", "needed"),
    [
        (OFFICIAL, 30, 63),  # the last frame of 32, every second one
        (MMACTION2, 30, 63),
        (replace(OFFICIAL, clip_frames=16, interval_frames=4), 30, 61),
        (UNIFORM, 30, 32),
        (TORCHVISION, 15, 32),
        (TORCHVISION, 30, 63),
        (TORCHVISION, 60, 125),
        (TORCHVISION, 10, 22),
    ],
)
def test_a_video_loops_below_the_length_of_a_clip(
    protocol: InputProtocol, fps: float, needed: int
) -> None:
    assert loops(protocol, frames=needed - 1, fps=fps)
    assert not loops(protocol, frames=needed, fps=fps)


@pytest.mark.parametrize("protocol", [OFFICIAL, MMACTION2, TORCHVISION], ids=lambda p: p.sampling)
def test_a_clip_goes_back_to_an_earlier_frame_exactly_where_the_video_loops(
    protocol: InputProtocol,
) -> None:
    for frames in range(1, 150):
        clips = sample_clips(protocol, frames=frames, fps=30, clips=1)
        goes_back = any(list(clip) != sorted(set(clip)) for clip in clips)
        assert goes_back == loops(protocol, frames=frames, fps=30), frames


@pytest.mark.parametrize("clips", [2, 4])
def test_the_uniform_rule_has_one_clip_to_give(clips: int) -> None:
    with pytest.raises(UsageError, match=f"{clips} clips") as caught:
        sample_clips(UNIFORM, frames=100, fps=30, clips=clips)
    assert "1x3" in caught.value.hint


# --- variable frame rate --------------------------------------------------------------------------

# Four frames at 10 a second, then three of half a second each: it ends at 1.9 s.
BOUNDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.4, 1.9)
FIVE = replace(TORCHVISION, clip_frames=4, frame_rate=5)
# What is shown at 0, 0.2, 0.4, ..., 1.6 s: nine times, as the tenth would end after the video.
SHOWN = (0, 2, 4, 4, 4, 5, 5, 6, 6)


def even_bounds(frames: int, fps: float, first: float = 0.0) -> list[float]:
    return [first + n / fps for n in range(frames + 1)]


def test_at_a_variable_rate_the_frame_that_is_shown_is_taken() -> None:
    one = sample_clips(FIVE, frames=7, fps=3.7, clips=1, bounds=BOUNDS)
    assert one == (SHOWN[2:6],)
    all_starts = sample_clips(FIVE, frames=7, fps=3.7, clips=6, bounds=BOUNDS)
    assert all_starts == tuple(SHOWN[start : start + 4] for start in range(6))
    ten = replace(FIVE, frame_rate=10, clip_frames=19)
    (clip,) = sample_clips(ten, frames=7, fps=3.7, clips=1, bounds=BOUNDS)
    assert clip == (0, 1, 2, 3, *[4] * 5, *[5] * 5, *[6] * 5)


def test_without_bounds_the_average_rate_would_decide() -> None:
    clips = sample_clips(FIVE, frames=7, fps=7 / 1.9, clips=6)
    assert clips != sample_clips(FIVE, frames=7, fps=7 / 1.9, clips=6, bounds=BOUNDS)


@pytest.mark.parametrize("first", [2.0, 0.071, 3600.0])
def test_a_late_first_frame_changes_no_clip(first: float) -> None:
    later = [first + bound for bound in BOUNDS]
    for clips in (1, 2, 6):
        expected = sample_clips(FIVE, frames=7, fps=3.7, clips=clips, bounds=BOUNDS)
        assert sample_clips(FIVE, frames=7, fps=3.7, clips=clips, bounds=later) == expected


@pytest.mark.parametrize("fps", [15.0, 30.0, 45.0, 60.0])
@pytest.mark.parametrize("clips", [1, 3, 12])
def test_even_bounds_give_the_clips_of_a_constant_rate(fps: float, clips: int) -> None:
    step = int(fps / 15)
    for frames in range(step, 120 * step, step):
        bounds = even_bounds(frames, fps, first=2.0)
        found = sample_clips(TORCHVISION, frames=frames, fps=fps, clips=clips, bounds=bounds)
        assert found == sample_clips(TORCHVISION, frames=frames, fps=fps, clips=clips), frames


@pytest.mark.parametrize("protocol", [OFFICIAL, MMACTION2, UNIFORM], ids=lambda p: p.sampling)
def test_rules_that_count_frames_heed_no_bounds(protocol: InputProtocol) -> None:
    bounds = [n / 25 if n < 80 else 3.2 + (n - 80) / 5 for n in range(101)]
    found = sample_clips(protocol, frames=100, fps=25, clips=1, bounds=bounds)
    assert found == sample_clips(protocol, frames=100, fps=25, clips=1)


def test_loops_and_random_clips_by_bounds() -> None:
    assert not loops(replace(FIVE, clip_frames=9), frames=7, fps=3.7, bounds=BOUNDS)
    assert loops(replace(FIVE, clip_frames=10), frames=7, fps=3.7, bounds=BOUNDS)
    (clip,) = sample_clips(replace(FIVE, clip_frames=11), frames=7, fps=3.7, clips=1, bounds=BOUNDS)
    assert clip == (*SHOWN, 0, 2)
    for share, start in ((0.0, 0), (0.5, 3), (0.999, 5)):
        taken = random_clip(FIVE, frames=7, fps=3.7, share=share, bounds=BOUNDS)
        assert taken == SHOWN[start : start + 4]


def test_a_video_of_one_held_frame() -> None:
    (clip,) = sample_clips(FIVE, frames=1, fps=1.0, clips=1, bounds=(0.0, 0.1))
    assert clip == (0, 0, 0, 0)
    (clip,) = sample_clips(FIVE, frames=1, fps=1.0, clips=1, bounds=(2.0, 6.0))
    assert clip == (0, 0, 0, 0)


@pytest.mark.parametrize("stride", [None, Stride(frames=7), Stride(seconds=0.5), Stride(seconds=1)])
@pytest.mark.parametrize("protocol", [OFFICIAL, TORCHVISION], ids=lambda p: p.sampling)
@pytest.mark.parametrize("first", [2.0, 2.023])
def test_windows_of_a_late_first_frame(
    protocol: InputProtocol, stride: Stride | None, first: float
) -> None:
    for step in (1 / 25, 1 / 30):
        times = [n * step for n in range(200)]
        later = [first + time for time in times]
        expected = slide_windows(protocol, times=times, stride=stride)
        assert slide_windows(protocol, times=later, stride=stride) == expected


def test_windows_at_a_variable_rate() -> None:
    """Frames 0.2 s apart; windows start at the first frames from 0, 0.4 and 0.8 s on."""
    times = BOUNDS[:-1]
    for late in (0.0, 2.0):
        found = slide_windows(
            FIVE,
            times=[late + time for time in times],
            stride=Stride(seconds=0.4),
            bounds=[late + bound for bound in BOUNDS],
        )
        assert found == (SHOWN[0:4], SHOWN[2:6], (5, 5, 5, 6))  # frame 5 is shown at 0.9 s


# --- another frame rate ---------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [OFFICIAL, MMACTION2, UNIFORM], ids=lambda p: p.sampling)
def test_clips_at_another_rate_are_those_of_the_video_at_that_rate(
    protocol: InputProtocol,
) -> None:
    """A rule sees the frames that are left, as if there had never been others."""
    clips = 1 if protocol.sampling == "uniform" else 4
    resampled = replace(protocol, frame_rate=10.0)
    every_third = sample_clips(protocol, frames=200, fps=10, clips=clips)
    found = sample_clips(resampled, frames=600, fps=30, clips=clips)
    assert found == tuple(tuple(3 * number for number in clip) for clip in every_third)
    doubled = sample_clips(replace(protocol, frame_rate=60.0), frames=300, fps=30, clips=clips)
    expected = sample_clips(protocol, frames=600, fps=60, clips=clips)
    assert doubled == tuple(tuple(number // 2 for number in clip) for clip in expected)
    one = random_clip(resampled, frames=600, fps=30, share=0.3)
    assert one == tuple(3 * n for n in random_clip(protocol, frames=200, fps=10, share=0.3))
    assert loops(resampled, frames=90, fps=30) == loops(protocol, frames=30, fps=10)


@pytest.mark.parametrize("stride", [None, Stride(frames=30), Stride(seconds=1.0)])
def test_windows_at_another_rate_are_those_of_the_video_at_that_rate(stride: Stride | None) -> None:
    times = [n / 30 for n in range(900)]
    found = slide_windows(replace(OFFICIAL, frame_rate=10.0), times=times, stride=stride)
    own = None if stride is None else Stride(seconds=1.0)
    thirds = slide_windows(OFFICIAL, times=times[::3], stride=own)
    assert found == tuple(tuple(3 * number for number in window) for window in thirds)
