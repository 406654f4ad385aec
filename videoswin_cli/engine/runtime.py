"""Where and how precisely to compute: resolved once, passed on as a value."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch

from videoswin_cli.data.decoding.container import MAX_PIXELS
from videoswin_cli.data.decoding.open import DecoderChoice, OpenOptions
from videoswin_cli.errors import UsageError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What every run over videos can be told, whatever it makes of them."""

    views: str = "1x1"  # or CxK, or paper
    device: str = "auto"
    precision: Precision = "fp32"
    decoder: DecoderChoice = "auto"
    stream: int | None = None  # of the file, as ffprobe counts; None: the one that FFmpeg takes
    allow_truncated: bool = False  # read what is there of a file whose end is missing
    max_pixels: int = MAX_PIXELS  # of a picture, width x height; files of larger ones are refused
    workers: int | None = 0  # decoding processes; None: as many as suit the run
    batch_size: int | None = None  # views a forward pass; None: what suits the device

    def __post_init__(self) -> None:
        for name, least in (
            ("workers", 0),
            ("batch_size", 1),
            ("stream", 0),
            ("max_pixels", 1),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} {value}: expected {least} or more")
        if self.decoder not in get_args(DecoderChoice):
            raise UsageError(f"no decoder {self.decoder!r}; there are auto, decord and pyav")

    @property
    def opening(self) -> OpenOptions:
        return OpenOptions(
            decoder=self.decoder,
            stream=self.stream,
            allow_truncated=self.allow_truncated,
            max_pixels=self.max_pixels,
        )


@dataclass(frozen=True, kw_only=True)
class Runtime:
    device: torch.device
    dtype: torch.dtype

    @property
    def good_batch_size(self) -> int:
        """Views a forward pass: on a CPU more than one gain nothing and fall out of the cache."""
        return 1 if self.on_cpu else 8

    @property
    def on_cpu(self) -> bool:
        return self.device.type == "cpu"

    @property
    def precision(self) -> Precision:
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)


def choose_runtime(*, device: str = "auto", precision: Precision = "fp32") -> Runtime:
    """Resolve `--device` and `--precision`.

    `auto` takes the first GPU where there is one, and fp32 for as long as no model is loaded that
    `resolve_auto` could try.

    Raises:
        UsageError: no such device here, no such precision, or the device cannot compute in it.
    """
    if precision not in ("auto", *DTYPES):
        raise UsageError(f"unknown precision {precision!r}", hint="use auto, fp32, bf16 or fp16")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0][:120]
        raise UsageError(
            f"cannot use the device {device!r}: {reason}", hint="use auto, cpu, cuda or cuda:N"
        ) from error
    runtime = Runtime(device=chosen, dtype=DTYPES.get(precision, torch.float32))
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
        raise UsageError(
            f"cannot compute in {runtime.precision} on {runtime.device}: {reason}",
            hint="use --precision fp32",
        ) from error
