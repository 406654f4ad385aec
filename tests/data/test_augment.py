"""Augmentation: the same for all frames, repeatable, within its bounds."""

import pytest
import torch
from torch import Tensor

from videoswin_cli.data import augment as module
from videoswin_cli.data.augment import Augmentation, augment, random_crop
from videoswin_cli.data.transforms import resize

EVERYTHING = Augmentation(
    crop_area=(0.3, 1.0),
    crop_aspect=(0.75, 1.33),
    flip=True,
    color_jitter=0.4,
    rand_augment=2,
    rand_augment_strength=9,
    erasing=0.5,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def still_clip(frames: int = 5, height: int = 40, width: int = 56) -> Tensor:
    """One picture, several times."""
    picture = torch.randint(0, 256, (height // 8, width // 8, 3), generator=generator(7))
    picture = picture.repeat_interleave(8, 0).repeat_interleave(8, 1).to(torch.uint8)
    return picture.expand(frames, -1, -1, -1).contiguous()


def draw(seed: int = 0) -> module._Draw:
    return module._Draw(generator(seed))


@pytest.mark.parametrize("seed", range(30))
def test_a_still_clip_stays_still(seed: int) -> None:
    clip, _ = augment([still_clip()], EVERYTHING, 32, generator(seed), rule="cv2")
    assert clip.shape == (5, 32, 32, 3)
    assert clip.dtype == torch.uint8
    assert (clip == clip[:1]).all()


def test_what_is_drawn_follows_from_the_seed() -> None:
    draws = [augment([still_clip()], EVERYTHING, 32, generator(n), rule="cv2") for n in (1, 1, 2)]
    clips = [clip for clip, _ in draws]
    assert torch.equal(clips[0], clips[1])
    assert not torch.equal(clips[0], clips[2])


def test_nothing_is_a_plain_resize() -> None:
    clip = still_clip(height=48, width=48)
    found, flipped = augment([clip], Augmentation(), 32, generator(), rule="cv2")
    assert torch.equal(found, resize(clip, (32, 32), rule="cv2"))
    assert not flipped


def test_flips_are_of_half_of_the_clips() -> None:
    clip = still_clip(height=32, width=32)
    count = 0
    for seed in range(200):
        found, flipped = augment([clip], Augmentation(flip=True), 32, generator(seed), rule="cv2")
        assert torch.equal(found, clip.flip(2) if flipped else clip)
        count += flipped
    assert 70 < count < 130


def test_crops_have_the_shares_asked_for() -> None:
    shares, ratios = [], []
    for seed in range(300):
        top, left, height, width = random_crop(200, 300, (0.25, 0.5), (0.5, 2.0), draw(seed))
        assert 0 <= top <= 200 - height
        assert 0 <= left <= 300 - width
        shares.append(height * width / 60_000)
        ratios.append(width / height)
    assert 0.24 < min(shares) < 0.3
    assert 0.45 < max(shares) < 0.51
    assert min(ratios) > 0.48
    assert max(ratios) < 2.1


def test_where_no_crop_fits_it_is_the_largest_in_the_middle() -> None:
    assert random_crop(10, 100, (1.0, 1.0), (1.0, 1.0), draw()) == (0, 45, 10, 10)
    assert random_crop(100, 10, (1.0, 1.0), (1.0, 1.0), draw()) == (45, 0, 10, 10)


@pytest.mark.parametrize("operation", module._OPERATIONS)
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_operations_keep_shape_and_type(operation: module.Operation, strength: float) -> None:
    clip = still_clip()
    for seed in range(3):
        found = operation(clip, strength, draw(seed))
        assert (found.shape, found.dtype) == (clip.shape, clip.dtype)


@pytest.mark.parametrize("operation", module._OPERATIONS)
def test_the_strongest_operations_leave_a_picture(operation: module.Operation) -> None:
    """At 10 of 10, with either sign, none makes one color of it or wraps round at 255."""
    ramp = torch.arange(256).to(torch.uint8)[None, None, :, None]
    clip = ramp.expand(2, 64, 256, 3).contiguous()
    for seed in range(8):
        found = operation(clip, 1.0, draw(seed))
        assert len(found.unique()) >= 12
        middle = found[0, 32, 118:138, 0].int()  # what no shift, shear or turn takes away
        steps = middle.diff()
        assert steps.sign().unique().numel() <= 2, "it rises or falls, and never jumps back"
    for edge in (0, 255):
        assert operation(torch.full_like(clip, edge), 1.0, draw()).shape == clip.shape


def test_operations_of_no_strength_change_nothing() -> None:
    clip = still_clip()
    adaptive = (module._auto_contrast, module._equalize)
    for operation in module._OPERATIONS:
        if operation not in adaptive:
            difference = operation(clip, 0.0, draw()).int() - clip.int()
            assert difference.abs().max() <= 1, operation


def test_warps_move_the_right_way() -> None:
    clip = torch.zeros(1, 40, 60, 3, dtype=torch.uint8)
    clip[:, 18:22, 28:32] = 255

    def middle(frames: Tensor) -> Tensor:
        return (frames[0, ..., 0] > 128).nonzero().float().mean(dim=0)

    turned = module._rotate(clip, 1.0, draw())
    assert (middle(turned) - middle(clip)).abs().max() < 1
    square = torch.full((1, 40, 60, 3), 128, dtype=torch.uint8)
    square[:, :, 50:] = 255
    moved = module._warp(square, ((1, 0), (0, 1)), shift=(0.5, 0.0))
    assert (moved[0, 20, 37:44, 0] > 200).all(), "the picture goes left by a quarter of its width"


def test_a_histogram_is_made_flat() -> None:
    clip = torch.randint(100, 120, (2, 32, 32, 3), generator=generator()).to(torch.uint8)
    for operation in (module._equalize, module._auto_contrast):
        found = operation(clip, 1.0, draw())
        assert found.min() == 0
        assert found.max() == 255
        flat = torch.full((2, 8, 8, 3), 77, dtype=torch.uint8)
        assert torch.equal(operation(flat, 1.0, draw()), flat)
