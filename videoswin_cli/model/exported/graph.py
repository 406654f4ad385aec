"""Graph of a network as an exported file has it: its inputs, its outputs, its stored weights."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from videoswin_cli.model.exported.facts import ExportFacts
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.records import InputProtocol

_MOST_VIEWS = 4096  # per call of a graph for any number of views


class _Outputs(nn.Module):
    """Clips (B, 3, T, H, W) -> logits, where there is a head, and pooled features (B, C)."""

    def __init__(self, network: Swin3D) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        features = self.network.pool(clips)
        head = self.network.head
        return (features,) if head is None else (head(features), features)


class _FromClips(nn.Module):
    """The graph on float32 clips, with its weights stored in a dtype and computed in float32."""

    def __init__(self, network: Swin3D, dtype: torch.dtype) -> None:
        super().__init__()
        outputs = _Outputs(network).requires_grad_(False)
        # Hidden from `parameters()`: its tensors are not those of the graph.
        object.__setattr__(self, "_outputs", outputs)
        self._names = [name for name, _ in outputs.named_parameters()]
        for number, (_, weight) in enumerate(outputs.named_parameters()):
            self.register_buffer(f"w{number}", weight.detach().to(dtype))

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        weights = {
            name: getattr(self, f"w{number}").float() for number, name in enumerate(self._names)
        }
        found: tuple[Tensor, ...] = torch.func.functional_call(
            self._outputs,  # type: ignore[arg-type]
            weights,
            (clips,),
        )
        return found


class _FromFrames(nn.Module):
    """The graph on uint8 frames (B, T, H, W, 3) of RGB."""

    mean: Tensor
    std: Tensor

    def __init__(self, graph: _FromClips, protocol: InputProtocol) -> None:
        super().__init__()
        self.network = graph
        self.register_buffer("mean", torch.tensor(protocol.mean))
        self.register_buffer("std", torch.tensor(protocol.std))

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        clips = (frames.float() - self.mean) / self.std
        found: tuple[Tensor, ...] = self.network(clips.permute(0, 4, 1, 2, 3))
        return found


def input_name(facts: ExportFacts) -> str:
    return "frames" if facts.with_preprocess else "clips"


def output_names(network: Swin3D) -> Sequence[str]:
    return ("features",) if network.head is None else ("logits", "features")


def trace(network: Swin3D, facts: ExportFacts, protocol: InputProtocol) -> ExportedProgram:
    """The program of a network in eval mode; facts say for which inputs.

    Args:
        network: float32, on the CPU.
        facts: sizes of the inputs, stored precision, batch.
        protocol: mean and standard deviation for a graph on frames.
    """
    dtype = torch.float16 if facts.precision == "fp16" else torch.float32
    graph: nn.Module = _FromClips(network, dtype)
    count = facts.batch or 2  # a batch of one would be taken for a constant
    example = torch.zeros(count, 3, facts.frames, facts.height, facts.width)
    if facts.with_preprocess:
        graph = _FromFrames(graph, protocol)  # type: ignore[arg-type]
        example = example.permute(0, 2, 3, 4, 1).contiguous().to(torch.uint8)
    shapes = None
    if facts.batch is None:
        shapes = ({0: Dim("batch", min=1, max=_MOST_VIEWS)},)
    with torch.no_grad():
        program = torch.export.export(graph.eval(), (example,), dynamic_shapes=shapes, strict=False)
    # The example travels in the file: one number of storage instead of all its pixels.
    program.example_inputs = (
        (torch.zeros_like(example[:1, :1, :1, :1, :1]).expand_as(example),),
        {},
    )
    return program
