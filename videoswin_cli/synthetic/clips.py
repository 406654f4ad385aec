"""A made clip: a camera's views of a picture, with all that happens to real footage."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from videoswin_cli.data.encoding.mp4 import SAME_BITS
from videoswin_cli.synthetic.camera import View, move_camera
from videoswin_cli.synthetic.pictures import Picture, blob, draw_picture

_RATES = (12, 15, 24, 24, 25, 25, 30, 30, 30, 50, 60)  # frames per second, usual ones more often
_SIZES = ((144, 192), (144, 256), (160, 160), (192, 144), (180, 240), (120, 160), (256, 144))
_MARGIN = 2.6  # picture sides over frame sides


@dataclass(frozen=True, kw_only=True)
class SyntheticClip:
    """Frames and how they are to be written."""

    frames: NDArray[np.uint8]  # (frames, height, width, 3) RGB
    fps: int
    quality: int  # CRF of H.264, higher is worse


def make_clip(
    motion: str,
    rng: np.random.Generator,
    *,
    picture: Picture | None = None,
    size: tuple[int, int] | None = None,
    fps: int | None = None,
    seconds: tuple[float, float] = (1.6, 2.6),
) -> SyntheticClip:
    """A clip of a camera motion.

    Args:
        motion: one of `videoswin_cli.synthetic.camera.MOTIONS`.
        rng: of everything.
        picture: background in place of a generated one, (height, width, 3) float32.
        size: height and width in place of random ones.
        fps: frames per second in place of a random rate.
        seconds: least and greatest length.
    """
    drawn_size, drawn_fps = _SIZES[rng.integers(len(_SIZES))], int(rng.choice(_RATES))
    height, width = size or drawn_size
    fps = fps or drawn_fps
    count = max(24, round(fps * rng.uniform(*seconds)))
    times = np.arange(count) / fps
    side = int(max(height, width) * _MARGIN)
    if picture is None:
        picture = draw_picture((side, side), rng)
    else:
        picture = _fit(picture, side * float(rng.uniform(0.5, 1)))
    view = move_camera(motion, times, rng)
    frames = look(_develop(torch.from_numpy(picture), rng), view, (height, width), rng)
    if rng.random() < 0.4:
        frames = _add_objects(frames, times, rng)
    frames = _add_flaws(frames, times, rng)
    if rng.random() < 0.15:  # the end stands still, as where a recorder ran on
        tail = max(2, int(count * rng.uniform(0.05, 0.15)))
        frames[-tail:] = frames[-tail].clone()
    array = frames.round_().clamp_(0, 255).to(torch.uint8).numpy()
    return SyntheticClip(frames=array, fps=fps, quality=int(rng.integers(17, 36)))


def _fit(picture: Picture, side: float) -> Picture:
    """A picture of the size that a camera is to look at: its shorter side `side` px long."""
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None]
    scale = side / min(picture.shape[:2])
    size = [round(n * scale) for n in picture.shape[:2]]
    scaled = F.interpolate(planes, size=size, mode="bilinear", antialias=True, align_corners=False)
    return scaled[0].permute(1, 2, 0).contiguous().numpy()


def look(picture: Tensor, view: View, size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Frames (T, height, width, 3) of the picture as the camera sees it, float32.

    The picture is mirrored beyond its edges, so that a camera never runs out of it.
    """
    height, width = size
    # Picture px a frame px, halfway through a zoom.
    zoomed = rng.uniform(0.8, 1.5) / np.sqrt(view.scale.max() * view.scale.min())
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2,
        indexing="ij",
    )  # fmt: skip
    middle = (view.x.max() + view.x.min()) / 2, (view.y.max() + view.y.min()) / 2
    planes = picture.permute(2, 0, 1)[None]
    H, W = picture.shape[:2]
    frames = torch.empty(len(view.x), height, width, 3)
    places = zip(view.x, view.y, view.scale, view.angle, strict=True)
    for frame, (dx, dy, scale, angle) in zip(frames, places, strict=True):
        cos, sin = np.cos(angle) * scale * zoomed, np.sin(angle) * scale * zoomed
        # A camera turned clockwise sees along axes that are turned clockwise (y points down).
        px = x * cos - y * sin + (dx - middle[0]) * width * zoomed
        py = x * sin + y * cos + (dy - middle[1]) * width * zoomed
        grid = torch.stack([px * 2 / W, py * 2 / H], dim=-1)[None].float()
        seen = F.grid_sample(planes, grid, padding_mode="reflection", align_corners=False)
        frame.copy_(seen[0].permute(1, 2, 0))
    return frames


