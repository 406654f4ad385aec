"""Speed of a model on this machine, stage by stage: what `videoswin bench` runs.

Weights are random: they change no time, and nothing need be downloaded.
"""

import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from videoswin_cli.data.transforms import normalize
from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.engine.forward import prepare
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner, open_runner
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.exported.reading import (
    ExportedFile,
    is_exported,
    read_exported,
    refuse_exported,
)
from videoswin_cli.model.layouts import to_canonical
from videoswin_cli.model.loading import FoundModel, LoadedModel, find_model, load_found
from videoswin_cli.model.network import build_network
from videoswin_cli.options.run import RunOptions
from videoswin_cli.records import Benchmark, VideoPart
from videoswin_cli.tasks.bench.torchvision_baseline import make_baseline

_LONG_SECONDS = 0.1  # of a product that a larger one would not do faster


def bench(
    model: str,
    video: str,
    *,
    options: RunOptions,
    videos: int,
    against: str | None,
    monitor: Monitor,
) -> Benchmark:
    """Compute a video several times, as `predict` and `eval` would.

    Args:
        model: as for `predict`.
        video: path; computed once before anything counts.
        options: of the run. Without workers decoding and network take turns, so that their times
            are apart.
        videos: how often the video is computed.
        against: compare a view with another network of the same weights, in turns: `torchvision`,
            or an exported file, for which the model's own weights are loaded.
        monitor: of the run.

    Raises:
        UsageError: an option does not fit the model, torchvision has no such network, or the
            exported file is of another one.
        VideoError: the video cannot be read.
    """
    refuse_exported(model, what="bench (but for --against)")
    found = find_model(model, with_head=True)
    spec = found.spec
    ready, rival = _choose_pair(found, against)
    runner = open_runner(ready, options, reporter=monitor.reporter)
    views, runtime = runner.settings.views, runner.settings.runtime
    held = held_bytes(runtime)
    _compute(runner, [video], Monitor())
    own = Monitor()
    begun = time.perf_counter()
    _compute(runner, [video] * videos, own)
    seconds = time.perf_counter() - begun
    added = peak_bytes(runtime) - held
    gmacs, matmul = count_gmacs(spec), measure_matmul(runtime)
    model_seconds = own.model_seconds - own.normalize_seconds
    view_count = views.clips * views.crops
    result = Benchmark(
        model=spec.name,
        views=str(views),
        precision=runtime.precision,
        engine=runtime.engine,
        device=str(runtime.device),
        threads=torch.get_num_threads(),
        batch_size=runner.settings.batch_size,
        workers=options.workers or 0,
        torch=torch.__version__,
        video=video,
        videos=videos,
        decode_seconds=(own.decode_seconds - own.resize_seconds) / videos,
        preprocess_seconds=(own.resize_seconds + own.normalize_seconds) / videos,
        model_seconds=model_seconds / videos,
        wait_seconds=own.wait_seconds / videos,
        seconds=seconds / videos,
        views_per_second=view_count * videos / model_seconds,
        videos_per_second=videos / seconds,
        gmacs_per_view=gmacs,
        matmul_gflops=matmul,
        fraction_of_peak_matmul=2 * gmacs * view_count * videos / model_seconds / matmul,
        added_bytes=added,
    )
    if rival is None:
        return result
    monitor.notice(f"comparing one view with {against}, in turns")
    return _compare(result, runner, _prepare_rival(rival, runtime), repeats=max(videos, 7))


def _choose_pair(
    found: FoundModel, against: str | None
) -> tuple[LoadedModel, torch.nn.Module | ExportedFile | None]:
    """The model, and a network of the same weights that it is compared with."""
    if against in (None, "torchvision"):
        baseline = make_baseline(found.spec.architecture) if against else None
        return make_model(found.spec, baseline), baseline
    return load_found(found, with_head=True), _find_rival(str(against), found.spec)


def _prepare_rival(rival: torch.nn.Module | ExportedFile, runtime: Runtime) -> "_Rival":
    if isinstance(rival, ExportedFile):
        batch = rival.facts.batch
        return _Rival(name=rival.path.name, network=prepare(rival, runtime), batch=batch)
    return _Rival(name="torchvision", network=rival.to(runtime.device))


@dataclass(frozen=True, kw_only=True)
class _Rival:
    """The other network of a comparison, ready to compute float32 clips."""

    name: str
    network: Callable[[Tensor], Tensor]
    batch: int | None = None  # views per call, where it takes no other number


def _find_rival(against: str, spec: ModelSpec) -> ExportedFile:
    """Raises UsageError for what is no exported file of a network of this kind."""
    if not is_exported(against):
        raise UsageError(
            f"--against {against}: expected torchvision or an exported file",
            hint="`videoswin export` writes .onnx, .xml and .pt2 files",
        )
    file = read_exported(against)
    same = file.spec.architecture == spec.architecture
    if not same or file.facts.frames != spec.protocol.clip_frames:
        raise UsageError(
            f"{against} is of {file.spec.name}, another network than {spec.name}",
            hint="name the model that it was exported from with --model",
        )
    return file


