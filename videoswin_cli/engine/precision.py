"""Choice of `--precision auto` for a model on this machine."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.forward import prepare
from videoswin_cli.engine.runtime import DTYPES, Runtime, choose_runtime
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import ResumeError, UsageError
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.model.cpu.profile import this_machine
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.options.run import Precision, PrecisionChoice

_CPU_WORTH = 1.5  # times as fast must a product be in bf16: the rest of the network gains less
_BOUND = 0.1  # of the standard deviation of the logits
_TRIAL = (1, 3, 8, 112, 112)  # a sixteenth of a usual view


@dataclass(frozen=True, kw_only=True)
class Record:
    """Precision in the description of an output, for other shards and for a resume."""

    read: Callable[[], Precision | None] = lambda: None  # None: it says nothing yet
    # Write down a run as decided; gives the precision that another run wrote first.
    keep: Callable[[LoadedModel, Settings], Precision] = lambda _, run: run.runtime.precision


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A precision, and what to say about it behind its name."""

    precision: Precision
    reason: str = ""


NO_RECORD = Record()


def decide_precision(
    choice: PrecisionChoice, model: LoadedModel, settings: Settings, world: World, record: Record
) -> Decision:
    """The precision of a run, the same in all processes.

    `auto` is what the output was begun in. Where there is none yet it is bf16 where the device is
    fast with it and it changes the logits of this model on noise by a tenth of their standard
    deviation at most; else it is fp32.

    Args:
        choice: as asked for.
        model: that is to run.
        settings: of the run, in fp32 where the choice is `auto`.
        world: its main process decides for all.
        record: of the output; only the main process uses it.

    Raises:
        UsageError: the device cannot compute in it.
    """
    device = settings.runtime.device
    if model.exported is not None:
        facts = model.exported.facts
        return Decision(precision="fp32", reason=f", {facts.format}, {facts.precision} weights")
    if choice != "auto":
        reason = ""
        if choice == "fp32" and is_fast_in_bf16(device):
            reason = "; bf16 is faster on this machine: --precision auto tries it"
        return Decision(precision=choice, reason=reason)
    (decision,) = world.share([_decide(model, settings, record)] if world.is_main else [])
    _check_possible(decision.precision, device)
    return decision


def is_fast_in_bf16(device: torch.device) -> bool:
    """Whether bf16 is worth a trial; measured at most once per machine, on a CPU."""
    if device.type == "cpu":
        return this_machine().bf16 > _CPU_WORTH
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _decide(model: LoadedModel, settings: Settings, record: Record) -> Decision:
    found = record.read()
    if found is None:
        decision = _try_bf16(model, settings.runtime.device)
        runtime = replace(settings.runtime, dtype=DTYPES[decision.precision])
        found = record.keep(model, replace(settings, runtime=runtime))
        if found == decision.precision:
            return decision
    return Decision(precision=found, reason=": as the output was begun")


def _try_bf16(model: LoadedModel, device: torch.device) -> Decision:
    if not is_fast_in_bf16(device):
        return Decision(precision="fp32")
    change = _change_in_bf16(model, device)
    if change <= _BOUND:
        return Decision(precision="bf16", reason=": --precision fp32 for the exact scores")
    return Decision(
        precision="fp32",
        reason=f": bf16 changes this model's logits by {change:.2f} standard deviations",
    )


def _check_possible(precision: Precision, device: torch.device) -> None:
    """Raises UsageError where this device cannot do what was decided elsewhere."""
    try:
        choose_runtime(device=str(device), precision=precision)
    except UsageError as error:
        raise ResumeError(
            f"the run was begun in {precision}: {error.message}",
            hint="choose another output or --device",
        ) from error


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
