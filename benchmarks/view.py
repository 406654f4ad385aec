"""Time and memory of one view of 32x224x224: ours against torchvision's network, same weights.

    pip install --no-deps torchvision==0.28.0     # the version that goes with torch 2.13
    python benchmarks/view.py [--models swin-tiny-k400 swin-base-k400] [--precisions fp32 bf16]
                              [--allocators plain tuned] [--repeats 7] [--device cpu] [--batch 1]

Ours is what `predict` and `eval` run: on a CPU the inference plan. Torchvision's is eager and in
float32 on a CPU, under autocast on a GPU; there its float32 is measured too. The two take turns in
one process, so that a slow spell of the machine hits both; medians are compared. "tuned" means that
glibc keeps freed memory for both. Added memory is the peak above what the process, or the GPU, held
before the network's first view, in a process of its own.
"""

import argparse
import json
import statistics
import subprocess
import sys

import torch

from videoswin_cli.engine.forward import prepare
from videoswin_cli.io.malloc import keep_freed_memory
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.options.run import RunOptions
from videoswin_cli.tasks.bench.bench import clock, held_bytes, make_model, peak_bytes
from videoswin_cli.tasks.bench.torchvision_baseline import make_baseline


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Seconds a view of both, or bytes of one, as JSON can hold it."""
    if options.allocators == ["tuned"]:
        keep_freed_memory()
    torch.manual_seed(0)
    spec = load_spec(options.models[0])
    run = RunOptions(device=options.device, precision=options.precisions[0])
    theirs = make_baseline(spec.architecture)
    runtime, ours = prepare(make_model(spec, theirs), run)
    theirs = theirs.to(runtime.device)
    clips = torch.randn(options.batch, 3, 32, 224, 224, device=runtime.device)
    mixed = not runtime.on_cpu and runtime.dtype != torch.float32

    def peer(precise: bool = False) -> torch.Tensor:
        with torch.autocast(runtime.device.type, runtime.dtype, enabled=mixed and not precise):
            return theirs(clips)

    own_clips = clips.to(runtime.dtype)
    works = {"ours": lambda: ours(own_clips), "theirs": peer}
    if mixed:
        works["theirs in fp32"] = lambda: peer(precise=True)
    with torch.inference_mode():
        if options.memory:
            held = held_bytes(runtime)
            works[options.memory]()
            return {"bytes": peak_bytes(runtime) - held}
        apart = (works["ours"]().float() - works["theirs"]().float()).abs().max().item()
        seconds = {name: [] for name in works}
        for _ in range(options.repeats):
            for name, work in works.items():
                seconds[name].append(clock(work, runtime) / options.batch)
    found = {name: statistics.median(values) for name, values in seconds.items()}
    pairs = zip(seconds["ours"], seconds[list(works)[-1]], strict=True)
    found["ratio"] = statistics.median(their / own for own, their in pairs)
    return found | {"apart": apart}


def child(options: argparse.Namespace, *more: str) -> dict[str, float]:
    line = [sys.executable, __file__, "--child", "--repeats", str(options.repeats)]
    line += ["--device", options.device, "--batch", str(options.batch), *more]
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["swin-tiny-k400", "swin-base-k400"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--allocators", nargs="+", default=["plain", "tuned"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--memory", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options)))
        return
    print(f"{options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("| model | precision | allocator | ours, ms | torchvision, ms | ratio | logits apart "
          "| added MiB, ours | torchvision |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for model in options.models:
        for precision in options.precisions:
            for allocator in options.allocators:
                what = ("--models", model, "--precisions", precision, "--allocators", allocator)
                found = child(options, *what)
                held = [child(options, *what, "--memory", who)["bytes"] / 2**20
                        for who in ("ours", "theirs")]  # fmt: skip
                theirs = found.get("theirs in fp32", found["theirs"])
                print(
                    f"| {model} | {precision} | {allocator} | {found['ours'] * 1e3:.0f} | "
                    f"{theirs * 1e3:.0f} | {found['ratio']:.2f} | {found['apart']:.1e} | "
                    f"{held[0]:.0f} | {held[1]:.0f} |",
                    flush=True,
                )
                if "theirs in fp32" in found:
                    print(f"|  | torchvision's autocast |  |  | {found['theirs'] * 1e3:.0f} | "
                          f"{found['theirs'] / found['ours']:.2f} |  |  |  |")  # fmt: skip


if __name__ == "__main__":
    main()
