"""What a training clip is, and what it is in a mirror."""

from pathlib import Path

import pytest
import torch
from make_video import write_video
from tiny import PROTOCOL

from videoswin_cli.data.augment import Augmentation
from videoswin_cli.data.directions import choose_flips
from videoswin_cli.data.training_dataset import TrainingClip, TrainingClips
from videoswin_cli.io.paths import configs_dir
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import ListedVideo, VideoPart
from videoswin_cli.training.inputs import CachedClip, mark_classes
from videoswin_cli.training.targets import Targets

FRAMES = torch.zeros(4, 32, 32, 3, dtype=torch.uint8)


def clip(number: int, *, flipped: bool) -> TrainingClip:
    return TrainingClip(video=number, frames=FRAMES, flipped=flipped, seconds=0.0)


def test_a_mirrored_clip_from_left_to_right_goes_from_right_to_left() -> None:
    """By value: Something-Something's class 86 becomes 87, and back; others stay."""
    path = configs_dir() / "labels" / "sthv2.txt"
    labels = path.read_text(encoding="utf-8").splitlines()
    flips = choose_flips("swap", labels)
    videos = [
        ListedVideo(path=str(label), file=None, label=label, line=1)
        for label in (86, 87, 93, 167, 50)
    ]
    targets = Targets(marks=mark_classes(videos, len(labels)), partners=flips.partners)
    mirrored = targets.of([clip(number, flipped=True) for number in range(5)])
    assert mirrored.argmax(dim=1).tolist() == [87, 86, 94, 166, 50]
    assert mirrored.sum(dim=1).tolist() == [1.0] * 5
    plain = targets.of([clip(number, flipped=False) for number in range(5)])
    assert plain.argmax(dim=1).tolist() == [86, 87, 93, 167, 50]
    mixed = targets.of([clip(0, flipped=True), clip(0, flipped=False), clip(2, flipped=True)])
    assert mixed.argmax(dim=1).tolist() == [87, 86, 94]
    assert torch.equal(targets.marks, mark_classes(videos, len(labels))), "the list stays"


def test_each_of_several_classes_is_exchanged() -> None:
    marks = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    targets = Targets(marks=marks, partners=(1, 0, 2))
    found = targets.of([clip(number, flipped=True) for number in range(3)])
    assert found.tolist() == [[0, 1, 1], [1, 1, 0], [0, 0, 1]]


def test_without_partners_a_mirrored_clip_keeps_its_class() -> None:
    targets = Targets(marks=torch.eye(3))
    assert torch.equal(targets.of([clip(2, flipped=True)]), torch.eye(3)[2:])


def test_features_are_never_mirrored_and_no_items_are_one_row() -> None:
    targets = Targets(marks=torch.eye(3), partners=(1, 0, 2))
    assert torch.equal(targets.of([CachedClip(video=0, features=torch.zeros(2))]), torch.eye(3)[:1])
    assert targets.of([]).shape == (1, 3)


@pytest.mark.parametrize("draw", range(8))
def test_a_clip_knows_whether_it_was_mirrored(draw: int, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", frames=8, seed=1)
    found = []
    for flip in (False, True):
        clips = TrainingClips(
            [VideoPart(path=str(tmp_path / "a.mp4"))],
            protocol=PROTOCOL,
            augmentation=Augmentation(flip=flip),
            opening=OpenOptions(),
            seed=0,
        )
        item = clips[0, draw]
        assert isinstance(item, TrainingClip)
        found.append(item)
    plain, drawn = found
    assert not plain.flipped
    assert torch.equal(drawn.frames, plain.frames.flip(2) if drawn.flipped else plain.frames)
    assert not torch.equal(plain.frames, plain.frames.flip(2))
