"""OpenCV's resize in one piece, for a device where many small operations are slow."""

import torch
from torch import Tensor

from videoswin_cli.data.transforms import _find_cv2_taps, resize_cv2


def resize_cv2_at_once(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """As `resize_cv2`, bit for bit, on the device of the frames: uint8 (T, H, W, C) in and out."""
    H, W = frames.shape[1:3]
    if (2 * size[0], 2 * size[1]) == (H, W):
        return resize_cv2(frames, size)  # a mean that any device computes
    left, left_weight, right_weight = (
        tap.to(frames.device) for tap in _find_cv2_taps(W, size[1], 0, size[1], clamp_weights=True)
    )
    top, top_weight, bottom_weight = (
        tap.to(frames.device) for tap in _find_cv2_taps(H, size[0], 0, size[0], clamp_weights=False)
    )
    right = (left + 1).clamp(max=W - 1)
    bottom, top = (top + 1).clamp(0, H - 1), top.clamp(0, H - 1)
    wide = frames.to(torch.int32)
    across = wide[:, :, left] * left_weight[:, None] + wide[:, :, right] * right_weight[:, None]
    across >>= 4  # OpenCV drops 4 bits between the passes, 16 of each product, and rounds the rest
    above = across[:, top] * top_weight[:, None, None] >> 16
    below = across[:, bottom] * bottom_weight[:, None, None] >> 16
    return ((above + below + 2) >> 2).to(torch.uint8)
