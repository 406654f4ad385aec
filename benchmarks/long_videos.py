"""What windows over long videos cost before any network: bytes read and CPU time.

    python benchmarks/long_videos.py [--minutes 4 16 60]

Compared with a plain loop that decodes the file once, from its first packet to its last, in one
thread, and converts the frames that windows are made of to RGB; and with one that resizes these,
too. Bytes are those of read() calls, page cache or not (/proc/self/io, so Linux only).
"""

import argparse
import resource
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter

from videoswin_cli.data.sampling import slide_windows
from videoswin_cli.data.transforms import crop_corners, resize, resized_size
from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.data.views import resolve_views
from videoswin_cli.data.window_dataset import WindowDataset, read_windows
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import Stride, VideoPart

FPS = 25
WIDTH, HEIGHT = 340, 256  # as Kinetics is kept
PROTOCOL = load_spec("swin-tiny-k400").protocol
VIEWS = resolve_views("1x1", PROTOCOL)


def make_video(path: Path, frames: int) -> None:
    """A ground that moves under noise; H.264 with B-frames, a key frame every 10 s."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8 + 1, 3)).astype(np.uint8)
    ground = np.kron(ground, np.ones((8, 8, 1), np.uint8))[:, :WIDTH]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "superfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            image = np.roll(ground, number // 2, axis=1)
            image[number % HEIGHT] ^= 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def decode_once(path: Path, wanted: frozenset[int], *, resized: bool) -> None:
    """Decode all frames; convert those that are wanted, and resize them."""
    size = resized_size(HEIGHT, WIDTH, short_side=VIEWS.short_side, rule=PROTOCOL.resize)
    ((top, left),) = crop_corners(
        *size, crop_size=PROTOCOL.crop_size, crops=1, rule=PROTOCOL.resize
    )
    box = (slice(top, top + PROTOCOL.crop_size), slice(left, left + PROTOCOL.crop_size))
    waiting: list[np.ndarray] = []
    reformatter = VideoReformatter()
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                image = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                waiting.append(image)
            if len(waiting) == 256:
                if resized:
                    images = torch.from_numpy(np.stack(waiting))
                    resize(images, size, rule=PROTOCOL.resize, box=box)
                waiting.clear()


def list_wanted(frames: int, stride: Stride | None) -> frozenset[int]:
    """Frames that windows are made of."""
    times = [number / FPS for number in range(frames)]
    windows = slide_windows(PROTOCOL, times=times, stride=stride)
    return frozenset(number for window in windows for number in window)


def read_all_windows(path: Path, stride: Stride | None) -> int:
    dataset = WindowDataset(
        [VideoPart(path=str(path))],
        protocol=PROTOCOL,
        views=VIEWS,
        stride=stride,
        opening=OpenOptions(),
    )
    windows = 0
    for piece in read_windows(dataset, workers=0):
        assert not isinstance(piece, FailedVideo), piece.reason
        windows += len(piece.clips)
    return windows


def measure(work: Callable[[], Any]) -> tuple[Any, float, int]:
    """Result, CPU seconds of this process, bytes read."""
    before, begun = _bytes_read(), _cpu_seconds()
    result = work()
    return result, _cpu_seconds() - begun, _bytes_read() - before


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[4, 16, 60])
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # as a decoding process has
    print("minutes    MiB  stride  windows  bytes/file  CPU s  /decoded once  /resized once")
    with tempfile.TemporaryDirectory() as folder:
        for minutes in options.minutes:
            path, frames = Path(folder) / f"{minutes}.mp4", int(minutes * 60 * FPS)
            make_video(path, frames)
            size = path.stat().st_size
            for name, stride in (("none", None), ("1 s", Stride(seconds=1))):
                wanted = list_wanted(frames, stride)
                _, once, _ = measure(partial(decode_once, path, wanted, resized=False))
                _, resized, _ = measure(partial(decode_once, path, wanted, resized=True))
                windows, seconds, read = measure(partial(read_all_windows, path, stride))
                print(
                    f"{minutes:7g}  {size / 2**20:5.1f}  {name:6}  {windows:7}  {read / size:10.2f}"
                    f"  {seconds:5.1f}  {seconds / once:13.2f}  {seconds / resized:13.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
