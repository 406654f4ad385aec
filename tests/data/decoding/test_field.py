"""Files with faults that users of video tools reported, held against what FFmpeg shows of them.

FFmpeg 5, which gave the truth, reads nothing of anim.webp: what it was made of stands for it.
"""

from typing import Any

import field_frames
import numpy as np
import pytest
from field_frames import FOLDER, Image

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.options.run import DecoderChoice

TRUTH = field_frames.read_truth()
FIRST_TIMES = {"late3.mkv": 2.023, "late3.mp4": 2.0, "seg1.mkv": 0.071}  # s; 0 for the others

pytestmark = pytest.mark.parametrize("decoder", ["auto", "pyav"])
of_every_file = pytest.mark.parametrize("name", TRUTH)


def expand(runs: list[list[int]]) -> list[int]:
    return [number for first, last in runs for number in range(first, last + 1)]


def expected_times(truth: dict[str, Any]) -> list[float]:
    """Seconds after the first frame.

    FFmpeg makes up stamps for remuxed_h264.avi, whose container has none: uneven ones. Its truth
    here is the rate that the file states.
    """
    even = [number / 25 for number in range(truth["frames"])]
    times: list[float] = truth.get("times", even)
    return times


def read_all(name: str, decoder: DecoderChoice) -> Image:
    with open_video(FOLDER / name, decoder=decoder) as video:
        return video.read_frames(range(video.info.frames))


@of_every_file
def test_frames_size_order_and_orientation(name: str, decoder: DecoderChoice) -> None:
    truth = TRUTH[name]
    with open_video(FOLDER / name, decoder=decoder) as video:
        assert video.info.frames == truth["frames"]
        assert [video.info.width, video.info.height] == truth["size"]
        images = video.read_frames(range(video.info.frames))
    if truth["numbers"] is not None:
        assert [field_frames.read_number(image) for image in images] == expand(truth["numbers"])
        assert field_frames.read_orientation(images[0]) == truth["orientation"]


@of_every_file
def test_times(name: str, decoder: DecoderChoice) -> None:
    expected = expected_times(TRUTH[name])
    with open_video(FOLDER / name, decoder=decoder) as video:
        times = np.array(video.timestamps())
        info = video.info
    assert info.constant_rate == (name == "slides.webm" or "times" not in TRUTH[name])
    if info.constant_rate:
        assert info.fps == pytest.approx(1 / expected[1], rel=1e-6)
    assert times[0] == pytest.approx(FIRST_TIMES.get(name, 0.0), abs=1e-3)
    np.testing.assert_allclose(times - times[0], expected, atol=2e-3)


@of_every_file
def test_single_reads_of_fresh_opens_give_the_frames_of_the_whole_read(
    name: str, decoder: DecoderChoice
) -> None:
    images = read_all(name, decoder)
    count = len(images)
    for number in sorted({0, count // 3, count * 4 // 5, count - 1}):
        with open_video(FOLDER / name, decoder=decoder) as video:
            np.testing.assert_array_equal(video.read_frames([number])[0], images[number])


@of_every_file
def test_jumps_within_an_open_video_give_the_frames_of_the_whole_read(
    name: str, decoder: DecoderChoice
) -> None:
    images = read_all(name, decoder)
    order = np.random.default_rng(0).permutation(len(images))[:8].tolist()
    with open_video(FOLDER / name, decoder=decoder) as video:
        for number in order:
            np.testing.assert_array_equal(video.read_frames([number])[0], images[number])
        np.testing.assert_array_equal(video.read_frames(order), images[order])
