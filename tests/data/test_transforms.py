"""Resize, crops and normalization against OpenCV, mmcv and torchvision."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from videoswin_cli.data.transforms import (
    crop_corners,
    normalize,
    resize,
    resize_cv2,
    resize_torchvision,
    resized_size,
)
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.records import ResizeRule

GOLDEN = Path(__file__).parents[1] / "golden"
NUMBERS = json.loads((GOLDEN / "resize.json").read_text())
SMALL = (
    "48x64_to_45x60", "64x48_to_60x45", "37x53_to_64x92", "100x60_to_37x22", "64x64_to_32x32",
    "40x64_to_56x90", "90x160_to_28x50", "51x51_to_51x51", "33x70_to_17x70", "20x30_to_41x61",
)  # fmt: skip


def pair(text: str) -> tuple[int, int]:
    first, second = map(int, text.split("x"))
    return first, second


def synthetic_image(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    board = np.where((x // 4 + y // 4) % 2, 255, 0)
    channels = [(3 * x + 5 * y) % 256, ((x * y) // 7 + 11 * x) % 256, board]
    return np.stack(channels, axis=-1).astype(np.uint8)


def random_frames(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def slow_cv2(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """OpenCV's recipe, pixel by pixel: (H, W, C) uint8 -> (*size, C)."""

    def taps(source: int, target: int, *, inside: bool) -> list[tuple[int, int, int, int]]:
        found = []
        for i in range(target):
            place = np.float32((i + 0.5) * (source / target) - 0.5)
            first = int(np.floor(place))
            fraction = np.float32(place - np.float32(first))
            if inside and first < 0:
                first, fraction = 0, np.float32(0)
            if inside and first >= source - 1:
                first, fraction = source - 1, np.float32(0)
            near, far = np.rint((np.float32(1) - fraction) * 2048), np.rint(fraction * 2048)
            low, high = (min(max(n, 0), source - 1) for n in (first, first + 1))
            found.append((low, high, int(near), int(far)))
        return found

    height, width = size
    columns = taps(image.shape[1], width, inside=True)
    out = np.zeros((height, width, image.shape[2]), dtype=np.uint8)
    for y, (top, bottom, above, below) in enumerate(taps(image.shape[0], height, inside=False)):
        for x, (left, right, near, far) in enumerate(columns):
            for c in range(image.shape[2]):
                h0, h1 = (
                    int(image[row, left, c]) * near + int(image[row, right, c]) * far
                    for row in (top, bottom)
                )
                value = (((above * (h0 >> 4)) >> 16) + ((below * (h1 >> 4)) >> 16) + 2) >> 2
                out[y, x, c] = min(max(value, 0), 255)
    return out


# --- cv2's resize ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SMALL)
def test_small_images_equal_those_of_opencv(case: str) -> None:
    source, target = case.split("_to_")
    image = synthetic_image(*pair(source))
    assert zlib.crc32(image.tobytes()) == NUMBERS["source_crc32"][source]
    with np.load(GOLDEN / "cv2_resize.npz") as arrays:
        expected = arrays[case]
    for _ in range(2):  # the weights of the first call are kept for the second
        found = resize_cv2(torch.from_numpy(image)[None], pair(target))
        np.testing.assert_array_equal(found[0].numpy(), expected)


@pytest.mark.parametrize("case", NUMBERS["large_crc32"])
def test_video_sized_images_equal_those_of_opencv(case: str) -> None:
    source, target = map(pair, case.split("_to_"))
    found = resize_cv2(torch.from_numpy(synthetic_image(*source))[None], target)
    assert zlib.crc32(found.numpy().tobytes()) == NUMBERS["large_crc32"][case]


@pytest.mark.parametrize("seed", range(40))
def test_images_of_any_size_follow_the_integer_recipe(seed: int) -> None:
    height, width, *size = np.random.default_rng(seed).integers(1, 48, 4).tolist()
    if (2 * size[0], 2 * size[1]) == (height, width):
        size[0] += 1  # another recipe
    frames = random_frames(2, height, width, 3, seed=seed)
    found = resize_cv2(frames, tuple(size))
    for image, resized in zip(frames.numpy(), found.numpy(), strict=True):
        np.testing.assert_array_equal(resized, slow_cv2(image, tuple(size)))


