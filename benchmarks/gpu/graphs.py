"""All windows in one call, and CUDA graphs, on fixed shapes against the network as it is."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.gpu.candidates import capture, in_one_call
from benchmarks.gpu.report import Value
from benchmarks.gpu.section import Bench, apart, milliseconds, ratio, take_turns
from videoswin_cli.engine.runtime import DTYPES
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.model.network import build_network
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.options.run import Precision

PRECISIONS: tuple[Precision, ...] = ("bf16", "fp32")


def measure(bench: Bench) -> None:
    plain = build_network(bench.spec().architecture).eval().to(bench.device)
    for precision in PRECISIONS:
        network = plain.to(DTYPES[precision])
        for views in (1, bench.many):
            clips = bench.clips(views, DTYPES[precision])
            one = in_one_call(network)
            for name, other, graph in (
                ("one call", one, False),
                ("graph", network, True),
                ("one call, graph", one, True),
            ):
                bench.row(
                    f"{name}, {precision} views {views}",
                    partial(compare, bench, network, clips, other, graph),
                )


def compare(
    bench: Bench,
    network: Swin3D,
    clips: Tensor,
    other: Callable[[Tensor], Tensor],
    graph: bool = False,
) -> dict[str, Value]:
    """Another way to compute against the network as it is, in turns."""
    runtime = bench.runtime("bf16" if clips.dtype == torch.bfloat16 else "fp32")
    with torch.inference_mode(), full_float32():
        if graph:
            bench.need_card()
            run = capture(other, clips)
        else:
            run = partial(other, clips)
        works = {"eager": lambda: network(clips), "this": run}
        seconds = take_turns(works, runtime, bench.repeats)
        return {
            "ms": milliseconds(seconds["this"]),
            "eager_ms": milliseconds(seconds["eager"]),
            "ratio": ratio(seconds, "eager", "this"),
            "apart": apart(run(), network(clips)),
        }
