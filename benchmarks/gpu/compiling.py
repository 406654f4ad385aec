"""`torch.compile` of the network and its blocks on the views of a video, alone and in a graph."""

import time
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.candidates import in_one_call
from benchmarks.gpu.graphs import compare
from benchmarks.gpu.report import Value
from benchmarks.gpu.section import Bench
from videoswin_cli.model.network import build_network
from videoswin_cli.model.swin3d import Swin3D


def measure(bench: Bench) -> None:
    network = build_network(bench.spec().architecture).eval().to(bench.device, torch.bfloat16)
    clips = bench.clips(bench.many, torch.bfloat16)
    for name, what in (("one call", in_one_call(network)), ("as it is", network)):
        for part in ("blocks", "network"):
            made: list[Any] = []
            title = f"{name}, compiled {part}, bf16 views {bench.many}"
            bench.row(f"{title}, compile", partial(compile_once, bench, what, part, clips, made))
            if made:
                bench.row(title, partial(compare, bench, network, clips, made[0]))
                bench.row(f"{title}, graph", partial(compare, bench, network, clips, made[0], True))


def compile_once(
    bench: Bench, network: Swin3D, part: str, clips: Tensor, made: list[Any]
) -> dict[str, Value]:
    """Seconds of the first call. A rehearsal traces, and generates no code."""
    backend = "eager" if bench.tiny else "inductor"
    torch._dynamo.reset()
    if hasattr(torch._dynamo.config, "recompile_limit"):
        torch._dynamo.config.recompile_limit = 64  # eight kinds of blocks share one function
    network = deepcopy(network)
    with torch.inference_mode():
        network(clips)  # makes what is kept
        if part == "blocks":
            for stage in network.layers:
                for block in stage.blocks:
                    block.compile(backend=backend, dynamic=False)
        else:
            network.compile(backend=backend, dynamic=False)
        begun = time.perf_counter()
        network(clips)
        seconds = time.perf_counter() - begun
    made.append(network)
    return {"first_call_seconds": seconds}