@pytest.mark.parametrize(
    ("source", "size"),
    [((448, 448), (224, 224)), ((6, 2), (3, 1)), ((512, 680), (256, 340))],
)
def test_halving_both_sides_takes_the_mean_of_four_pixels(
    source: tuple[int, int], size: tuple[int, int]
) -> None:
    frames = random_frames(2, *source, 3)
    values = frames.numpy().astype(int)
    four = [values[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    np.testing.assert_array_equal(resize_cv2(frames, size).numpy(), (sum(four) + 2) >> 2)


@pytest.mark.parametrize("size", [(20, 30), (40, 15), (20, 14)])
def test_halving_one_side_alone_is_ordinary(size: tuple[int, int]) -> None:
    frames = random_frames(1, 40, 30, 3)
    found = resize_cv2(frames, size)[0].numpy()
    np.testing.assert_array_equal(found, slow_cv2(frames[0].numpy(), size))


@pytest.mark.parametrize("rule", ["cv2", "torchvision"])
def test_a_frame_of_the_right_size_stays_as_it_is(rule: ResizeRule) -> None:
    frames = random_frames(2, 24, 33, 3)
    assert torch.equal(resize(frames, (24, 33), rule=rule), frames)
    assert torch.equal(resize_cv2(frames, (24, 33)), frames)


@pytest.mark.parametrize("size", [(20, 27), (16, 20), (50, 64)], ids=["shrink", "halve", "grow"])
@pytest.mark.parametrize("rule", ["cv2", "torchvision"])
def test_frames_need_not_be_contiguous(rule: ResizeRule, size: tuple[int, int]) -> None:
    views = {
        "every second frame": random_frames(6, 32, 40, 3)[::2],
        "margin cut off": random_frames(3, 32, 48, 3)[:, :, :40],
        "planes": random_frames(3, 3, 32, 40).permute(0, 2, 3, 1),
        "turned": random_frames(3, 40, 32, 3).transpose(1, 2),
    }
    for name, frames in views.items():
        assert not frames.is_contiguous(), name
        expected = resize(frames.contiguous(), size, rule=rule)
        before = frames.clone()
        assert torch.equal(resize(frames, size, rule=rule), expected), name
        assert torch.equal(frames, before), f"{name}: the input was written to"


@pytest.mark.parametrize(
    ("source", "size"), [((48, 64), (30, 40)), ((30, 41), (45, 62)), ((64, 48), (32, 24))]
)
def test_torchvision_rule_is_float_interpolation_rounded(
    source: tuple[int, int], size: tuple[int, int]
) -> None:
    frames = random_frames(2, *source, 3)
    planes = frames.permute(0, 3, 1, 2).double()
    exact = F.interpolate(planes, size=size, mode="bilinear", align_corners=False, antialias=False)
    found = resize(frames, size, rule="torchvision")
    assert found.dtype == torch.uint8
    assert found.is_contiguous()
    assert torch.equal(found, resize_torchvision(frames, size))
    error = (found.permute(0, 3, 1, 2).double() - exact).abs()
    assert float(error.max()) <= 0.5 + 1e-4


def test_torchvision_rule_rounds_halves_to_even() -> None:
    frames = random_frames(2, 64, 48, 3)
    four = sum(frames[:, row::2, column::2].int() for row in (0, 1) for column in (0, 1))
    halves = resize(frames, (32, 24), rule="torchvision")[four % 4 == 2]
    assert halves.numel() > 1000
    assert not (halves % 2).any()


def test_the_two_rules_differ_by_a_gray_level() -> None:
    frames = random_frames(1, 120, 160, 3)
    cv2, torchvision = (resize(frames, (90, 121), rule=rule) for rule in ("cv2", "torchvision"))
    difference = (cv2.int() - torchvision.int()).abs()
    assert int(difference.max()) == 1
    assert 0.01 < float(difference.float().mean()) < 0.2


# --- sizes and crops ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "table"), [("cv2", "sizes_w_h"), ("torchvision", "torchvision_sizes_w_h")]
)
def test_sizes_are_those_of_the_references(rule: ResizeRule, table: str) -> None:
    for source, sizes in NUMBERS[table].items():
        width, height = pair(source)
        for short_side, expected in sizes.items():
            size = resized_size(height, width, short_side=int(short_side), rule=rule)
            assert list(size[::-1]) == expected, (source, short_side)


def test_torchvision_sizes_of_portrait_are_those_of_landscape_turned() -> None:
    for source in NUMBERS["torchvision_sizes_w_h"]:
        width, height = pair(source)
        landscape = resized_size(height, width, short_side=224, rule="torchvision")
        portrait = resized_size(width, height, short_side=224, rule="torchvision")
        assert portrait == landscape[::-1]


@pytest.mark.parametrize("rule", ["cv2", "torchvision"])
def test_the_short_side_is_always_exact(rule: ResizeRule) -> None:
    for long in range(100, 2100, 7):
        for short_side in (224, 256):
            size = resized_size(97, long, short_side=short_side, rule=rule)
            assert size[0] == short_side, long
            assert size[1] >= short_side, long


def boxes(width: int, height: int, *, crops: int, rule: ResizeRule) -> list[list[int]]:
    corners = crop_corners(height, width, crop_size=224, crops=crops, rule=rule)
    return [[left, top, left + 224, top + 224] for top, left in corners]


@pytest.mark.parametrize("rule", ["cv2", "torchvision"])
@pytest.mark.parametrize("size", NUMBERS["three_crops"])
def test_three_crops_are_those_of_the_references(size: str, rule: ResizeRule) -> None:
    assert boxes(*pair(size), crops=3, rule=rule) == NUMBERS["three_crops"][size]


@pytest.mark.parametrize("size", NUMBERS["centre_crop"])
def test_the_center_is_that_of_the_references(size: str) -> None:
    assert boxes(*pair(size), crops=1, rule="cv2") == [NUMBERS["centre_crop"][size]]


@pytest.mark.parametrize("size", NUMBERS["torchvision_centre_left"])
def test_the_center_of_torchvision_is_rounded(size: str) -> None:
    ((_top, left),) = crop_corners(*pair(size)[::-1], crop_size=224, crops=1, rule="torchvision")
    assert left == NUMBERS["torchvision_centre_left"][size]
    turned = crop_corners(*pair(size), crop_size=224, crops=1, rule="torchvision")
    assert turned[0][0] == left


# --- normalization --------------------------------------------------------------------------------


def test_normalization_is_that_of_the_references() -> None:
    protocol = load_spec("swin-tiny-k400").protocol
    views = random_frames(2, 4, 5, 6, 3)
    found = normalize(views, mean=protocol.mean, std=protocol.std, dtype=torch.float32)
    assert found.shape == (2, 3, 4, 5, 6)
    assert found.dtype == torch.float32
    for channel, (mean, std) in enumerate([(123.675, 58.395), (116.28, 57.12), (103.53, 57.375)]):
        exact = (views[..., channel].numpy().astype(np.float64) - mean) / std
        np.testing.assert_allclose(found[:, channel].numpy(), exact, rtol=0, atol=5e-7)


@pytest.mark.parametrize(
    ("channel", "gray", "value"),  # from the references' tensors, six digits
    [
        (0, 222, 1.683791),
        (0, 98, -0.439678),
        (0, 0, -2.117904),
        (1, 98, -0.320028),
        (2, 0, -1.804444),
    ],
)
def test_normalized_values(channel: int, gray: int, value: float) -> None:
    protocol = load_spec("swin-tiny-k400").protocol
    views = torch.full((1, 1, 1, 1, 3), gray, dtype=torch.uint8)
    found = normalize(views, mean=protocol.mean, std=protocol.std, dtype=torch.float32)
    assert float(found[0, channel]) == pytest.approx(value, abs=1e-6)


def test_half_precision_is_rounded_once_and_at_the_end() -> None:
    views = random_frames(1, 4, 8, 8, 3)
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    single = normalize(views, mean=mean, std=std, dtype=torch.float32)
    half = normalize(views, mean=mean, std=std, dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, single.to(torch.bfloat16))


@pytest.mark.parametrize("rule", ["cv2", "torchvision"])
@pytest.mark.parametrize(
    "size", [(20, 27), (16, 20), (50, 64), (32, 40)], ids=["shrink", "halve", "grow", "keep"]
)
def test_a_box_is_that_part_of_the_whole(rule: ResizeRule, size: tuple[int, int]) -> None:
    frames = random_frames(2, 32, 40, 3)
    whole = resize(frames, size, rule=rule)
    for box in ((slice(0, 5), slice(3, 11)), (slice(7, size[0]), slice(13, size[1]))):
        assert torch.equal(resize(frames, size, rule=rule, box=box), whole[:, box[0], box[1]])


@pytest.mark.parametrize("rule", ["cv2", "torchvision"])
@pytest.mark.parametrize("shape", [(2, 3000), (3000, 2), (16, 2000)])
def test_a_box_of_a_long_picture_is_that_part_of_the_whole(
    rule: ResizeRule, shape: tuple[int, int]
) -> None:
    frames = random_frames(2, *shape, 3)
    size = resized_size(*shape, short_side=24, rule=rule)
    whole = resize(frames, size, rule=rule)
    for share in (0.0, 0.4, 1.0):
        top, left = (int(share * (side - 24)) for side in size)
        box = (slice(top, top + 24), slice(left, left + 24))
        assert torch.equal(resize(frames, size, rule=rule, box=box), whole[:, box[0], box[1]])


@pytest.mark.parametrize("size", [(30, 40), (90, 121), (60, 224)])
def test_parts_of_large_pictures_follow_the_torchvision_rule(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the order of its sums: half way between two gray levels it may take either."""
    frames = random_frames(2, 48, 64, 3)
    expected = resize(frames, size, rule="torchvision")
    monkeypatch.setattr("videoswin_cli.data.transforms._LARGE", 100)
    found = resize(frames, size, rule="torchvision")
    difference = (found.int() - expected.int()).abs()
    assert int(difference.max()) <= 1
    assert float((difference > 0).float().mean()) < 0.01
    box = (slice(5, 25), slice(7, 30))
    assert torch.equal(resize(frames, size, rule="torchvision", box=box), found[:, 5:25, 7:30])


@pytest.mark.parametrize("rule", ["cv2", "torchvision"])
def test_a_crop_of_a_picture_of_millions_of_columns_takes_little_memory(rule: ResizeRule) -> None:
    """The whole result would have 224 x 3,584,000 pixels: 2.4 GB, and four times that as float."""
    frames = random_frames(1, 2, 32000, 3)
    size = resized_size(2, 32000, short_side=224, rule=rule)
    assert size == (224, 3584000)
    left = size[1] - 224
    found = resize(frames, size, rule=rule, box=(slice(0, 224), slice(left, size[1])))
    assert found.shape == (1, 224, 224, 3)
    assert torch.equal(found[0, 0, -1], frames[0, 0, -1])
