"""Precision and engine of a run: decided once, the same in all processes and after a resume."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.engine_choice import choose_engine, is_worth_compiling
from videoswin_cli.engine.precision import is_fast_in_bf16, try_bf16
from videoswin_cli.engine.runtime import DTYPES, Numerics, Runtime, choose_runtime
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import DeviceError, ResumeError, UsageError
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.model.openvino.network import check_openvino
from videoswin_cli.options.run import RunOptions


@dataclass(frozen=True, kw_only=True)
class Record:
    """Numerics in the description of an output, for other shards and for a resume."""

    read: Callable[[], Numerics | None] = lambda: None  # None: it says nothing yet
    # Write down a run as decided; gives the numerics that another run wrote first.
    keep: Callable[[LoadedModel, Settings], Numerics] = lambda _, run: run.runtime.numerics


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Numerics, and what to say about them behind their names."""

    numerics: Numerics
    reason: str = ""
    begun: Numerics | None = None  # those of the output so far, if there is one


NO_RECORD = Record()


def decide_numerics(
    options: RunOptions,
    model: LoadedModel,
    settings: Settings,
    *,
    videos: int,
    world: World,
    record: Record,
) -> Decision:
    """The numerics of a run, the same in all processes.

    What is `auto` is as the output was begun; where there is none yet, see `try_bf16` and
    `choose_engine`.

    Args:
        options: of the run.
        model: that is to run.
        settings: of the run, in fp32 and by torch where the choice is `auto`.
        videos: that are to be computed, about.
        world: its main process decides for all.
        record: of the output; only the main process uses it.

    Raises:
        UsageError: the device cannot compute so; or the output is OpenVINO's, which is not there.
    """
    device = settings.runtime.device
    if model.exported is not None:
        facts = model.exported.facts
        numerics = Numerics(precision="fp32", engine=facts.format)
        return Decision(numerics=numerics, reason=f", {facts.format}, {facts.precision} weights")
    if options.precision != "auto" and options.computes == "torch":
        reason = _advise(options, model, settings, videos)
        return Decision(numerics=settings.runtime.numerics, reason=reason)
    decided = [_decide(options, model, settings, videos, record)] if world.is_main else []
    (decision,) = world.share(decided)
    if options.precision == "auto":
        _check_possible(decision.numerics, str(device))
    if decision.numerics.engine == "openvino":
        _check_openvino(settings.runtime)
    return decision


def _decide(
    options: RunOptions, model: LoadedModel, settings: Settings, videos: int, record: Record
) -> Decision:
    found = record.read()
    if found is not None:
        return go_on(found, options)
    runtime, reason = settings.runtime, ""
    if options.precision == "auto":
        precision, reason = try_bf16(model, runtime.device)
        runtime = replace(runtime, dtype=DTYPES[precision])
    else:
        reason = _advise(options, model, settings, videos)
    if options.computes == "auto":
        engine, why = choose_engine(model.network, replace(settings, runtime=runtime), videos)
        runtime, reason = replace(runtime, engine=engine), why + reason
    decided = Decision(numerics=runtime.numerics, reason=reason)
    if "auto" not in (options.precision, options.computes):
        return decided
    kept = go_on(record.keep(model, replace(settings, runtime=runtime)), options)
    return decided if kept.numerics == decided.numerics else kept


def go_on(begun: Numerics, options: RunOptions) -> Decision:
    """Numerics that an output was begun in, but for what this run does not leave open."""
    numerics = begun
    if options.precision != "auto":
        numerics = replace(numerics, precision=options.precision)
    if options.computes != "auto":
        numerics = replace(numerics, engine=options.computes)
    reason = ": as the output was begun" if numerics == begun else ""
    return Decision(numerics=numerics, reason=reason, begun=begun)


def _advise(options: RunOptions, model: LoadedModel, settings: Settings, videos: int) -> str:
    """What the user may try, of what was not left open."""
    runtime = settings.runtime
    if runtime.precision == "fp32" and is_fast_in_bf16(runtime.device):
        return "; bf16 is faster on this machine: --precision auto tries it"
    if options.computes == "torch" and is_worth_compiling(model.network, settings, videos):
        return "; OpenVINO is installed: --engine auto tries it"
    return ""


def _check_possible(numerics: Numerics, device: str) -> None:
    """Raises UsageError where this device cannot do what was decided elsewhere."""
    try:
        choose_runtime(device=device, precision=numerics.precision)
    except UsageError as error:
        raise ResumeError(
            f"the run was begun in {numerics.precision}: {error.message}",
            hint="choose another output or --device",
        ) from error


def _check_openvino(runtime: Runtime) -> None:
    """Raises UsageError where OpenVINO, by which an output was begun, cannot go on."""
    begun = "the output was computed by OpenVINO"
    if not runtime.on_cpu:
        raise ResumeError(
            f"{begun}, which computes on the CPU, not on {runtime.device}",
            hint="use --device cpu, or choose another output",
        )
    try:
        check_openvino()
    except DeviceError as error:
        raise ResumeError(f"{begun}, and {error.message}", hint=error.hint) from error