def _add_objects(frames: Tensor, times: NDArray[np.float64], rng: np.random.Generator) -> Tensor:
    """One to three things that move by themselves in front of the scene."""
    count, height, width, _ = frames.shape
    for _ in range(rng.integers(1, 4)):
        radius = float(np.exp(rng.uniform(np.log(0.05), np.log(0.22))) * min(height, width))
        start = rng.uniform(0.1, 0.9, 2) * (height, width)
        speed = rng.normal(0, 0.35, 2) * width
        swing, pace = rng.uniform(0, 0.1) * width, rng.uniform(0.5, 2)
        color = torch.from_numpy(rng.uniform(0, 255, 3).astype(np.float32))
        shape = rng.integers(2**32)
        for number in range(count):
            wave = swing * np.sin(2 * np.pi * pace * times[number])
            place = start + speed * times[number] + wave
            box, mask = blob((height, width), place, radius, np.random.default_rng(shape))
            part = frames[number][box]
            part += torch.from_numpy(mask)[..., None] * (color - part)
    return frames


def _develop(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur and a tone curve; done to the picture, which costs one frame instead of all."""
    if rng.random() < 0.3:
        side = int(rng.choice((3, 5)))
        planes = F.pad(picture.permute(2, 0, 1)[None], [side // 2] * 4, mode="replicate")
        picture = F.avg_pool2d(planes.contiguous(), side, stride=1)[0].permute(1, 2, 0)
    if rng.random() < 0.4:
        picture = 255 * (picture / 255) ** rng.uniform(0.6, 1.6)
    return picture


def _add_flaws(frames: Tensor, times: NDArray[np.float64], rng: np.random.Generator) -> Tensor:
    """Exposure that drifts, and the noise of a sensor."""
    if rng.random() < 0.4:
        wave = np.sin(2 * np.pi * (times * rng.uniform(0.1, 0.8) + rng.random()))
        gain = torch.from_numpy(1 + rng.uniform(0.02, 0.2) * wave).float()
        frames *= gain.view(-1, 1, 1, 1)
    if rng.random() < 0.6:
        # Each frame sees another part of one field of noise: drawing it all takes far longer.
        _, height, width, _ = frames.shape
        field = rng.standard_normal((2 * height, 2 * width, 3), dtype=np.float32)
        grain = torch.from_numpy(field * np.float32(rng.uniform(1, 10)))
        for frame in frames:
            top, left = (int(rng.integers(side)) for side in (height, width))
            frame += grain[top : top + height, left : left + width]
    return frames


def write_clip(path: Path, clip: SyntheticClip) -> None:
    """Write it as H.264 in mp4: equal clips are equal files."""
    import av

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(clip.fps))
        stream.height, stream.width = clip.frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(clip.quality), "preset": "veryfast", **SAME_BITS}
        stream.thread_count = 1
        for frame in clip.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def make_test_video(path: Path) -> None:
    """Ten seconds of 340x256 at 30 per second, the size that Kinetics is often kept in."""
    picture = draw_picture((256, 1000), np.random.default_rng(0)).round().clip(0, 255)
    frames = np.stack([picture[:, 2 * n : 2 * n + 340] for n in range(300)]).astype(np.uint8)
    write_clip(path, SyntheticClip(frames=frames, fps=30, quality=23))
