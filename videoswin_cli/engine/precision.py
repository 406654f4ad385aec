"""What `--device auto` and `--precision auto` come to for a model on this machine."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.forward import prepare
from videoswin_cli.engine.runtime import Precision, RunOptions, choose_runtime
from videoswin_cli.errors import UsageError
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.model.cpu.profile import this_machine
from videoswin_cli.model.loading import LoadedModel

_CPU_WORTH = 1.5  # times as fast must a product be in bf16: the rest of the network gains less
_BOUND = 0.1  # of the spread of the answers
_TRIAL = (1, 3, 8, 112, 112)  # a sixteenth of a usual view


@dataclass(frozen=True, kw_only=True)
class Record:
    """Description of the run of an output, for other shards and for a resume."""

    read: Callable[[], Precision | None] = lambda: None  # None: it says nothing yet
    # Write down what was decided; gives what another run wrote first.
    keep: Callable[[RunOptions], Precision] = lambda run: run.precision


@dataclass(frozen=True, kw_only=True)
class _Decision:
    precision: Precision
    reason: str


_ALONE, _NO_RECORD = World(), Record()


def resolve_auto(
    model: LoadedModel,
    options: RunOptions,
    *,
    notice: Callable[[str], None],
    world: World = _ALONE,
    record: Record = _NO_RECORD,
) -> RunOptions:
    """Options without `auto` in device and precision; what was chosen is told.

    `auto` is what the output was begun in. Where there is none yet it is bf16 where the device is
    fast with it and the answers of this model to noise stay within a tenth of their standard
    deviation of those in fp32; else it is fp32.

    Args:
        model: that is to run.
        options: as asked for.
        notice: prints what was chosen.
        world: the first of them decides for all.
        record: of the output; only the first process uses it.

    Raises:
        UsageError: no such device here, no such precision, or one that cannot be computed here.
    """
    runtime = choose_runtime(device=options.device, precision=options.precision)
    settled = replace(options, device=str(runtime.device), precision=runtime.precision)
    reason = ""
    if options.precision == "auto":
        decided = [_decide(model, settled, record)] if world.is_main else []
        (decision,) = world.share(decided)
        settled, reason = replace(settled, precision=decision.precision), decision.reason
        _check_possible(settled)
    elif settled.precision == "fp32" and is_fast_in_bf16(runtime.device):
        reason = "; bf16 is faster on this machine: --precision auto tries it"
    notice(f"computing on {settled.device} in {settled.precision}{reason}")
    return settled


def is_fast_in_bf16(device: torch.device) -> bool:
    """Whether bf16 is worth a trial; measured at most once a machine, on a CPU."""
    if device.type == "cpu":
        return this_machine().bf16 > _CPU_WORTH
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _decide(model: LoadedModel, options: RunOptions, record: Record) -> _Decision:
    found = record.read()
    if found is None:
        decision = _try_bf16(model, options)
        found = record.keep(replace(options, precision=decision.precision))
        if found == decision.precision:
            return decision
    return _Decision(precision=found, reason=": the output was begun so")


def _try_bf16(model: LoadedModel, options: RunOptions) -> _Decision:
    if not is_fast_in_bf16(torch.device(options.device)):
        return _Decision(precision="fp32", reason="")
    change = _change_in_bf16(model, options)
    if change <= _BOUND:
        return _Decision(precision="bf16", reason=": --precision fp32 for the exact scores")
    reason = f": in bf16 the answers of this model change by {change:.2f} of their spread"
    return _Decision(precision="fp32", reason=reason)


def _check_possible(options: RunOptions) -> None:
    """Raises UsageError where this device cannot do what was decided elsewhere."""
    try:
        choose_runtime(device=options.device, precision=options.precision)
    except UsageError as error:
        raise UsageError(
            f"the run was begun in {options.precision}: {error.message}",
            hint="choose another output or --device",
        ) from error


def _change_in_bf16(model: LoadedModel, options: RunOptions) -> float:
    """The largest of any answer, in standard deviations of the answers."""
    exact, rounded = _answer(model, options, "fp32"), _answer(model, options, "bf16")
    return float((rounded - exact).abs().max() / exact.std())


@torch.inference_mode()
def _answer(model: LoadedModel, options: RunOptions, precision: Precision) -> Tensor:
    runtime, network = prepare(model, replace(options, precision=precision))
    clips = torch.randn(_TRIAL, generator=torch.Generator().manual_seed(0))
    compute = network.pool if network.head is None else network
    with full_float32():
        answers: Tensor = compute(clips.to(runtime.device, runtime.dtype))
    return answers.float()
