"""Engines that run exported graphs: ONNX Runtime, OpenVINO, and programs of torch.export."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from videoswin_cli.errors import DeviceError, UsageError
from videoswin_cli.model.exported.program_scan import check_program
from videoswin_cli.model.exported.reading import (
    ExportedFile,
    damaged,
    import_engine,
    open_openvino,
)
from videoswin_cli.model.weight_stamps import check_unchanged

if TYPE_CHECKING:
    from videoswin_cli.model.exported.facts import ExportFormat

_WHOLE = 0.02  # of a pixel value of 0 to 255: normalized and back is far closer to a whole number


class Engine(Protocol):
    """A graph that is ready to compute on its device."""

    def __call__(self, clips: Tensor, /) -> Mapping[str, Tensor]:
        """Outputs `logits` (B, classes), where there is a head, and `features` (B, C)."""


class ExportedNetwork:
    """A `VideoNetwork` of an exported graph: logits and pooled features, nothing between."""

    def __init__(self, file: ExportedFile, engine: Engine, *, one_by_one: bool) -> None:
        self.file = file
        self._engine = engine
        self._size = file.facts.batch or (1 if one_by_one else None)
        self._head = nn.Identity() if file.spec.architecture.num_classes else None

    @property
    def head(self) -> nn.Module | None:
        """A stand-in that says that there are logits; the classifier itself is in the graph."""
        return self._head

    def __call__(self, clips: Tensor) -> Tensor:
        return self._run(clips, "logits")

    def pool(self, clips: Tensor) -> Tensor:
        return self._run(clips, "features")

    def forward_features(self, clips: Tensor, *, stage: int | None = None) -> Tensor:
        """Features (B, C, 1, 1, 1): the pooled ones, as the graph has no others."""
        if stage is not None:
            raise UsageError(f"{self.file.path} has no output behind stage {stage}")
        return self.pool(clips)[:, :, None, None, None]

    def _run(self, clips: Tensor, output: str) -> Tensor:
        facts = self.file.facts
        wanted = (3, facts.frames, facts.height, facts.width)
        if clips.dim() != 5 or tuple(clips.shape[1:]) != wanted:
            raise UsageError(
                f"{self.file.path} takes clips {('B', *wanted)}, found {tuple(clips.shape)}"
            )
        size = self._size or max(len(clips), 1)
        if not len(clips):
            return self._run(clips.new_zeros(1, *wanted), output)[:0]
        parts = [self._compute(part, size, output) for part in torch.split(clips, size)]
        return torch.cat(parts)

    def _compute(self, clips: Tensor, size: int, output: str) -> Tensor:
        count = len(clips)
        if count < size:
            clips = torch.cat([clips, clips[-1:].expand(size - count, *clips.shape[1:])])
        ready = self._to_frames(clips) if self.file.facts.with_preprocess else clips
        return self._engine(ready.contiguous())[output][:count].to(clips.device)

    def _to_frames(self, clips: Tensor) -> Tensor:
        """The uint8 frames (B, T, H, W, 3) that normalized clips came from, exactly."""
        protocol = self.file.spec.protocol
        mean, std = (
            torch.tensor(each, device=clips.device).view(3, 1, 1, 1)
            for each in (protocol.mean, protocol.std)
        )
        pixels = clips * std + mean
        whole = pixels.round()
        if (pixels - whole).abs().max() > _WHOLE or whole.min() < 0 or whole.max() > 255:
            raise UsageError(
                f"{self.file.path} takes whole pixels (--with-preprocess): these clips have none",
                hint="export the model without --with-preprocess",
            )
        return whole.to(torch.uint8).permute(0, 2, 3, 4, 1)


def has_gpu(file: ExportedFile) -> bool:
    """Whether the engine of a file computes on a GPU of this machine."""
    if file.facts.format == "onnx":
        return "CUDAExecutionProvider" in import_engine("onnx").get_available_providers()
    return file.facts.format == "torch"


def open_exported(
    file: ExportedFile, device: torch.device, *, one_by_one: bool | None = None
) -> ExportedNetwork:
    """Open a file with its engine, which takes as many threads as torch has.

    Args:
        file: what to open.
        device: where it computes.
        one_by_one: a graph for any number of views takes one per call, as by default on a CPU: so
            a view's numbers do not depend on what it travels with. (A fixed batch is filled.)

    Raises:
        UsageError: the engine is not installed, or does not know the device.
        CheckpointError: the file is damaged or unsafe, or has changed since it was found.
    """
    if device.type != "cpu" and not has_gpu(file):
        raise DeviceError(
            f"cannot use the device '{device}' for {file.path}: this engine computes on the CPU",
            hint="use --device cpu"
            + ("; onnxruntime-gpu has CUDA" if file.facts.format == "onnx" else ""),
        )
    makers: dict[ExportFormat, Callable[[ExportedFile, torch.device], Engine]] = {
        "onnx": _OnnxEngine,
        "openvino": _OpenVinoEngine,
        "torch": _TorchEngine,
    }
    engine = makers[file.facts.format](file, device)
    check_unchanged(file.stamps)
    if one_by_one is None:
        one_by_one = device.type == "cpu"
    return ExportedNetwork(file, engine, one_by_one=one_by_one)


class _OnnxEngine:
    def __init__(self, file: ExportedFile, device: torch.device) -> None:
        runtime = import_engine("onnx")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        providers: list[Any] = ["CPUExecutionProvider"]
        if device.type == "cuda":
            # TF32 keeps 10 of 23 bits.
            chosen = {"device_id": device.index or 0, "use_tf32": 0}
            providers.insert(0, ("CUDAExecutionProvider", chosen))
        try:
            self._session = runtime.InferenceSession(file.path, options, providers=providers)
        except Exception as error:
            raise damaged(file.path, error) from error
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(self, clips: Tensor) -> Mapping[str, Tensor]:
        (given,) = self._session.get_inputs()
        found = self._session.run(self._names, {given.name: clips.cpu().numpy()})
        return dict(zip(self._names, map(torch.from_numpy, found), strict=True))


class _OpenVinoEngine:
    def __init__(self, file: ExportedFile, device: torch.device) -> None:
        core, model = open_openvino(file.path)
        self._names = _name_outputs(file)
        options = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": "f32",  # by itself it takes bf16 where that is fast
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,  # other processes compute beside this one
        }
        try:
            self._request = core.compile_model(model, "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise damaged(file.path, error) from error

    def __call__(self, clips: Tensor) -> Mapping[str, Tensor]:
        found = self._request.infer([clips.numpy()], share_inputs=True)
        return {
            name: torch.from_numpy(found[index].copy()) for index, name in enumerate(self._names)
        }


class _TorchEngine:
    def __init__(self, file: ExportedFile, device: torch.device) -> None:
        from torch.export.passes import move_to_device_pass

        check_program(file.path)
        try:
            program = torch.export.load(file.path)
            if device.type != "cpu":
                program = move_to_device_pass(program, device)
            self._module: Any = program.module()
        except Exception as error:
            raise damaged(file.path, error) from error
        self._names = _name_outputs(file)

    def __call__(self, clips: Tensor) -> Mapping[str, Tensor]:
        found = self._module(clips)
        outputs = found if isinstance(found, tuple | list) else (found,)
        return dict(zip(self._names, outputs, strict=True))


def _name_outputs(file: ExportedFile) -> tuple[str, ...]:
    """The outputs of a graph, in order."""
    return ("logits", "features") if file.spec.architecture.num_classes else ("features",)
