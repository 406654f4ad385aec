"""What this machine is good at: measured at first use, kept in `machine.json` of our folder."""

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

_ROWS, _INPUTS, _OUTPUTS = 800, 384, 1536  # the first layer of an MLP in the middle of Swin-T
_LOCK_SECONDS = 10


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Speeds of a product of matrices against that of `F.linear` in float32; above 1 is faster."""

    convolution: float  # by `convolve`, in float32
    bf16: float  # by `F.linear`, in bfloat16


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What `F.linear` computes of rows (M, C), but by oneDNN and not by MKL."""
    pixels = x.view(1, 1, *x.shape).permute(0, 3, 1, 2)  # (1, C, 1, M), channels last
    # Dilation means nothing to a kernel of one pixel; without it torch would not take oneDNN where
    # it has a single thread.
    out = F.conv2d(pixels, weight[:, :, None, None], bias, dilation=(2, 1))
    return out.permute(0, 2, 3, 1).view(-1, weight.shape[0])


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """As measured now or before: results shall not differ from one run to the next."""
    file, name = cache_dir() / "machine.json", _name_machine()
    if name in (known := _read(file)):
        return known[name]
    with ExitStack() as lock:
        with suppress(OSError, TimeoutError):  # a folder that is not ours to write to
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
    """Processor, its instructions, version of torch: a home may be that of several machines."""
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
        processor = next(found, processor)
    return f"{processor}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


def _read(file: Path) -> dict[str, Machine]:
    """What was measured; nothing where that is not there or damaged: it can be measured again."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Machine])
    except (OSError, msgspec.MsgspecError):
        return {}


def _measure() -> Machine:
    """The least of several tries: a busy machine slows now one product and now the other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would wait for each other on a busy machine
    try:
        tries = [_compare_products() for _ in range(2)]
    finally:
        torch.set_num_threads(threads)
    return Machine(
        convolution=min(found.convolution for found in tries),
        bf16=min(found.bf16 for found in tries),
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
