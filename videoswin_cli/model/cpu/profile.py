"""CPU micro-benchmarks that choose between kernels, cached per machine.

They run when the profile is first asked for, and are kept in `machine.json` of the cache folder.
"""

import platform
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, fields
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
from videoswin_cli.model.cpu.attention import attend_by_products, attend_by_torch
from videoswin_cli.model.cpu.linear import Separate, convolve, fuse, has_fused_products

# Of what is measured and how. A file with another one is measured again, and so is one in which a
# speed is missing: none has a default.
_VERSION = 2
_ROWS, _INPUTS, _OUTPUTS = 800, 384, 1536  # the first layer of an MLP in the middle of Swin-T
_HEADS, _TOKENS, _HEAD_DIM = 3, 392, 32  # one window of the first stage of Swin-T
_LOCK_SECONDS = 120  # of a process that measures, on a busy machine


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Speeds of kernels relative to the usual one for the same; above 1 is faster."""

    convolution: float  # `convolve` to `F.linear`, in float32
    bf16: float  # `F.linear` in bfloat16 to that in float32
    fused: float  # `Fused.gelu` to `F.linear` and `F.gelu`, in float32; 0 where there is none
    fused_bf16: float  # the same in bfloat16
    attention_bf16: float  # `attend_by_products` to torch's kernel; 0 where bfloat16 is slow


@dataclass(frozen=True, kw_only=True)
class _File:
    """Content of `machine.json`."""

    version: int
    machines: dict[str, Machine]  # by name: several may share a home


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
            measured = _measure()
            known = _read(file)
            known.setdefault(name, measured)  # of those that could not wait, the first counts
            with suppress(VideoSwinError), atomic_write(file) as part:
                part.write_text(encode(known), encoding="utf-8")
    return known[name]


def _name_machine() -> str:
    """Processor, its instructions, version of torch: several machines may share a home."""
    processor = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
        processor = next(names, processor)
    return f"{processor}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


def encode(machines: dict[str, Machine]) -> str:
    """Text of `machine.json`."""
    return to_json(asdict(_File(version=_VERSION, machines=machines)), indent=1) + "\n"


def _read(file: Path) -> dict[str, Machine]:
    """Earlier measurements; none where the file is absent, damaged or of another version."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError):
        return {}
    return found.machines if found.version == _VERSION else {}


def _measure() -> Machine:
    """The least of several tries: a busy machine slows now one kernel and now the other."""
    with torch_threads(1):  # the clock is that of one thread
        tries = [_compare_kernels() for _ in range(2)]
    return Machine(
        **{
            speed.name: min(getattr(each, speed.name) for each in tries)
            for speed in fields(Machine)
        }
    )


@torch.inference_mode()
def _compare_kernels() -> Machine:
    random = torch.Generator().manual_seed(0)
    shapes = (_ROWS, _INPUTS), (_OUTPUTS, _INPUTS), (_OUTPUTS,)
    x, weight, bias = (torch.randn(shape, generator=random) for shape in shapes)
    half = [part.bfloat16() for part in (x, weight, bias)]
    linear = partial(F.linear, x, weight, bias)
    bf16 = _compare(linear, partial(F.linear, *half))
    return Machine(
        convolution=_compare(linear, partial(convolve, x, weight, bias)),
        bf16=bf16,
        fused=_compare_fused(x, weight, bias),
        fused_bf16=_compare_fused(*half),
        # Without instructions for bfloat16 the trial alone takes a second.
        attention_bf16=_compare_attentions(torch.bfloat16) if bf16 > 1 else 0.0,
    )


def _compare_fused(x: Tensor, weight: Tensor, bias: Tensor) -> float:
    if not has_fused_products(x.dtype):
        return 0.0
    separate = Separate(partial(F.linear, weight=weight, bias=bias))
    return _compare(partial(separate.gelu, x), partial(fuse(weight, bias).gelu, x))


def _compare_attentions(dtype: torch.dtype) -> float:
    random = torch.Generator().manual_seed(0)
    shapes = *[(1, _HEADS, _TOKENS, _HEAD_DIM)] * 3, (1, _HEADS, _TOKENS, _TOKENS)
    window = [torch.randn(shape, generator=random).to(dtype) for shape in shapes]
    return _compare(partial(attend_by_torch, *window), partial(attend_by_products, *window))


def _compare(usual: Callable[[], Tensor], other: Callable[[], Tensor]) -> float:
    """Speed of the other kernel relative to the usual one, in turns."""
    usual(), other()  # oneDNN makes kernels at their first use
    rounds = [(_clock(usual), _clock(other)) for _ in range(3)]
    return min(first for first, _ in rounds) / min(second for _, second in rounds)


def _clock(kernel: Callable[[], Tensor]) -> float:
    """Seconds of this thread's own, in which other processes do not count."""
    begun = time.thread_time()
    kernel()
    return time.thread_time() - begun
