"""Device and precision of a run: resolved once, passed on as a value."""

import re
from dataclasses import dataclass
from typing import get_args

import torch

from videoswin_cli.errors import DeviceError, UsageError
from videoswin_cli.options.run import Engine, Precision

DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


ENGINES: tuple[Engine, ...] = get_args(Engine)


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """Precision and engine of a run, on which the last digits of its results depend."""

    precision: Precision
    engine: Engine = "torch"


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Device, dtype and engine of a run."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    engine: Engine = "torch"

    @property
    def good_batch_size(self) -> int:
        """Views per forward pass: on a CPU more than one gain nothing and fall out of the cache."""
        return 1 if self.on_cpu else 8

    @property
    def on_cpu(self) -> bool:
        return self.device.type == "cpu"

    @property
    def precision(self) -> Precision:
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)

    @property
    def numerics(self) -> Numerics:
        return Numerics(precision=self.precision, engine=self.engine)


def choose_runtime(*, device: str = "auto", precision: Precision = "fp32") -> Runtime:
    """Device and dtype by name; `auto` is the first GPU, where there is one.

    Raises:
        UsageError: no such device here, no such precision, or the device cannot compute in it.
    """
    if precision not in DTYPES:
        raise UsageError(f"unknown precision {precision!r}", hint="use fp32, bf16 or fp16")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", device):
        raise DeviceError(
            f"cannot use the device {device!r}: unknown", hint="use auto, cpu, cuda or cuda:N"
        )
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0][:120]
        raise DeviceError(
            f"cannot use the device {device!r}: {reason}", hint="use auto, cpu, cuda or cuda:N"
        ) from error
    runtime = Runtime(device=chosen, dtype=DTYPES[precision])
    _check_product(runtime)
    return runtime


def _check_product(runtime: Runtime) -> None:
    """Raises UsageError where the device knows no products of matrices in this precision."""
    if runtime.dtype == torch.float32:
        return
    try:
        one = torch.ones(8, 8, device=runtime.device, dtype=runtime.dtype)
        torch.mm(one, one)
    except (RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise DeviceError(
            f"cannot compute in {runtime.precision} on {runtime.device}: {reason}",
            hint="use --precision fp32",
        ) from error
