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

from videoswin_cli.data.sampling import loops, sample_clips
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.records import Protocol

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
    protocol: Protocol, fps: float, needed: int
) -> None:
    assert loops(protocol, frames=needed - 1, fps=fps)
    assert not loops(protocol, frames=needed, fps=fps)


@pytest.mark.parametrize("protocol", [OFFICIAL, MMACTION2, TORCHVISION], ids=lambda p: p.sampling)
def test_a_clip_goes_back_to_an_earlier_frame_exactly_where_the_video_loops(
    protocol: Protocol,
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
