"""Time and memory of a training step of our Swin-T and of torchvision's swin3d_t, in one loop.

    pip install --no-deps torchvision==0.28.0     # the version that goes with torch 2.13
    python benchmarks/train_step.py [--batches 1 2] [--steps 3] [--rounds 2] [--precision fp32]
                                    [--device cpu]

Both have random weights, no drop path or dropout, AdamW and gradient clipping, and learn from the
same noise. Each run is a process of its own, so that its peak of memory is its own; the kinds take
turns, and medians of all steps but each run's first are compared. Memory is the peak of the process
above what it held before the network was made (on a GPU: what torch had allocated at most).
"plain malloc" is ours without what `videoswin finetune` tells glibc about freed memory; "the
network itself" is ours without the training plan.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial

import torch
import torch.nn.functional as F

from videoswin_cli.engine.runtime import DTYPES, Runtime
from videoswin_cli.io.malloc import keep_freed_memory
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.model.training_plan import TrainingPlan
from videoswin_cli.options.run import Precision
from videoswin_cli.records import Architecture
from videoswin_cli.tasks.bench.bench import held_bytes, peak_bytes
from videoswin_cli.tasks.bench.torchvision_baseline import make_baseline

PLANLESS = "the network itself"
KINDS = ("torchvision", "ours", "ours, plain malloc", "ours, checkpointing", PLANLESS)


def make(kind: str, architecture: Architecture) -> torch.nn.Module:
    if kind == "torchvision":
        return without_drops(make_baseline(architecture))
    if kind != "ours, plain malloc":
        keep_freed_memory()
    ours = Swin3D(architecture)
    ours.recompute(kind == "ours, checkpointing")
    return ours if kind == PLANLESS else TrainingPlan(ours)


def without_drops(network: torch.nn.Module) -> torch.nn.Module:
    """Torchvision's network without drop path and dropout."""
    for module in network.modules():
        if type(module).__name__ in ("StochasticDepth", "Dropout"):
            module.p = 0.0  # type: ignore[assignment]
    return network


def measure(
    make_network: Callable[[], torch.nn.Module],
    size: Sequence[int],
    steps: int,
    precision: Precision,
    device: torch.device,
) -> tuple[list[float], int]:
    """Seconds of each step but the first on clips of `size`, and bytes that were added at most."""
    torch.manual_seed(0)
    clips = torch.randn(*size, device=device)
    labels = torch.randint(400, (size[0],), device=device)
    runtime = Runtime(device=device)
    held = held_bytes(runtime)
    network = make_network().to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    full = precision == "fp32"
    mixed = nullcontext() if full else torch.autocast(device.type, DTYPES[precision])
    seconds = []
    for _ in range(steps + 1):
        begun = time.perf_counter()
        with mixed:
            loss = F.cross_entropy(network(clips).float(), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begun)
    return seconds[1:], peak_bytes(runtime) - held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.kind:
        size = options.batches[0], 3, 32, 224, 224
        network = partial(make, options.kind, load_spec("swin-tiny-k400").architecture)
        found = measure(network, size, options.steps, options.precision, device)
        print(json.dumps(found))
        return
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    print(f"{place}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"{options.precision}")  # fmt: skip
    print("batch  kind                   s a step  clips/s  against torchvision  peak GiB")
    for batch in options.batches:
        seconds: dict[str, list[float]] = defaultdict(list)
        peaks: dict[str, list[float]] = defaultdict(list)
        for _ in range(options.rounds):
            for kind in KINDS:
                line = [sys.executable, __file__, "--kind", kind, "--batches", str(batch)]
                line += ["--steps", str(options.steps), "--precision", options.precision]
                done = subprocess.run(
                    [*line, "--device", options.device], check=True, capture_output=True, text=True
                )
                times, added = json.loads(done.stdout.splitlines()[-1])
                seconds[kind] += times
                peaks[kind].append(added)
        theirs = statistics.median(seconds["torchvision"])
        for kind in KINDS:
            own = statistics.median(seconds[kind])
            print(
                f"{batch:5}  {kind:20}  {own:9.2f}  {batch / own:7.3f}  {theirs / own:18.2f}x  "
                f"{max(peaks[kind]) / 2**30:8.2f}"
            )


if __name__ == "__main__":
    main()
