"""Time `videoswin eval` against a plain loop: decord, torchvision's swin3d_t, one video at a time.

    pip install --no-deps torchvision==0.28.0     # the version that goes with torch 2.13
    python benchmarks/evaluate.py FOLDER [--repeats 3] [--quick-videos 8] [--paper-videos 2]
                                         [--engine torch] [--precision fp32]

FOLDER holds videos; they are taken in turn until there are as many as asked for. Both sides have
the same weights, which are random: only time is measured. They take turns, and medians are
compared. Loading the model counts for neither. The plain loop resizes with torch and feeds its
network one view at a time, which on a CPU is faster than all views of a video at once. The share of
decoding is that of the time spent decoding (over all processes) and computing; "busy" is the CPU
time of all processes over that of all cores. The plain loop is in float32 whatever ours is in.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import decord
import torch
import torch.nn.functional as F

from videoswin_cli.data.sampling import sample_clips
from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.engine.progress import Silent
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.loading import find_model
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.tasks import EvalOptions
from videoswin_cli.tasks.bench.torchvision_baseline import make_baseline
from videoswin_cli.tasks.evaluate.evaluate import evaluate_videos

MODEL = "swin-tiny-k400"
PROTOCOL = load_spec(MODEL).protocol
MEAN, STD = torch.tensor(PROTOCOL.mean), torch.tensor(PROTOCOL.std)


@dataclass
class Run:
    """One pass over the videos."""

    seconds: float
    decode_seconds: float  # of all processes
    network_seconds: float
    busy: float  # share of the cores' time


def read_cpu_seconds() -> float:
    """CPU time of this process and of those that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def share_of_cores(seconds: float, cpu_seconds: float) -> float:
    return cpu_seconds / seconds / len(os.sched_getaffinity(0))


def run_plain(network: torch.nn.Module, videos: list[str], *, clips: int, crops: int) -> Run:
    """What a script does: decode, resize, crop, normalize, forward, average."""
    decode = forward = 0.0
    begun, cpu = time.perf_counter(), read_cpu_seconds()
    for path in videos:
        start = time.perf_counter()
        reader = decord.VideoReader(path, num_threads=1)
        fps = reader.get_avg_fps()
        places = sample_clips(PROTOCOL, frames=len(reader), fps=fps, clips=clips)
        frames = [torch.from_numpy(reader.get_batch(list(clip)).asnumpy()) for clip in places]
        decode += time.perf_counter() - start
        scores = []
        for clip in frames:
            for view in cut_views(clip, crops=crops):
                start = time.perf_counter()
                with torch.inference_mode():
                    scores.append(network(view).softmax(dim=1))
                forward += time.perf_counter() - start
        torch.cat(scores).mean(dim=0).argmax()
    seconds = time.perf_counter() - begun
    return Run(seconds, decode, forward, share_of_cores(seconds, read_cpu_seconds() - cpu))


def cut_views(clip: torch.Tensor, *, crops: int) -> list[torch.Tensor]:
    """Frames (T, H, W, 3) -> normalized (1, 3, T, 224, 224), one for each crop."""
    size = PROTOCOL.crop_size
    short = size if crops == 3 else PROTOCOL.quick_short_side
    pixels = clip.permute(0, 3, 1, 2).float()
    scale = short / min(pixels.shape[2:])
    sides = [round(side * scale) for side in pixels.shape[2:]]
    pixels = F.interpolate(pixels, size=sides, mode="bilinear", antialias=True)
    pixels = (pixels - MEAN[:, None, None]) / STD[:, None, None]
    room = (sides[0] - size, sides[1] - size)
    shares = (0.0, 0.5, 1.0) if crops == 3 else (0.5,)
    views = []
    for share in shares:
        top, left = int(room[0] * share), int(room[1] * share)
        view = pixels[:, :, top : top + size, left : left + size]
        views.append(view.permute(1, 0, 2, 3)[None].contiguous())
    return views


def run_ours(weights: Path, videos: list[str], run: RunOptions) -> Run:
    """`videoswin eval` on a list of the same videos."""
    listing = weights.with_name("list.txt")
    # A video that is listed twice would be scored once.
    links = [weights.with_name(f"{n}{Path(path).suffix}") for n, path in enumerate(videos)]
    for link, path in zip(links, videos, strict=True):
        if not link.exists():
            link.symlink_to(Path(path).resolve())
    listing.write_text("".join(f"{link.name} 0\n" for link in links))
    cpu = read_cpu_seconds()
    result = evaluate_videos(
        [],
        SourceOptions(list_file=listing),
        find_model(MODEL, checkpoint=weights, with_head=True),
        run,
        EvalOptions(),
        JobOptions(),
        Silent(),
    )
    assert result.summary.failed == 0, result.failed
    timing = result.summary.timing
    assert timing is not None
    # Loading the model is in the CPU time, and not in the seconds.
    busy = share_of_cores(timing.seconds, read_cpu_seconds() - cpu)
    return Run(timing.seconds, timing.decode_seconds, timing.model_seconds, busy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick-videos", type=int, default=8)
    parser.add_argument("--paper-videos", type=int, default=2)
    parser.add_argument("--engine", default="torch", choices=["auto", "torch", "openvino"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    options = parser.parse_args()
    torch.manual_seed(0)
    found = expand_inputs([options.folder]).videos
    network = make_baseline(load_spec(MODEL).architecture)
    print(
        f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{options.precision} by {options.engine}, {len(found)} different videos"
    )
    print(
        "views  videos  videos/s ours  plain  ratio  share of decoding ours  plain  "
        "busy ours  plain"
    )
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "swin3d_t.pth"
        torch.save(network.state_dict(), weights)
        for views, count in (("1x1", options.quick_videos), ("4x3", options.paper_videos)):
            videos = [found[n % len(found)] for n in range(count)]
            clips, crops = map(int, views.split("x"))
            run = RunOptions(views=views, engine=options.engine, precision=options.precision)
            run_plain(network, videos[:1], clips=1, crops=1)  # warm up
            run_ours(weights, videos[:1], replace(run, views="1x1"))
            ours, plain = [], []
            for _ in range(options.repeats):
                plain.append(run_plain(network, videos, clips=clips, crops=crops))
                ours.append(run_ours(weights, videos, run))
            print_row(views, count, ours, plain)


def print_row(views: str, count: int, ours: list[Run], plain: list[Run]) -> None:
    speed, share, busy = {}, {}, {}
    for name, runs in (("ours", ours), ("plain", plain)):
        speed[name] = count / statistics.median(run.seconds for run in runs)
        share[name] = statistics.median(
            run.decode_seconds / (run.decode_seconds + run.network_seconds) for run in runs
        )
        busy[name] = statistics.median(run.busy for run in runs)
    ratio = statistics.median(p.seconds / o.seconds for o, p in zip(ours, plain, strict=True))
    print(
        f"{views:<5}  {count:>6}  {speed['ours']:>13.3f}  {speed['plain']:>5.3f}  {ratio:>5.2f}  "
        f"{share['ours']:>22.0%}  {share['plain']:>5.0%}  "
        f"{busy['ours']:>9.0%}  {busy['plain']:>5.0%}",
        flush=True,
    )


if __name__ == "__main__":
    main()
