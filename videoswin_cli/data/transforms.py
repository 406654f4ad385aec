"""Resize, crop and normalize, to the last bit as the references do. Tensor to tensor.

Frames are uint8 (frames, height, width, 3) RGB until `normalize`; the references round to 8 bits
after the resize too, so nothing is lost, and views travel at a quarter of their float size.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.records import ResizeRule

Box = tuple[slice, slice]  # rows and columns, in px

_ALL = slice(None)
_WEIGHT_BITS = 11  # cv2's bilinear weights are multiples of 1/2048
_LARGE = 1 << 24  # px of a picture, before or after; float copies of such ones take too much memory


def resized_size(height: int, width: int, *, short_side: int, rule: ResizeRule) -> tuple[int, int]:
    """(height, width) in px after the short side became `short_side`.

    mmcv rounds the long side half up, torchvision truncates it: 298 against 297 for 340x256.
    """
    short = min(height, width)
    if rule == "torchvision":
        long = int(short_side * max(height, width) / short)
        return (short_side, long) if height <= width else (long, short_side)
    scale = short_side / short
    return int(height * scale + 0.5), int(width * scale + 0.5)


def resize(
    frames: Tensor, size: tuple[int, int], *, rule: ResizeRule, box: Box | None = None
) -> Tensor:
    """Bilinear resize without antialiasing: uint8 (T, H, W, 3) -> uint8 (T, *size, 3).

    With a `box` only that part of the result is made and returned.
    """
    rows, columns = box or (_ALL, _ALL)
    if size == tuple(frames.shape[1:3]):
        return frames[:, rows, columns]
    if rule == "cv2":
        return resize_cv2(frames, size, rows, columns)
    if max(frames.shape[1] * frames.shape[2], size[0] * size[1]) > _LARGE:
        return _resize_part(frames, size, rows, columns)
    return resize_torchvision(frames, size)[:, rows, columns]


def resize_cv2(
    frames: Tensor, size: tuple[int, int], rows: slice = _ALL, columns: slice = _ALL
) -> Tensor:
    """OpenCV's uint8 `INTER_LINEAR`, bit for bit, in integers: uint8 (T, H, W, C) in and out.

    The arithmetic is OpenCV's fixed-point path, equal in 4.10, 4.12 and 5.0. Of the result of
    `size`, (height, width), only `rows` and `columns` are made.
    """
    T, H, W, C = frames.shape
    if (2 * size[0], 2 * size[1]) == (H, W):  # OpenCV takes the mean of 2x2 pixels then
        (top_row, end_row, _), (first, last, _) = rows.indices(size[0]), columns.indices(size[1])
        part = frames[:, 2 * top_row : 2 * end_row, 2 * first : 2 * last]
        fours = part.reshape(T, end_row - top_row, 2, last - first, 2, C)
        sums = fours.sum(dim=(2, 4), dtype=torch.int16)
        return (sums + 2).bitwise_right_shift_(2).to(torch.uint8)

    left, left_weight, right_weight = _cv2_taps(W, size[1], columns, clamp_weights=True)
    top, top_weight, bottom_weight = _cv2_taps(H, size[0], rows, clamp_weights=False)
    height, width = len(top), len(left)
    bottom = (top + 1).clamp(0, H - 1)
    top = top.clamp(0, H - 1)  # not in place: the taps are cached
    # Only source rows that some output row needs are resized along the width.
    needed, positions = torch.unique(torch.cat([top, bottom]), return_inverse=True)
    top, bottom = positions[:height], positions[height:]
    right = (left + 1).clamp(max=W - 1)
    # Nor are the columns before the first one and behind the last one.
    begin, end = int(left[0]), int(right[-1]) + 1
    left, right = left - begin, right - begin

    # Columns and channels in one axis, so that the innermost loops are long. The width pass runs in
    # float32, where gathering is fastest: its integers stay below 2**24, so it is exact, and the
    # weights carry the 4 bits that OpenCV drops between the passes.
    channels = torch.arange(C)
    left_columns = (left[:, None] * C + channels).flatten()
    right_columns = (right[:, None] * C + channels).flatten()
    left_weight = (left_weight / 16).repeat_interleave(C)
    right_weight = (right_weight / 16).repeat_interleave(C)
    top_weight, bottom_weight = top_weight[:, None], bottom_weight[:, None]
    out = torch.empty((T, height, width * C), dtype=torch.uint8)
    # One frame at a time, in buffers that stay in the cache and are not paged in anew each time.
    source = torch.empty((len(needed), (end - begin) * C))
    across, across_right = torch.empty((2, len(needed), width * C))
    whole = torch.empty((len(needed), width * C), dtype=torch.int32)
    total, below = torch.empty((2, height, width * C), dtype=torch.int32)
    rounding = torch.tensor(2 << 16, dtype=torch.int32)  # half of the last shift, by 2 bits
    for frame, target in zip(frames.reshape(T, H, W * C), out, strict=True):
        part = frame[:, begin * C : end * C]
        source.copy_(part if len(needed) == H else part.index_select(0, needed))
        _take_columns(source, left_columns, out=across).mul_(left_weight)
        _take_columns(source, right_columns, out=across_right)
        whole.copy_(across.addcmul_(across_right, right_weight))  # floor: nothing is negative
        # Each product loses its low 16 bits before they are added. Clearing those of the first is
        # enough: the other's cannot carry then, and go with the last shift.
        torch.index_select(whole, 0, top, out=total)
        torch.addcmul(rounding, total, top_weight, out=total).bitwise_and_(-1 << 16)
        torch.index_select(whole, 0, bottom, out=below)
        target.copy_(total.addcmul_(below, bottom_weight).bitwise_right_shift_(18))
    return out.view(T, height, width, C)


def _take_columns(rows: Tensor, columns: Tensor, *, out: Tensor) -> Tensor:
    """`rows[:, columns]`. index_select is the faster one in one thread, gather runs in several."""
    if torch.get_num_threads() == 1:
        return torch.index_select(rows, 1, columns, out=out)
    return torch.gather(rows, 1, columns.expand(len(rows), -1), out=out)


def resize_torchvision(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Torchvision's tensor resize with antialias off: float bilinear, rounded half to even."""
    planes = frames.permute(0, 3, 1, 2).to(torch.float32)
    planes = F.interpolate(planes, size=size, mode="bilinear", align_corners=False)
    return planes.round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _resize_part(frames: Tensor, size: tuple[int, int], rows: slice, columns: slice) -> Tensor:
    """As `resize_torchvision`, from the source pixels that a part needs, and no others."""

    def find_taps(source: int, target: int, wanted: slice) -> tuple[Tensor, Tensor, Tensor]:
        scale = torch.tensor(source, dtype=torch.float32) / target
        places = torch.arange(*wanted.indices(target), dtype=torch.float32) + 0.5
        center = (places * scale - 0.5).clamp_(min=0)
        first = center.to(torch.int64).clamp_(max=source - 1)
        return first, (first + 1).clamp(max=source - 1), center - first

    (top, bottom, down) = find_taps(frames.shape[1], size[0], rows)
    (left, right, across) = find_taps(frames.shape[2], size[1], columns)
    down, across = down[:, None, None], across[:, None]
    out = torch.empty((len(frames), len(top), len(left), 3), dtype=torch.uint8)
    for frame, target in zip(frames, out, strict=True):
        upper, lower = (
            frame[row][:, left] * (1 - across) + frame[row][:, right] * across
            for row in (top, bottom)
        )
        target.copy_((upper * (1 - down) + lower * down).round_())
    return out