def count_gmacs(spec: ModelSpec) -> float:
    """Multiply-adds of one view, 1e9; counted on tensors without numbers."""
    sizes = spec.protocol.clip_frames, spec.protocol.crop_size, spec.protocol.crop_size
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build_network(spec.architecture).eval()(torch.empty(1, 3, *sizes))
    return float(counter.get_total_flops()) / 2e9


def measure_matmul(runtime: Runtime) -> float:
    """Floating point operations a second of a large matrix product, 1e9; the best of several."""
    best = 0.0
    for side in (512, 1536) if runtime.on_cpu else (8192,):
        one = torch.randn(side, side, device=runtime.device).to(runtime.dtype)
        seconds = min(clock(partial(F.linear, one, one), runtime) for _ in range(7))
        best = max(best, 2 * side**3 / seconds / 1e9)
        if seconds > _LONG_SECONDS:  # bf16 without instructions for it
            break
    return best


def make_model(spec: ModelSpec, baseline: torch.nn.Module | None) -> LoadedModel:
    """A model with random weights, or those of the baseline."""
    network = build_network(spec.architecture).eval()
    if baseline is not None:
        network.load_state_dict(to_canonical(baseline.state_dict(), "torchvision"))
    labels = tuple(f"class {n}" for n in range(spec.architecture.num_classes))
    return LoadedModel(
        network=network, spec=spec, labels=labels, weights=Path("random"), layout="torchvision"
    )


def _compute(runner: Runner, videos: list[str], monitor: Monitor) -> None:
    views = runner.views([VideoPart(path=path) for path in videos], monitor)
    with closing(runner.forward(views, monitor=monitor)) as outputs:
        for output in outputs:
            if isinstance(output, FailedVideo):
                raise VideoError(f"{output.path}: {output.reason}")


def _compare(result: Benchmark, runner: Runner, rival: _Rival, *, repeats: int) -> Benchmark:
    """The baseline runs as a user would have it: float32 on a CPU, autocast on a GPU."""
    protocol, runtime, network = runner.settings.protocol, runner.settings.runtime, runner.network
    side = protocol.crop_size
    count = rival.batch or (1 if runtime.on_cpu else result.batch_size)
    # Whole pixels, as a graph that normalizes takes no others.
    frames = torch.randint(256, (count, protocol.clip_frames, side, side, 3)).to(runtime.device)
    clips = normalize(frames, mean=protocol.mean, std=protocol.std, dtype=torch.float32)
    own_clips = clips.to(runtime.dtype)
    mixed = not runtime.on_cpu and runtime.dtype != torch.float32

    def run_baseline() -> Tensor:
        with torch.autocast(runtime.device.type, runtime.dtype, enabled=mixed):
            found: Tensor = rival.network(clips)
        return found

    def run_own() -> Tensor:
        found: Tensor = network(own_clips)
        return found

    with full_float32(), torch.inference_mode():
        difference = float(
            (run_own().float() - run_baseline().float()).abs().max()
        )  # warms both up
        pairs = [(clock(run_own, runtime), clock(run_baseline, runtime)) for _ in range(repeats)]
    seconds_per_view, baseline_seconds = (
        statistics.median(times) / count for times in zip(*pairs, strict=True)
    )
    return replace(
        result,
        against=rival.name,
        baseline_seconds=baseline_seconds,
        seconds_per_view=seconds_per_view,
        ratio=statistics.median(baseline / own for own, baseline in pairs),
        max_abs_logit_diff=difference,
    )


def clock(work: Callable[[], Tensor], runtime: Runtime) -> float:
    """Seconds that some work takes, on a GPU until it is done."""
    _wait(runtime)
    begun = time.perf_counter()
    work()
    _wait(runtime)
    return time.perf_counter() - begun


def _wait(runtime: Runtime) -> None:
    if runtime.device.type == "cuda":
        torch.cuda.synchronize(runtime.device)


def held_bytes(runtime: Runtime) -> int:
    """Memory of this process, or of the GPU, now; its peak counts from here."""
    if runtime.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(runtime.device)
        return torch.cuda.memory_allocated(runtime.device)
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it; then the peak is that of all times
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _process_bytes("VmRSS")
    return peak_bytes(runtime)


def peak_bytes(runtime: Runtime) -> int:
    """The most that was held since `held_bytes`."""
    if runtime.device.type == "cuda":
        return torch.cuda.max_memory_allocated(runtime.device)
    if sys.platform == "linux":
        return _process_bytes("VmHWM")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def _process_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024
