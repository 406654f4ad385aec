"""Common means of the sections: where they measure, how long, and rows that may fail."""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.gpu.report import Row, Value
from videoswin_cli.engine.forward import prepare
from videoswin_cli.engine.runtime import DTYPES, Runtime
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import ModelSpec, load_spec
from videoswin_cli.model.network import VideoNetwork
from videoswin_cli.options.run import Precision
from videoswin_cli.tasks.bench.bench import clock, make_model
from videoswin_cli.tasks.bench.torchvision_baseline import make_baseline

ROOT = Path(__file__).parents[2]


class NeedsError(Exception):
    """Something that a measurement needs is not here."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where and how large a section measures, and the file that its rows go to."""

    section: str
    device: torch.device
    tiny: bool
    out: Path

    @property
    def on_card(self) -> bool:
        return self.device.type == "cuda"

    @property
    def repeats(self) -> int:
        return 1 if self.tiny else 9

    @property
    def many(self) -> int:
        """Views of a video, in the published protocol."""
        return 2 if self.tiny else 12

    def runtime(self, precision: Precision) -> Runtime:
        return Runtime(device=self.device, dtype=DTYPES[precision])

    def spec(self, name: str = "swin-tiny-k400") -> ModelSpec:
        """A model of the catalog; a rehearsal has a small one and small clips."""
        spec = load_spec(name)
        if not self.tiny:
            return spec
        small = replace(spec.architecture, embed_dim=24, depths=(2, 2), num_heads=(3, 6))
        protocol = replace(spec.protocol, clip_frames=4, crop_size=32)
        return replace(spec, architecture=small, protocol=protocol)

    def clips(self, views: int, dtype: torch.dtype) -> Tensor:
        """Noise (views, 3, T, H, W)."""
        protocol = self.spec().protocol
        size = protocol.clip_frames, protocol.crop_size, protocol.crop_size
        return torch.randn(views, 3, *size, device=self.device).to(dtype)

    def row(self, name: str, measure: Callable[[], dict[str, Value]]) -> None:
        """Measure, and write the values or the reason why there are none."""
        begun, values, needs, error = time.perf_counter(), None, None, None
        try:
            values = measure()
        except NeedsError as missing:
            needs = str(missing)
        except Exception as fault:  # noqa: BLE001 - of any kind: the other rows are still wanted
            lines = str(fault).strip().splitlines() or [""]
            error = f"{type(fault).__name__}: {lines[0][:300]}"
        seconds = time.perf_counter() - begun
        row = Row(section=self.section, name=name, seconds=seconds, values=values, needs=needs,
                  error=error)  # fmt: skip
        with self.out.open("a", encoding="utf-8") as file:  # at once: the process may be ended
            file.write(json.dumps(asdict(row)) + "\n")

    def need_card(self) -> None:
        if not self.on_card:
            raise NeedsError("CUDA")


def find_baseline(spec: ModelSpec) -> torch.nn.Module:
    """Torchvision's network of the same sizes, also of those of a rehearsal."""
    try:
        make_baseline(load_spec("swin-tiny-k400").architecture)
        from torchvision.models.video import swin_transformer
    except (UsageError, ImportError) as error:
        raise NeedsError("torchvision") from error
    sizes = spec.architecture
    network: torch.nn.Module = swin_transformer.SwinTransformer3d(
        patch_size=list(sizes.patch_size),
        embed_dim=sizes.embed_dim,
        depths=list(sizes.depths),
        num_heads=list(sizes.num_heads),
        window_size=list(sizes.window_size),
        num_classes=sizes.num_classes,
    )
    return network.eval()


def make_ours(
    spec: ModelSpec, runtime: Runtime, baseline: torch.nn.Module | None = None
) -> VideoNetwork:
    """What `predict` and `eval` run, with random weights or those of the baseline."""
    return prepare(make_model(spec, baseline).module, runtime)


def take_turns(
    works: dict[str, Callable[[], Tensor]], runtime: Runtime, repeats: int, calls: int = 1
) -> dict[str, list[float]]:
    """Seconds of each work, one after the other, `repeats` times; each has run once before."""

    def run(work: Callable[[], Tensor]) -> Tensor:
        for _ in range(calls - 1):
            work()
        return work()

    for work in works.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            seconds[name].append(clock(lambda work=work: run(work), runtime) / calls)  # type: ignore[misc]
    return seconds


def ratio(seconds: dict[str, list[float]], other: str, own: str) -> float:
    """Median of the other's time over ours."""
    return statistics.median(a / b for a, b in zip(seconds[other], seconds[own], strict=True))


def milliseconds(seconds: list[float]) -> float:
    return 1e3 * statistics.median(seconds)


def apart(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).abs().max())


def import_tests() -> None:
    """Let the helpers of the tests be imported."""
    sys.path.append(str(ROOT / "tests"))
