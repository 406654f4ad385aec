"""Decoding processes that feed the device, and the whole of `videoswin bench` with them."""

import math
import os
import statistics
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from benchmarks.gpu.report import Value
from benchmarks.gpu.section import ROOT, Bench, import_tests, make_ours
from videoswin_cli.data.view_dataset import FailedVideo, ViewDataset
from videoswin_cli.data.views import resolve_views
from videoswin_cli.data.workers import load_in_workers
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.options.run import RunOptions
from videoswin_cli.records import VideoPart
from videoswin_cli.synthetic.clips import make_test_video
from videoswin_cli.tasks.bench.bench import bench as run_bench
from videoswin_cli.tasks.bench.bench import clock


def measure(bench: Bench) -> None:
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    counts = (1,) if bench.tiny else (1, 4, 8, max(1, cores - 2))
    with tempfile.TemporaryDirectory() as place:
        model, video = "swin-tiny-k400", Path(place, "340x256.mp4")
        if bench.tiny:
            import_tests()
            from tiny import write_model

            model, video = str(Path(place, "tiny.safetensors")), ROOT / "samples" / "pan-left.mp4"
            write_model(Path(model))
        else:
            make_test_video(video)
        bench.row("workers needed", partial(count_needed, bench, video))
        for workers in counts:
            what = f"workers {workers}"
            bench.row(f"decode and resize, {what}", partial(decode, bench, video, workers))
        for workers in counts[-2:]:
            bench.row(f"bench, workers {workers}", partial(run_whole, bench, model, video, workers))


def open_views(bench: Bench, video: Path, count: int) -> ViewDataset:
    protocol = bench.spec().protocol
    views = resolve_views("1x3" if bench.tiny else "4x3", protocol)
    return ViewDataset([VideoPart(path=str(video))] * count, protocol=protocol, views=views)


def count_needed(bench: Bench, video: Path) -> dict[str, Value]:
    """Seconds of one process a video over those of the network: as many processes feed it."""
    runtime, dataset = bench.runtime("bf16"), open_views(bench, video, 3)
    decoded = [dataset[n] for n in range(3)]
    failed = [item.reason for item in decoded if isinstance(item, FailedVideo)]
    if failed:
        raise RuntimeError(failed[0])
    decoding = min(item.seconds for item in decoded if not isinstance(item, FailedVideo))
    network, clips = make_ours(bench.spec(), runtime), bench.clips(bench.many, runtime.dtype)
    with torch.inference_mode():
        network(clips)
        times = [clock(lambda: network(clips), runtime) for _ in range(bench.repeats)]
    computing = statistics.median(times)
    return {
        "decode_ms": 1e3 * decoding,
        "network_ms": 1e3 * computing,
        "workers": math.ceil(decoding / computing),
    }


def decode(bench: Bench, video: Path, workers: int) -> dict[str, Value]:
    count = 2 if bench.tiny else 6 * workers
    dataset = open_views(bench, video, count)
    begun = time.perf_counter()
    with closing(load_in_workers(dataset, range(count), workers=workers)) as items:
        failed = [item.reason for item in items if isinstance(item, FailedVideo)]
    seconds = time.perf_counter() - begun
    if failed:
        raise RuntimeError(failed[0])
    return {"videos_per_second": count / seconds}


def run_whole(bench: Bench, model: str, video: Path, workers: int) -> dict[str, Value]:
    """`videoswin bench --views 4x3 --batch-size 12 --precision bf16 --workers N`."""
    options = RunOptions(
        views="1x1" if bench.tiny else "4x3",
        device=str(bench.device),
        precision="bf16",
        workers=workers,
        batch_size=bench.many,
    )
    videos = 2 if bench.tiny else max(16, 4 * workers)
    found = run_bench(
        model, str(video), options=options, videos=videos, against=None, monitor=Monitor()
    )
    return {
        "videos_per_second": found.videos_per_second,
        "views_per_second_of_the_network": found.views_per_second,
        "wait_share": found.wait_seconds / found.seconds,
        "of_matmul": found.fraction_of_peak_matmul,
        "added_mib": found.added_bytes / 2**20,
    }
