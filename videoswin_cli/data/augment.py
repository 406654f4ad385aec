"""Augmentation of training clips. Whatever is drawn is drawn once for all frames of a clip.

Clips are uint8 (frames, height, width, 3) RGB throughout. Random numbers come from a generator
that the caller seeds for each clip, so that a clip looks the same whichever process makes it.
torchvision has most of these, but its builds are tied to one torch build each, and it draws from
global state.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from videoswin_cli.data.transforms import resize
from videoswin_cli.records import ResizeRule

_TRIES = 10  # for a crop that fits, as torchvision and the references have it
_GRAY = 128


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of a training clip; the recipe has keys of the same names."""

    crop_area: tuple[float, float] = (1.0, 1.0)  # share of the frame
    crop_aspect: tuple[float, float] = (1.0, 1.0)  # width over height
    flip: bool = False
    color_jitter: float = 0.0
    rand_augment: int = 0  # operations
    rand_augment_strength: float = 0.0  # 0..10
    erasing: float = 0.0  # share of clips


def augment(
    parts: Iterable[Tensor], augmentation: Augmentation, size: int, generator: torch.Generator, *,
    rule: ResizeRule,
) -> tuple[Tensor, bool]:  # fmt: skip
    """Parts of a clip, frames of any but one size -> augmented frames, and whether mirrored.

    Frames are (T, size, size, 3) then.
    """
    draw = _Draw(generator)
    resized, crop = [], None
    for frames in parts:
        _, rows, columns, _ = frames.shape
        crop = crop or random_crop(
            rows, columns, augmentation.crop_area, augmentation.crop_aspect, draw
        )
        top, left, height, width = crop
        cropped = frames[:, top : top + height, left : left + width]
        resized.append(resize(cropped, (size, size), rule=rule))
    clip = torch.cat(resized)
    flipped = augmentation.flip and draw.chance(0.5)
    if flipped:
        clip = clip.flip(2)
    if augmentation.color_jitter:
        clip = jitter_colors(clip, augmentation.color_jitter, draw)
    for _ in range(augmentation.rand_augment):
        operation = _OPERATIONS[draw.integer(len(_OPERATIONS))]
        clip = operation(clip, augmentation.rand_augment_strength / 10, draw)
    if draw.chance(augmentation.erasing):
        clip = erase(clip, draw)
    return clip.contiguous(), flipped


