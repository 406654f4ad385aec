"""Which frames a segment of a video has."""

from dataclasses import replace
from pathlib import Path

import pytest
from make_video import as_parts, read_number, write_video

from videoswin_cli.data.augment import Augmentation
from videoswin_cli.data.check import find_broken_videos
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.segments import find_span
from videoswin_cli.data.training_dataset import TrainingClip, TrainingClips
from videoswin_cli.errors import VideoError
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import Segment


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames at 25 a second: 1.6 s."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=40)


def frames(start: float, end: float | None) -> Segment:
    return Segment(start=start, end=end, unit="frames")


@pytest.mark.parametrize(
    ("segment", "first", "count", "noted"),
    [
        (None, 0, 40, False),
        (Segment(start=0, end=None), 0, 40, False),
        (Segment(start=0.4, end=0.8), 10, 10, False),
        (Segment(start=0.8, end=2.0), 20, 20, False),  # within half a second of the end
        (Segment(start=0.8, end=10), 20, 20, True),
        (frames(10, 20), 10, 10, False),
        (frames(10, None), 10, 30, False),
        (frames(39, 40), 39, 1, False),
        (frames(30, 60), 30, 10, True),
    ],
)
def test_a_segment_has_these_frames(
    segment: Segment | None, first: int, count: int, noted: bool, clip: Path
) -> None:
    with open_video(clip) as video:
        span = find_span(video, segment)
    assert (span.first, span.count, bool(span.notes)) == (first, count, noted)


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        (Segment(start=3, end=4), "no frame from 3 s to 4 s"),
        (frames(40, 50), "no frame 40: it has 40 frames"),
    ],
)
def test_a_segment_behind_the_end_is_an_error(segment: Segment, reason: str, clip: Path) -> None:
    with open_video(clip) as video, pytest.raises(VideoError, match=reason):
        find_span(video, segment)


def test_clips_to_train_on_stay_within_their_segment(tmp_path: Path) -> None:
    path = write_video(tmp_path / "square.mp4", frames=60, size=(48, 48))
    protocol = replace(
        load_spec("swin-tiny-k400").protocol, clip_frames=4, interval_frames=2, crop_size=48
    )
    clips = TrainingClips(
        as_parts(path, segment=frames(20, 40)),
        protocol=protocol,
        augmentation=Augmentation(),
        opening=OpenOptions(),
        seed=0,
    )
    seen = set()
    for draw in range(20):
        clip = clips[0, draw]
        assert isinstance(clip, TrainingClip), clip
        numbers = [read_number(image.numpy()) for image in clip.frames]
        assert numbers == list(range(numbers[0], numbers[0] + 8, 2))
        seen.add(numbers[0])
    assert min(seen) >= 20
    assert max(seen) + 6 < 40
    assert len(seen) > 5


def test_a_segment_behind_the_end_is_left_out_of_a_training(clip: Path) -> None:
    parts = [*as_parts(clip), *as_parts(clip, segment=frames(50, 60))]
    whole, behind = find_broken_videos(parts, workers=0)
    assert whole is None
    assert behind == "no frame 50: it has 40 frames, counted from 0"
