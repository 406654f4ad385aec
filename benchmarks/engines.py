"""Engines of a CPU in turns: torch and OpenVINO on our plan, OpenVINO on the network, torchvision.

    pip install "videoswin[openvino]"
    pip install --no-deps torchvision==0.28.0     # the version that goes with torch 2.13
    python benchmarks/engines.py [--models swin-tiny-k400 swin-base-k400] [--precisions fp32 bf16]
                                 [--rounds 7] [--without plain torchvision]

One view of 32x224x224, random weights, the same for all; medians of rounds in one process, each of
which computes one view by every engine. Ratios are medians of the rounds' ratios. "plain" is
OpenVINO on the network as its converter reads it, which takes a minute. torchvision's is eager, in
float32. Added memory is the peak above what the process held before, in a process of its own.
"first" and "later": seconds until OpenVINO is ready on our plan, and memory that was added by the
end of a view, without and with its cache.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from videoswin_cli.engine.forward import prepare
from videoswin_cli.engine.runtime import DTYPES, Runtime
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.openvino.network import OpenVinoNetwork
from videoswin_cli.model.openvino.package import import_openvino
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.tasks.bench.bench import clock, held_bytes, make_model, peak_bytes
from videoswin_cli.tasks.bench.torchvision_baseline import make_baseline

SIZE = (32, 224, 224)
ENGINES = ("torch", "openvino", "plain", "torchvision")
Compute = Callable[[Tensor], Tensor]


def convert_plain(network: Swin3D, precision: str) -> Compute:
    openvino = import_openvino()
    model = openvino.convert_model(
        network, example_input=torch.randn(1, 3, *SIZE), input=[1, 3, *SIZE]
    )
    hint = {"fp32": "f32"}.get(precision, precision)
    options: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": hint,
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    return lambda clips: torch.from_numpy(request.infer([clips.numpy()])[0].copy())


def make(engine: str, model: str, precision: str) -> Compute:
    torch.manual_seed(0)
    spec = load_spec(model)
    theirs = make_baseline(spec.architecture)
    if engine == "torchvision":
        return theirs
    network = make_model(spec, theirs).module
    if engine == "plain":
        return convert_plain(network, precision)
    dtype = DTYPES[precision]  # type: ignore[index]
    runtime = Runtime(device=torch.device("cpu"), dtype=dtype, engine=engine)  # type: ignore[arg-type]
    ready = prepare(network, runtime)
    return lambda clips: ready(clips.to(dtype)).float()


def take_turns(model: str, precision: str, engines: list[str], rounds: int) -> dict[str, Any]:
    """Seconds a view, and how far the logits are from the first engine's."""
    works = {engine: make(engine, model, precision) for engine in engines}
    clips, runtime = torch.randn(1, 3, *SIZE), Runtime(device=torch.device("cpu"))
    seconds: dict[str, list[float]] = {engine: [] for engine in engines}
    with torch.inference_mode():
        found = {engine: work(clips) for engine, work in works.items()}
        for number in range(rounds):
            for engine in engines[:: 1 if number % 2 else -1]:
                seconds[engine].append(clock(lambda e=engine: works[e](clips), runtime))  # type: ignore[misc]
    first = found[engines[0]]
    return {
        "seconds": seconds,
        "apart": {e: float((x - first).abs().max() / first.std()) for e, x in found.items()},
    }


def measure_memory(model: str, precision: str, engine: str) -> float:
    """Peak bytes above those held before the network was made ready to compute."""
    runtime = Runtime(device=torch.device("cpu"))
    clips = torch.randn(1, 3, *SIZE)
    if engine in ("torchvision", "torch"):
        work = make(engine, model, precision)
        held = held_bytes(runtime)
    else:
        if engine == "cached":
            torch.manual_seed(0)  # the weights of `measure_start`
        network = make_model(load_spec(model), None).module
        held = held_bytes(runtime)
        work = (
            convert_plain(network, precision)
            if engine == "plain"
            else OpenVinoNetwork(network, precision)
        )
    with torch.inference_mode():
        work(clips)
    return peak_bytes(runtime) - held


def measure_start(model: str, precision: str) -> float:
    torch.manual_seed(0)  # the same weights again are those of the cache
    network = OpenVinoNetwork(make_model(load_spec(model), None).module, precision)
    begun = time.perf_counter()
    network.open(SIZE)
    return time.perf_counter() - begun


def child(*arguments: str, home: str) -> Any:
    line = [sys.executable, __file__, "--child", *arguments]
    environment = os.environ | {"VIDEOSWIN_HOME": home}
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def run_child(what: str, model: str, precision: str, *rest: str) -> None:
    if what == "turns":
        found: Any = take_turns(model, precision, rest[0].split(","), int(rest[1]))
    elif what == "memory":
        found = measure_memory(model, precision, rest[0])
    else:
        found = measure_start(model, precision)
    print(json.dumps(found))


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        run_child(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["swin-tiny-k400", "swin-base-k400"])
    parser.add_argument("--precisions", nargs="+", default=["fp32"], choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without", nargs="+", default=[], choices=ENGINES[1:])
    options = parser.parse_args()
    engines = [engine for engine in ENGINES if engine not in options.without]
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for model in options.models:
        for precision in options.precisions:
            with tempfile.TemporaryDirectory() as home:
                report(model, precision, engines, options.rounds, home)


def report(model: str, precision: str, engines: list[str], rounds: int, home: str) -> None:
    starts = [child("start", model, precision, home=home) for _ in range(2)]
    peaks = [child("memory", model, precision, e, home=home) for e in ("openvino", "cached")]
    first, later = (
        f"{seconds:.1f} s, {peak / 2**20:.0f} MiB added"
        for seconds, peak in zip(starts, peaks, strict=True)
    )
    print(f"\n{model} {precision}: first {first}; later {later}\n")
    turns = child("turns", model, precision, ",".join(engines), str(rounds), home=home)
    rivals = [engine for engine in engines if engine in ("torchvision", "plain")]
    print("| engine | ms, median (least) | " + "".join(f"against {e} | " for e in rivals)
          + "logits apart, of the spread | added MiB |")  # fmt: skip
    print("| --- " * (4 + len(rivals)) + "|")
    for engine in engines:
        own = turns["seconds"][engine]
        ratios = [
            statistics.median(b / a for a, b in zip(own, turns["seconds"][rival], strict=True))
            for rival in rivals
        ]
        ours = engine == "openvino"
        held = peaks[0] if ours else child("memory", model, precision, engine, home=home)
        print(f"| {engine} | {statistics.median(own) * 1e3:.0f} ({min(own) * 1e3:.0f}) | "
              + "".join(f"{ratio:.2f} | " for ratio in ratios)
              + f"{turns['apart'][engine]:.1e} | {held / 2**20:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
