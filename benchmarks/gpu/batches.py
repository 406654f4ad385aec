"""Time of a view and added memory by views per forward pass, for the default of `--batch-size`."""

import statistics
from functools import partial

import torch

from benchmarks.gpu.report import Value
from benchmarks.gpu.section import Bench, make_ours
from videoswin_cli.model.network import VideoNetwork
from videoswin_cli.tasks.bench.bench import clock, held_bytes, peak_bytes


def measure(bench: Bench) -> None:
    network = make_ours(bench.spec(), bench.runtime("bf16"))
    for views in (1, 2) if bench.tiny else (1, 2, 4, 8, 12, 16, 24, 48, 96):
        bench.row(f"bf16 views {views}", partial(time_batch, bench, network, views))


def time_batch(bench: Bench, network: VideoNetwork, views: int) -> dict[str, Value]:
    runtime = bench.runtime("bf16")
    with torch.inference_mode():
        clips = bench.clips(views, runtime.dtype)
        network(clips)
        held = held_bytes(runtime)
        seconds = [clock(lambda: network(clips), runtime) for _ in range(bench.repeats)]
        added = peak_bytes(runtime) - held
    return {"view_ms": 1e3 * statistics.median(seconds) / views, "added_mib": added / 2**20}
