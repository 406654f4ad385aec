"""Time reading the clip in the middle of a video with `open_video` against plain decord.

    python benchmarks/decoding.py VIDEO... [--repeats 15]

Both open the file, read 32 frames, every second one, in one thread, and close it; they take turns.
Ours also reads all packets, to know that these are the right frames and that the file is whole.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import decord
import numpy as np

from videoswin_cli.data.decoding.open import open_video


def choose_frames(count: int) -> list[int]:
    first = max(0, count // 2 - 32)
    return [min(first + 2 * i, count - 1) for i in range(32)]


def read_ours(path: str) -> np.ndarray:
    with open_video(path) as video:
        return video.read_frames(choose_frames(video.info.frames))


def read_decord(path: str) -> np.ndarray:
    reader = decord.VideoReader(path, num_threads=1)
    # One by one: get_batch fails on rotated videos.
    return np.stack([reader[n].asnumpy() for n in choose_frames(len(reader))])


def clock(read: Callable[[str], np.ndarray], path: str) -> float:
    begun = time.perf_counter()
    read(path)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("videos", nargs="+", metavar="VIDEO")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    print("ours ms  decord ms  ratio (above 1: ours is faster)  decoder, frames equal, video")
    for path in options.videos:
        ours, theirs = read_ours(path), read_decord(path)
        equal = np.array_equal(ours, theirs)
        pairs = [(clock(read_ours, path), clock(read_decord, path)) for _ in range(options.repeats)]
        ratio = statistics.median(b / a for a, b in pairs)
        medians = [1000 * statistics.median(column) for column in zip(*pairs, strict=True)]
        with open_video(path) as video:
            decoder = video.info.decoder
        print(f"{medians[0]:7.1f}  {medians[1]:9.1f}  {ratio:5.2f}  {decoder} {equal} {path}")


if __name__ == "__main__":
    main()
