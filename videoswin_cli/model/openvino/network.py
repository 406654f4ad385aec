"""OpenVINO as the engine of a `Swin3D` on a CPU: the same numbers in less time than by torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from videoswin_cli.errors import DeviceError, install_extra
from videoswin_cli.model.inference_plan import InferencePlan, one_by_one
from videoswin_cli.model.openvino.graph import Answer, build_graph
from videoswin_cli.model.openvino.offload import offload, releasing
from videoswin_cli.model.openvino.package import import_openvino
from videoswin_cli.model.openvino.store import (
    hash_network,
    keep_graph,
    name_graph,
    read_graph,
    view_graph,
)
from videoswin_cli.model.swin3d import Swin3D, Triple

if TYPE_CHECKING:
    from mmap import mmap


class OpenVinoNetwork:
    """A `VideoNetwork` whose answers OpenVINO computes, by one graph per clip size and answer.

    Graphs are compiled at their first use, or read from the cache; then the weights of the network
    leave memory (`offload`). Parameters that are trained, loaded, assigned or replaced count from
    the next call on; numbers that are written into `.data` in place, settings of modules and hooks
    do not. Clips are computed one by one with as many threads as torch has, so a clip's numbers do
    not depend on what it travels with.

    Args:
        network: in evaluation mode, float32, on the CPU.
        precision: "fp32", or "bf16" for products and attention in bfloat16.
    """

    def __init__(self, network: Swin3D, precision: str) -> None:
        self.network = network
        self.precision = precision
        self.unkept = ""  # why the cache does not hold a graph that was compiled; empty: it does
        # Parameters with versions and addresses, of all that follows.
        self._weights: list[tuple[nn.Parameter, int, int]] = []
        self._changed = False  # since they were loaded: such graphs are not kept
        self._hash = ""
        self._offloaded = False
        self._requests: dict[tuple[Triple, Answer], Any] = {}
        # Graphs of the cache, which OpenVINO computes from and does not keep alive.
        self._maps: list[mmap] = []

    @property
    def head(self) -> nn.Module | None:
        return self.network.head

    def __call__(self, clips: Tensor) -> Tensor:
        if self.network.head is None:
            raise RuntimeError("this network has no head: call forward_features")
        return one_by_one(lambda clip: self._answer(clip, "classes")[1], clips)

    def pool(self, clips: Tensor) -> Tensor:
        return one_by_one(lambda clip: self._answer(clip, "classes")[0], clips)

    def forward_features(self, clips: Tensor, *, stage: int | None = None) -> Tensor:
        answer: Answer = "features" if stage is None else stage
        tokens = one_by_one(lambda clip: self._answer(clip, answer)[0][None], clips)
        return tokens.permute(0, 4, 1, 2, 3)

    def open(self, size: Triple, answer: Answer = "classes") -> None:
        """Compile the graph for clips of a size, or read it from the cache.

        Raises:
            DeviceError: OpenVINO is not installed, or cannot compute this.
        """
        self._follow()
        if (size, answer) not in self._requests:
            try:
                self._requests[size, answer] = self._compile(size, answer)
            except RuntimeError as error:
                raise DeviceError(
                    f"OpenVINO cannot compute this network for clips of {size}: {_shorten(error)}",
                    hint="use --engine torch",
                ) from error

    def name_graph(self, size: Triple, answer: Answer = "classes") -> str:
        """Name of a graph in the cache."""
        openvino, core = _open_core()
        self._follow()
        return name_graph(
            self._hash,
            size,
            answer,
            precision=self.precision,
            processor=str(core.get_property("CPU", "FULL_DEVICE_NAME")),
            version=openvino.get_version(),
        )

    def _look(self) -> list[tuple[nn.Parameter, int, int]]:
        return [
            (each, 0 if each.is_inference() else each._version, each.data_ptr())
            for each in self.network.parameters()
        ]

    def _follow(self) -> None:
        """Forget what is of weights that are not those of the network any more."""
        now = self._look()
        pairs = zip_longest(now, self._weights, fillvalue=(None, 0, 0))
        if all(new[0] is old[0] and new[1:] == old[1:] for new, old in pairs):
            return
        with _telling_modules():
            hashed = hash_network(self.network)
        before, self._hash, self._weights = self._hash, hashed, now
        if before in ("", self._hash):  # nothing is of others; they may lie elsewhere, that is all
            return
        self._changed, self._offloaded = True, False
        self._requests.clear()
        self._maps.clear()

    def _compile(self, size: Triple, answer: Answer) -> Any:
        _, core = _open_core()
        if not has_precision(self.precision):
            where = " on this processor" if self.precision in _FURTHEST else ""
            raise DeviceError(
                f"OpenVINO does not compute in {self.precision}{where}", hint="use --engine torch"
            )
        options = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": {"fp32": "f32"}.get(self.precision, self.precision),
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # other processes compute beside this one
        }
        name = self.name_graph(size, answer)
        if (kept := read_graph(name)) is not None:
            if not self._offloaded:
                offload(self.network)
                self._weights, self._offloaded = self._look(), True
            try:
                with releasing(kept):  # OpenVINO packs the weights that it reads
                    request = _import_graph(view_graph(kept), options)
                self._maps.append(kept)
                return request
            except RuntimeError:  # it is sound, but OpenVINO does not take it: made anew
                pass
        with _telling_modules():
            graph = build_graph(self.network, size, answer)
        compiled = core.compile_model(graph, "CPU", options)
        request = compiled.create_infer_request()
        self._prove(request, size, answer)
        if not self._changed:  # those of a training would fill the disk
            self.unkept = keep_graph(name, compiled.export_model().getbuffer()) or self.unkept
        return request

    def _prove(self, request: Any, size: Triple, answer: Answer) -> None:
        """Raise DeviceError where a new graph gives other numbers than torch: engines have faults.

        OpenVINO 2026.4 mixed up axes of equal size, and said nothing.
        """
        noise = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
        plan, found = InferencePlan(self.network), _infer(request, noise)[-1]
        if answer == "classes":
            expected = plan.pool(noise) if self.head is None else plan(noise)
        else:
            stage = None if answer == "features" else answer
            expected = plan.forward_features(noise, stage=stage)[0].permute(1, 2, 3, 0)
        apart = float((found - expected).abs().max() / expected.abs().max())
        if not apart <= _FURTHEST[self.precision]:
            raise DeviceError(
                f"OpenVINO gives other numbers than torch for clips of {size}: {apart:.1e} of the "
                "largest apart",
                hint="use --engine torch",
            )

    def _answer(self, clip: Tensor, answer: Answer) -> list[Tensor]:
        if clip.dim() != 5 or clip.shape[1] != 3:
            raise ValueError(f"expected clips (B, 3, T, H, W), found {tuple(clip.shape)}")
        size: Triple = tuple(clip.shape[2:])  # type: ignore[assignment]
        self.open(size, answer)
        return _infer(self._requests[size, answer], clip)


@contextmanager
def _telling_modules() -> Iterator[None]:
    """Raises DeviceError where a module was put in place of one of `swin3d`."""
    try:
        yield
    except AttributeError as error:
        raise DeviceError(
            f"OpenVINO computes the modules of Swin3D alone: {error}", hint="use --engine torch"
        ) from error


def _import_graph(kept: NDArray[np.uint8], options: dict[str, Any]) -> Any:
    """A request to a graph of the cache, which is read as OpenVINO asks for it."""
    openvino, core = _open_core()
    try:
        tensor = openvino.Tensor(kept, shared_memory=True)
        compiled = core.import_model(tensor, "CPU", options)
    except TypeError:  # OpenVINO 2025.3 and older take bytes alone
        compiled = core.import_model(kept.tobytes(), "CPU", options)
    return compiled.create_infer_request()


def _infer(request: Any, clip: Tensor) -> list[Tensor]:
    found = request.infer([clip.float().numpy(), _ZERO], share_inputs=True)
    return [torch.from_numpy(found[n].copy()) for n in range(len(found))]


_ZERO = torch.zeros((), dtype=torch.int32).numpy()
_FURTHEST = {"fp32": 1e-4, "bf16": 0.1}  # of the largest number of an answer


@lru_cache(maxsize=1)
def _open_core() -> tuple[Any, Any]:
    if find_spec("openvino") is None:
        raise DeviceError("the package openvino is not installed", hint=install_extra("openvino"))
    try:
        openvino = import_openvino()
        return openvino, openvino.Core()
    except Exception as error:  # of whatever is broken in it
        raise DeviceError(
            f"the package openvino is broken: {type(error).__name__}: {_shorten(error)}",
            hint="pip install --force-reinstall --no-deps openvino",
        ) from error


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def check_openvino() -> None:
    """Raises DeviceError where OpenVINO is not installed, or does not load."""
    _open_core()


def open_openvino(network: object, precision: str) -> OpenVinoNetwork:
    """OpenVINO for a network.

    Raises:
        DeviceError: it does not load, or the network is of another family than `Swin3D`.
    """
    check_openvino()
    if type(network) is not Swin3D:  # a subclass may compute something else
        raise DeviceError(
            f"OpenVINO computes Swin3D networks, found {type(network).__name__}",
            hint="use --engine torch",
        )
    return OpenVinoNetwork(network, precision)


def has_precision(precision: str) -> bool:
    """Whether OpenVINO computes in a precision on this processor.

    Raises:
        DeviceError: OpenVINO is not installed, or does not load.
    """
    known = precision in _FURTHEST  # not fp16, of which nothing was measured
    return known and (precision == "fp32" or precision.upper() in _list_precisions())


def _list_precisions() -> list[str]:
    """Precisions in OpenVINO's words, such as FP32 and BF16."""
    return list(_open_core()[1].get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