class _Draw:
    """Numbers from one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=self._generator).item()

    def integer(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self._generator))

    def chance(self, share: float) -> bool:
        return self.uniform(0, 1) < share

    def sign(self) -> int:
        return 1 if self.chance(0.5) else -1


def random_crop(
    height: int,
    width: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    draw: _Draw,
) -> tuple[int, int, int, int]:
    """Top, left, height and width in px of a crop with a random share of the area and aspect.

    Where none of ten tries fits, the largest centered crop of an allowed aspect, as torchvision's
    `RandomResizedCrop` and mmaction's have it.
    """
    for _ in range(_TRIES):
        target = height * width * draw.uniform(*area)
        ratio = math.exp(draw.uniform(math.log(aspect[0]), math.log(aspect[1])))
        w, h = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
        if 0 < w <= width and 0 < h <= height:
            return draw.integer(height - h + 1), draw.integer(width - w + 1), h, w
    ratio = min(max(width / height, aspect[0]), aspect[1])
    w, h = min(width, round(height * ratio)), min(height, round(width / ratio))
    return (height - h) // 2, (width - w) // 2, h, w


def jitter_colors(clip: Tensor, most: float, draw: _Draw) -> Tensor:
    """Brightness, contrast and saturation, each by a factor of 1 - most to 1 + most."""
    for change in (_brightness, _contrast, _saturation):
        clip = change(clip, draw.uniform(max(0.0, 1 - most), 1 + most))
    return clip


def erase(clip: Tensor, draw: _Draw) -> Tensor:
    """A gray rectangle of 2 to 33 % of the frame, at one place in all frames."""
    _, height, width, _ = clip.shape
    top, left, h, w = random_crop(height, width, (0.02, 0.33), (0.3, 3.3), draw)
    clip = clip.clone()
    clip[:, top : top + h, left : left + w] = _GRAY
    return clip


# --- operations of RandAugment (Cubuk et al., 2019, arXiv:1909.13719) -----------------------------
# Clip, strength from 0 to 1 and draws in, clip out. The ranges are those of the paper's code.

Operation = Callable[[Tensor, float, _Draw], Tensor]


def _auto_contrast(clip: Tensor, strength: float, draw: _Draw) -> Tensor:
    low = clip.amin(dim=(0, 1, 2)).float()
    high = clip.amax(dim=(0, 1, 2)).float()
    scale = torch.where(high > low, 255 / (high - low).clamp(min=1), torch.ones_like(high))
    return _to_bytes((clip.float() - torch.where(high > low, low, 0 * low)) * scale)


def _equalize(clip: Tensor, strength: float, draw: _Draw) -> Tensor:
    """Histograms of the whole clip, not of each frame, or it would flicker."""
    channels = []
    for channel in clip.unbind(dim=-1):
        counts = torch.bincount(channel.flatten().int(), minlength=256).double()
        shares = counts.cumsum(0)
        first = shares[counts.nonzero()[0, 0]]
        if first == shares[-1]:  # one value, which has no histogram to spread
            channels.append(channel)
            continue
        table = (shares - first) / (shares[-1] - first) * 255
        channels.append(table.round().clamp(0, 255).to(torch.uint8)[channel.long()])
    return torch.stack(channels, dim=-1)


def _posterise(clip: Tensor, strength: float, draw: _Draw) -> Tensor:
    bits = 8 - round(4 * strength)
    return clip.bitwise_and(256 - 2 ** (8 - bits))


def _solarise(clip: Tensor, strength: float, draw: _Draw) -> Tensor:
    return torch.where(clip >= 256 * (1 - strength), 255 - clip, clip)


def _brightness(clip: Tensor, factor: float) -> Tensor:
    return _to_bytes(clip.float() * factor)


def _contrast(clip: Tensor, factor: float) -> Tensor:
    mean = _gray(clip).mean()
    return _to_bytes(mean + (clip.float() - mean) * factor)


def _saturation(clip: Tensor, factor: float) -> Tensor:
    gray = _gray(clip)[..., None]
    return _to_bytes(gray + (clip.float() - gray) * factor)


def _sharpness(clip: Tensor, factor: float) -> Tensor:
    planes = clip.float().permute(0, 3, 1, 2)
    blurred = F.avg_pool2d(F.pad(planes, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return _to_bytes((blurred + (planes - blurred) * factor).permute(0, 2, 3, 1))


def _by_factor(change: Callable[[Tensor, float], Tensor]) -> Operation:
    return lambda clip, strength, draw: change(clip, 1 + 0.9 * strength * draw.sign())


def _rotate(clip: Tensor, strength: float, draw: _Draw) -> Tensor:
    angle = math.radians(30 * strength) * draw.sign()
    cos, sin = math.cos(angle), math.sin(angle)
    return _warp(clip, ((cos, -sin), (sin, cos)))


def _shear_x(clip: Tensor, strength: float, draw: _Draw) -> Tensor:
    return _warp(clip, ((1, 0.3 * strength * draw.sign()), (0, 1)))


def _shear_y(clip: Tensor, strength: float, draw: _Draw) -> Tensor:
    return _warp(clip, ((1, 0), (0.3 * strength * draw.sign(), 1)))


def _shift_x(clip: Tensor, strength: float, draw: _Draw) -> Tensor:
    return _warp(clip, ((1, 0), (0, 1)), shift=(0.9 * strength * draw.sign(), 0))


def _shift_y(clip: Tensor, strength: float, draw: _Draw) -> Tensor:
    return _warp(clip, ((1, 0), (0, 1)), shift=(0, 0.9 * strength * draw.sign()))


def _nothing(clip: Tensor, strength: float, draw: _Draw) -> Tensor:
    return clip


_OPERATIONS: tuple[Operation, ...] = (
    *(_nothing, _auto_contrast, _equalize, _posterise, _solarise),
    *(_by_factor(change) for change in (_brightness, _contrast, _saturation, _sharpness)),
    *(_rotate, _shear_x, _shear_y, _shift_x, _shift_y),
)


def _warp(
    clip: Tensor,
    matrix: Sequence[Sequence[float]],
    *,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Tensor:
    """An affine map of the frame onto itself, (x, y) from -1 to 1; gray comes in from outside."""
    _, height, width, _ = clip.shape
    stretch = width / height  # rotations are of pixels, not of the square -1..1
    (a, b), (c, d) = matrix
    theta = torch.tensor([[a, b / stretch, shift[0]], [c * stretch, d, shift[1]]])
    grid = F.affine_grid(theta[None], [1, 3, height, width], align_corners=False)
    planes = clip.float().permute(0, 3, 1, 2) - _GRAY
    warped = F.grid_sample(planes, grid.expand(len(clip), -1, -1, -1), align_corners=False)
    return _to_bytes(warped.permute(0, 2, 3, 1) + _GRAY)


def _gray(clip: Tensor) -> Tensor:
    """Luma of ITU-R 601, (T, H, W)."""
    return clip.float() @ torch.tensor([0.299, 0.587, 0.114])


def _to_bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
