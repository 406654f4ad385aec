"""Devices, threads and bf16 of this machine."""

import os
from collections.abc import Iterator

import torch

from videoswin_cli.data.workers import count_workers
from videoswin_cli.engine.precision import is_fast_in_bf16
from videoswin_cli.engine.runtime import choose_runtime
from videoswin_cli.errors import UsageError
from videoswin_cli.records import HealthRow

_MANY = 1_000_000  # videos, so that only the machine limits the processes


def look_at_machine() -> Iterator[HealthRow]:
    """Rows of the devices, and of how they compute."""
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        memory = f"{facts.total_memory / 2**30:.1f} GiB"
        yield HealthRow(
            part="machine",
            name=f"cuda:{number}",
            value=f"{facts.name}, {memory}, compute capability {facts.major}.{facts.minor}",
        )
    try:
        device = choose_runtime().device
        torch.ones(8, 8, device=device).mm(torch.ones(8, 8, device=device))
    except (UsageError, RuntimeError) as error:
        yield HealthRow(
            part="machine",
            name="device",
            value=str(error).splitlines()[0],
            state="problem",
            advice="use --device cpu, or install the torch that fits the GPU's driver",
        )
        device = torch.device("cpu")
    else:
        cuda = f"torch with CUDA {torch.version.cuda}" if torch.version.cuda else "torch for CPUs"
        yield HealthRow(part="machine", name="device", value=f"{device} ({cuda})")
    fast = is_fast_in_bf16(device)
    value = "fast: --precision auto tries it" if fast else "not faster than fp32"
    yield HealthRow(part="machine", name="bf16", value=value)
    threads = f"{torch.get_num_threads()} of {os.cpu_count()} cores"
    if limit := os.environ.get("OMP_NUM_THREADS"):
        threads += f" (OMP_NUM_THREADS={limit})"
    yield HealthRow(part="machine", name="threads", value=threads)
    try:
        processes = str(count_workers(_MANY, on_cpu=device.type == "cpu"))
        yield HealthRow(part="machine", name="decoding processes", value=processes)
    except UsageError as error:
        yield HealthRow(
            part="machine",
            name="decoding processes",
            value=error.message,
            state="problem",
            advice="unset LOCAL_WORLD_SIZE outside of torchrun",
        )
