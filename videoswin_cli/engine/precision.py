"""Precision of `--precision auto` for a model on this machine."""

import torch
from torch import Tensor

from videoswin_cli.engine.forward import prepare
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.model.cpu.profile import this_machine
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.options.run import Precision

_CPU_WORTH = 1.5  # times as fast must a product be in bf16: the rest of the network gains less
_BOUND = 0.1  # of the standard deviation of the logits
_TRIAL = (1, 3, 8, 112, 112)  # a sixteenth of a usual view


def is_fast_in_bf16(device: torch.device) -> bool:
    """Whether bf16 is worth a trial; measured at most once per machine, on a CPU."""
    if device.type == "cpu":
        return this_machine().bf16 > _CPU_WORTH
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def try_bf16(model: LoadedModel, device: torch.device) -> tuple[Precision, str]:
    """The precision of `auto`, and what to say about it behind its name.

    bf16 where the device is fast with it and it changes the logits of the model on noise by a tenth
    of their standard deviation at most; else fp32.
    """
    if not is_fast_in_bf16(device):
        return "fp32", ""
    change = _change_in_bf16(model, device)
    if change <= _BOUND:
        return "bf16", ": --precision fp32 for the exact scores"
    return "fp32", f": bf16 changes this model's logits by {change:.2f} standard deviations"


def _change_in_bf16(model: LoadedModel, device: torch.device) -> float:
    """The largest change of a logit, in standard deviations of the logits."""
    exact, rounded = (
        _compute_noise(model, device, dtype) for dtype in (torch.float32, torch.bfloat16)
    )
    return float((rounded - exact).abs().max() / exact.std())


@torch.inference_mode()
def _compute_noise(model: LoadedModel, device: torch.device, dtype: torch.dtype) -> Tensor:
    network = prepare(model.module, Runtime(device=device, dtype=dtype))
    clips = torch.randn(_TRIAL, generator=torch.Generator().manual_seed(0))
    compute = network.pool if network.head is None else network
    with full_float32():
        found: Tensor = compute(clips.to(device, dtype))
    return found.float()
