"""One view and the views of a video against torchvision's network, and against the floor."""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from benchmarks.gpu.report import Value
from benchmarks.gpu.section import (
    Bench,
    NeedsError,
    apart,
    find_baseline,
    make_ours,
    milliseconds,
    ratio,
    take_turns,
)
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.options.run import Precision
from videoswin_cli.tasks.bench.bench import count_gmacs, held_bytes, measure_matmul, peak_bytes

PRECISIONS: tuple[Precision, ...] = ("bf16", "fp32", "fp16")

Works = dict[str, Callable[[], Tensor]]
matmul_gflops = cache(measure_matmul)


def measure(bench: Bench) -> None:
    counts = {"swin-tiny-k400": 2} if bench.tiny else {"swin-tiny-k400": 3, "swin-base-k400": 1}
    for model, count in counts.items():
        for views in (bench.many, 1):
            for precision in PRECISIONS[:count]:
                bench.row(
                    f"{model} {precision} views {views}",
                    partial(compare, bench, model, precision, views),
                )


def compare(bench: Bench, model: str, precision: Precision, views: int) -> dict[str, Value]:
    """Ours, torchvision's under autocast and in float32, in turns."""
    runtime, spec = bench.runtime(precision), bench.spec(model)
    try:
        theirs = find_baseline(spec)
    except NeedsError as error:
        theirs, missing = None, str(error)
    ours = make_ours(spec, runtime, theirs)
    clips = bench.clips(views, runtime.dtype)
    works: Works = {"ours": lambda: ours(clips)}
    if theirs is not None:
        peer, full_clips = theirs.to(bench.device), clips.float()
        works["torchvision_fp32"] = lambda: peer(full_clips)
        if precision != "fp32":
            works["torchvision_autocast"] = partial(mixed, peer, full_clips, runtime.dtype)
    with torch.inference_mode(), full_float32():
        seconds = take_turns(works, runtime, bench.repeats)
        found: dict[str, Value] = {f"{w}_ms": milliseconds(times) for w, times in seconds.items()}
        for name, work in works.items():
            held = held_bytes(runtime)
            work()
            found[f"{name}_added_mib"] = (peak_bytes(runtime) - held) / 2**20
        flops = 2 * count_gmacs(spec) * views  # 1e9
        floor = 1e3 * flops / matmul_gflops(runtime)
        found |= {"floor_ms": floor, "times_floor": milliseconds(seconds["ours"]) / floor}
        if theirs is None:
            return found | {"without": missing}
        names = [name for name in works if name != "ours"]
        found |= {f"{name}_ratio": ratio(seconds, name, "ours") for name in names}
        return found | {"apart": apart(works["ours"](), works["torchvision_fp32"]())}


def mixed(network: torch.nn.Module, clips: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.autocast(clips.device.type, dtype):
        found: Tensor = network(clips)
    return found
