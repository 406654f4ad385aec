"""What `--device auto` and `--precision auto` come to for a model on this machine."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from videoswin_cli.engine.inference import prepare
from videoswin_cli.engine.runtime import Precision, RunOptions, choose_runtime
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.model.machine import this_machine

_CPU_WORTH = 1.5  # times as fast must a product be in bf16: the rest of the network gains less
_BOUND = 0.1  # of the spread of the answers
_TRIAL = (1, 3, 8, 112, 112)  # a sixteenth of a usual view


def resolve_auto(
    model: LoadedModel, options: RunOptions, *, notice: Callable[[str], None]
) -> RunOptions:
    """Options without `auto` in device and precision; what was chosen is told.

    `auto` is bf16 where the device is fast with it and the answers of this model to noise stay
    within a tenth of their standard deviation of those in fp32; else it is fp32.

    Raises:
        UsageError: no such device here, or no such precision.
    """
    runtime = choose_runtime(device=options.device, precision=options.precision)
    settled = replace(options, device=str(runtime.device), precision=runtime.precision)
    reason = ""
    if options.precision == "auto" and _is_fast_in_bf16(runtime.device):
        change = _change_in_bf16(model, settled)
        if change <= _BOUND:
            settled = replace(settled, precision="bf16")
            reason = ": --precision fp32 for the exact scores"
        else:
            reason = f": in bf16 the answers of this model change by {change:.2f} of their spread"
    notice(f"computing on {settled.device} in {settled.precision}{reason}")
    return settled


def _is_fast_in_bf16(device: torch.device) -> bool:
    if device.type == "cpu":
        return this_machine().bf16 > _CPU_WORTH
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _change_in_bf16(model: LoadedModel, options: RunOptions) -> float:
    """The largest of any answer, in standard deviations of the answers."""
    exact, rounded = _answer(model, options, "fp32"), _answer(model, options, "bf16")
    return float((rounded - exact).abs().max() / exact.std())


@torch.inference_mode()
def _answer(model: LoadedModel, options: RunOptions, precision: Precision) -> Tensor:
    runtime, network = prepare(model, replace(options, precision=precision))
    clips = torch.randn(_TRIAL, generator=torch.Generator().manual_seed(0))
    compute = network.pool if network.head is None else network
    answers: Tensor = compute(clips.to(runtime.device, runtime.dtype))
    return answers.float()
