"""A training step in bf16 against torchvision's network, by `benchmarks/train_step.py`."""

import statistics
from functools import partial

import torch

from benchmarks.gpu.report import Value
from benchmarks.gpu.section import Bench, find_baseline
from benchmarks.train_step import make, without_drops
from benchmarks.train_step import measure as time_steps


def measure(bench: Bench) -> None:
    batches = (1,) if bench.tiny else (8, 16)
    for batch in batches:
        for kind in ("torchvision", "ours", "ours, checkpointing"):
            bench.row(f"bf16 batch {batch}, {kind}", partial(step, bench, kind, batch))


def step(bench: Bench, kind: str, batch: int) -> dict[str, Value]:
    spec, steps = bench.spec(), 1 if bench.tiny else 5
    size = spec.protocol.clip_frames, spec.protocol.crop_size, spec.protocol.crop_size

    def make_network() -> torch.nn.Module:
        if kind == "torchvision":
            return without_drops(find_baseline(spec))
        return make(kind, spec.architecture)

    seconds, added = time_steps(make_network, (batch, 3, *size), steps, "bf16", bench.device)
    median = statistics.median(seconds)
    return {
        "step_ms": 1e3 * median,
        "clips_per_second": batch / median,
        "added_mib": added / 2**20,
    }