def crop_corners(
    height: int, width: int, *, crop_size: int, crops: int, rule: ResizeRule
) -> tuple[tuple[int, int], ...]:
    """(top, left) in px of every crop, in the order of the references.

    One crop is the center. Three go along the longer side: first, last, middle (left, right,
    middle; top, bottom, middle for portrait). With an odd margin the second stops a pixel short of
    the edge, as mmaction's `ThreeCrop` does.
    """
    assert min(height, width) >= crop_size, (height, width, crop_size)
    if crops == 1:
        if rule == "torchvision":
            return ((round((height - crop_size) / 2), round((width - crop_size) / 2)),)
        return (((height - crop_size) // 2, (width - crop_size) // 2),)
    assert crops == 3, crops
    step = (max(height, width) - crop_size) // 2
    offsets = (0, 2 * step, step)
    return tuple((offset, 0) if height > width else (0, offset) for offset in offsets)


def normalize(
    views: Tensor, *, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype
) -> Tensor:
    """uint8 (B, T, H, W, 3) -> float (B, 3, T, H, W), (x - mean) / std on the scale 0..255."""
    values = views.to(torch.float32)
    values = (values - values.new_tensor(mean)).div_(values.new_tensor(std))
    return values.permute(0, 4, 1, 2, 3).to(dtype)


def _cv2_taps(
    source: int, target: int, wanted: slice, *, clamp_weights: bool
) -> tuple[Tensor, Tensor, Tensor]:
    first, last, _ = wanted.indices(target)
    return _find_cv2_taps(source, target, first, last, clamp_weights=clamp_weights)


@lru_cache(maxsize=64)
def _find_cv2_taps(
    source: int, target: int, begin: int, end: int, *, clamp_weights: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """First source position and integer weights of two neighbors, for target pixels of a range.

    `clamp_weights`: along the width OpenCV moves taps beyond the border to it, with weight 0 for
    the second; along the height it keeps the weights and clamps the two rows instead.
    """
    center = (torch.arange(begin, end, dtype=torch.float64) + 0.5) * (source / target) - 0.5
    center = center.to(torch.float32)
    first = center.floor()
    fraction = center - first
    if clamp_weights:
        outside = (first < 0) | (first >= source - 1)
        fraction = fraction.masked_fill(outside, 0.0)
        first = first.clamp(0, source - 1)
    unit = float(1 << _WEIGHT_BITS)
    second_weight = (fraction * unit).round().to(torch.int32)
    first_weight = ((1.0 - fraction) * unit).round().to(torch.int32)
    return first.to(torch.int64), first_weight, second_weight
