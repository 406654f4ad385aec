"""CPU micro-benchmarks that choose between kernels, cached per machine.

They run when the profile is first asked for, and are kept in `machine.json` of the cache folder.
"""

import platform
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import msgspec
import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor

from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.atomic import atomic_write, to_json
from videoswin_cli.io.paths import cache_dir
from videoswin_cli.io.process_state import torch_threads
from videoswin_cli.model.cpu.linear import convolve

_ROWS, _INPUTS, _OUTPUTS = 800, 384, 1536  # the first layer of an MLP in the middle of Swin-T
_LOCK_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Speeds of a matrix product relative to `F.linear` in float32; above 1 is faster."""

    convolution: float  # by `convolve`, in float32
    bf16: float  # by `F.linear`, in bfloat16


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """Speeds of this machine, as measured now or before: results must not differ between runs.

    A cache folder that is absent or read-only costs the measurement in every process.
    """
    try:
        file = cache_dir() / "machine.json"
    except RuntimeError:  # no home directory
        return _measure()
    name = _name_machine()
    if name in (known := _read(file)):
        return known[name]
    with ExitStack() as lock:
        with suppress(OSError, TimeoutError):  # a folder that cannot be written to
            file.parent.mkdir(parents=True, exist_ok=True)
            lock.enter_context(FileLock(f"{file}.lock", timeout=_LOCK_SECONDS))
        known = _read(file)  # another process may have been faster
        if name not in known:
            known[name] = _measure()
            with suppress(VideoSwinError), atomic_write(file) as part:
                text = to_json({key: asdict(value) for key, value in known.items()}, indent=1)
                part.write_text(text + "\n", encoding="utf-8")
    return known[name]


def _name_machine() -> str:
    """Processor, its instructions, version of torch: several machines may share a home."""
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
        processor = next(names, processor)
    return f"{processor}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


def _read(file: Path) -> dict[str, Machine]:
    """Earlier measurements; none where the file is absent or damaged."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Machine])
    except (OSError, msgspec.MsgspecError):
        return {}


def _measure() -> Machine:
    """The least of several tries: a busy machine slows now one product and now the other."""
    with torch_threads(1):  # several would wait for each other on a busy machine
        tries = [_compare_products() for _ in range(2)]
    return Machine(
        convolution=min(speeds.convolution for speeds in tries),
        bf16=min(speeds.bf16 for speeds in tries),
    )


@torch.inference_mode()
def _compare_products() -> Machine:
    x, weight, bias = (
        torch.ones(_ROWS, _INPUTS),
        torch.ones(_OUTPUTS, _INPUTS),
        torch.ones(_OUTPUTS),
    )
    half = [tensor.bfloat16() for tensor in (x, weight, bias)]
    products = (
        partial(F.linear, x, weight, bias),
        partial(convolve, x, weight, bias),
        partial(F.linear, *half),
    )
    rounds = [[_clock(product) for product in products] for _ in range(3)]
    linear, convolution, bf16 = (min(column) for column in zip(*rounds, strict=True))
    return Machine(convolution=linear / convolution, bf16=linear / bf16)


def _clock(product: Callable[[], Tensor]) -> float:
    begun = time.perf_counter()
    product()
    return time.perf_counter() - begun
