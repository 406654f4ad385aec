"""Frame folders for tests: pictures of videos, and drawn ones."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from make_video import draw_frame
from PIL import Image

from videoswin_cli.data.decoding.open import open_video

TEMPLATE = "img_{:05}.png"


def write_frames(
    folder: Path, frames: Iterable[np.ndarray], *, template: str = TEMPLATE, first: int = 1
) -> Path:
    """Write frames as pictures that are numbered from `first` on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / template.format(number))
    return folder


def draw_folder(folder: Path, count: int = 6, *, template: str = TEMPLATE, first: int = 1) -> Path:
    """A folder of frames that carry their number, counted from 0."""
    return write_frames(folder, map(draw_frame, range(count)), template=template, first=first)


def unpack_video(video: Path, folder: Path, *, template: str = TEMPLATE) -> Path:
    """A folder of the frames of a video."""
    with open_video(video) as opened:
        frames = opened.read_frames(range(opened.info.frames))
    return write_frames(folder, frames, template=template)
