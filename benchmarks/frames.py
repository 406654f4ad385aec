"""Time reading one clip of a folder of JPEG frames against the same clip of the mp4.

    python benchmarks/frames.py [VIDEO] [--repeats 40]

The folder has the frames of VIDEO (by default 300 frames of 340x256 that are made here), as JPEG of
quality 95, as most frame extractors write them. Both are opened, 32 frames, every second one from
the middle, are read in one thread, and closed; they take turns.
"""

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.synthetic.clips import make_test_video

FRAMES = 300


def write_frames(video: Path, folder: Path) -> int:
    """Write up to 300 frames, and give their number."""
    folder.mkdir()
    with open_video(video) as opened:
        count = min(opened.info.frames, FRAMES)
        for number in range(count):
            image = Image.fromarray(opened.read_frames([number])[0])
            image.save(folder / f"img_{number + 1:05}.jpg", quality=95)
    return count


def clock(path: Path, numbers: list[int]) -> float:
    begun = time.perf_counter()
    with open_video(path, frames_fps=30) as video:
        video.read_frames(numbers)
    return 1000 * (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args()
    with TemporaryDirectory() as place:
        video = options.video or Path(place, "340x256.mp4")
        if options.video is None:
            make_test_video(video)
        folder = Path(place, "frames")
        count = write_frames(video, folder)
        first = max(0, count // 2 - 32)
        numbers = [min(first + 2 * n, count - 1) for n in range(32)]
        for path in (folder, video):
            clock(path, numbers)
        pairs = [(clock(folder, numbers), clock(video, numbers)) for _ in range(options.repeats)]
        with open_video(video) as opened:
            info = opened.info
    ratio = statistics.median(a / b for a, b in pairs)
    frames, mp4 = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{count} frames of {info.width}x{info.height}; mp4 by {info.decoder}")
    print(f"folder {frames:.1f} ms, mp4 {mp4:.1f} ms, ratio {ratio:.2f} (below 1: folder faster)")


if __name__ == "__main__":
    main()
