"""What a clip of ten seconds costs before any network: CPU seconds of a core, and bytes.

    python benchmarks/clip_cost.py [VIDEO] [--repeats 7]

One process decodes, resizes and crops the views of a clip as `extract` does, in one thread; a row
is the median of turns. The clips have 300 frames of H.264 of 340x256 and of 1280x720: scaled ones
of VIDEO, over and over, where one is named; else a ground that moves under noise.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np
import torch

from videoswin_cli.data.view_dataset import FailedVideo, ViewDataset
from videoswin_cli.data.views import resolve_views
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.records import VideoPart

FRAMES, FPS = 300, 30
SIZES = ((340, 256), (1280, 720))
VIEWS = ("1x1", "4x1", "4x3")
PROTOCOL = load_spec("swin-tiny-k400").protocol


def draw(width: int, height: int) -> Iterator[av.VideoFrame]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (height // 8 + 60, width // 8 + 60, 3), dtype=np.uint8)
    ground = small.repeat(8, axis=0).repeat(8, axis=1)
    for number in range(FRAMES):
        top = left = number % 400
        picture = ground[top : top + height, left : left + width].astype(np.int16)
        picture += rng.integers(-6, 7, picture.shape, dtype=np.int16)
        yield av.VideoFrame.from_ndarray(picture.clip(0, 255).astype(np.uint8), format="rgb24")


def make_clip(path: Path, size: tuple[int, int], source: Path | None) -> None:
    width, height = size
    pictures = draw(width, height)
    if source is not None:
        with av.open(str(source)) as container:
            decoded = list(container.decode(video=0))
        pictures = islice(cycle(decoded), FRAMES)
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=FPS, options={"preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, picture in enumerate(pictures):
            frame = picture.reformat(width, height, "yuv420p")
            frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, FPS), 0
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


def clock(path: Path, views: str) -> tuple[float, float]:
    """CPU seconds of all views of a clip, and the share of resizing."""
    part = VideoPart(path=str(path))
    dataset = ViewDataset([part], protocol=PROTOCOL, views=resolve_views(views, PROTOCOL))
    begun = time.process_time()
    found = dataset[0]
    assert not isinstance(found, FailedVideo), found.reason
    for number in range(len(found)):
        found.view(number)
    return time.process_time() - begun, found.resize_seconds / found.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path, nargs="?")
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            path = Path(folder) / f"{size[0]}.mp4"
            make_clip(path, size, asked.video)
            shown = f"{size[0]}x{size[1]}, {path.stat().st_size / 1e6:.2f} MB"
            rounds = [[clock(path, views) for views in VIEWS] for _ in range(asked.repeats + 1)]
            for views, turns in zip(VIEWS, zip(*rounds[1:], strict=True), strict=True):
                seconds = statistics.median(cost for cost, _ in turns)
                share = statistics.median(share for _, share in turns)
                print(f"{shown}, {views}: {seconds:.3f} CPU s, {share:.0%} of it resizing")


if __name__ == "__main__":
    main()
