"""Time opening a video and reading frames of it with each decoder, in turn, in one process.

    python benchmarks/decoders.py VIDEO... [--made] [--repeats 7]

Read are one clip (32 frames, every second one, from the middle), four such clips spread over the
video (12 views: each clip gives three crops), and all frames, 32 at a time. Opening is part of it:
our index of the packets, which every decoder here needs, and the decoder's own start. One thread.
`--made` adds videos that are made of the first VIDEO, repeated: long groups of pictures in H.264,
HEVC, VP9 and AV1, and 10 minutes of H.264.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import av

from videoswin_cli.data.decoding.open import Video, open_video
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.options.run import DecoderChoice

DECODERS: tuple[DecoderChoice, ...] = ("decord", "pyav", "torchcodec")
CLIP = 32
_MOST = 1000  # frames of a video that is read as a whole
MADE: dict[str, tuple[str, int, dict[str, str]]] = {  # encoder, frames, its options
    "h264-gop250.mp4": ("libx264", 500, {"preset": "medium", "g": "250", "sc_threshold": "0"}),
    "hevc-gop250.mp4": (
        "libx265",
        500,
        {"preset": "fast", "x265-params": "log-level=0:keyint=250:open-gop=0:scenecut=0"},
    ),
    "vp9-gop128.webm": ("libvpx-vp9", 500, {"deadline": "realtime", "cpu-used": "6", "g": "128"}),
    "av1-gop160.mp4": ("libsvtav1", 500, {"preset": "10", "g": "160"}),
    "h264-10min.mp4": ("libx264", 15000, {"preset": "veryfast", "g": "250"}),
}


def make(folder: Path, source: Path) -> Iterator[Path]:
    """Videos of `MADE`, from the frames of a video, over and over at 25 per second."""
    with av.open(str(source)) as container:
        pictures = [frame.reformat(format="yuv420p") for frame in container.decode(video=0)]
    for name, (codec, count, options) in MADE.items():
        if codec not in av.codecs_available:
            print(f"{name}: this PyAV has no {codec}")
            continue
        with av.open(str(folder / name), "w") as target:
            stream = target.add_stream(codec, rate=25, options=options)
            stream.width, stream.height = pictures[0].width, pictures[0].height
            stream.pix_fmt = "yuv420p"
            for number, picture in enumerate(islice(cycle(pictures), count)):
                picture.pts, picture.time_base = number, Fraction(1, 25)
                picture.pict_type = 0  # or each would be coded as it was in the source
                target.mux(stream.encode(picture))
            target.mux(stream.encode(None))
        yield folder / name


def choose_clips(count: int, clips: int) -> list[int]:
    """Frames of clips around the middles of as many equal parts."""
    span = 2 * CLIP
    middles = [count * (2 * clip + 1) // (2 * clips) for clip in range(clips)]
    chosen = {max(0, middle - span // 2) + 2 * n for middle in middles for n in range(CLIP)}
    return sorted(number for number in chosen if number < count)


def read_clips(video: Video, clips: int) -> None:
    video.read_frames(choose_clips(video.info.frames, clips))


def read_all(video: Video) -> None:
    count = video.info.frames
    for first in range(0, count, CLIP):
        video.read_frames(range(first, min(first + CLIP, count)))


WORK: dict[str, Callable[[Video], None]] = {
    "1 clip": lambda video: read_clips(video, 1),
    "4 clips": lambda video: read_clips(video, 4),
    "all": read_all,
}


def clock(path: Path, decoder: DecoderChoice, work: Callable[[Video], None]) -> float:
    begun = time.process_time()
    with open_video(path, decoder=decoder) as video:
        work(video)
    return time.process_time() - begun


def refusal(path: Path, decoder: DecoderChoice) -> str:
    """Why a decoder does not read a video; empty where it does."""
    try:
        clock(path, decoder, lambda video: read_clips(video, 1))
    except VideoSwinError as error:
        return error.message
    return ""


def measure(path: Path, work: str, decoders: Sequence[DecoderChoice], repeats: int) -> str:
    rounds = [[clock(path, decoder, WORK[work]) for decoder in decoders] for _ in range(repeats)]
    times = dict(zip(decoders, zip(*rounds, strict=True), strict=True))
    cells = []
    for decoder in DECODERS:
        if decoder not in times:
            cells.append("refused")
            continue
        ratios = [own / pyav for own, pyav in zip(times[decoder], times["pyav"], strict=True)]
        ratio = statistics.median(ratios)
        cells.append(f"{1000 * statistics.median(times[decoder]):.1f} ({ratio:.2f})")
    return " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO")
    parser.add_argument("--made", action="store_true")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print(f"{platform.machine()}: ms of CPU time, medians of {options.repeats} rounds")
    print("(in brackets: the median of the ratios to PyAV)\n")
    print(f"| video | read | {' | '.join(DECODERS)} |")
    print("|" + " --- |" * (2 + len(DECODERS)))
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder), options.videos[0]) if options.made else ()
        for path in (*options.videos, *made):
            why = {decoder: refusal(path, decoder) for decoder in DECODERS}
            able = [decoder for decoder in DECODERS if not why[decoder]]
            with open_video(path) as video:
                count = video.info.frames
            for work in WORK:
                if work == "all" and count > _MOST:
                    continue
                print(f"| {path.name} | {work} | {measure(path, work, able, options.repeats)} |")
            for decoder, text in why.items():
                if text:
                    print(f"{decoder}: {text}")


if __name__ == "__main__":
    main()
