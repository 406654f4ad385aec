"""Interface of a network, and its construction from an architecture."""

from collections.abc import Iterator
from typing import Any, Protocol, cast

from torch import Tensor, nn

from videoswin_cli.model.cpu.profile import Machine
from videoswin_cli.model.inference_plan import InferencePlan
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.model.training_plan import TrainingPlan
from videoswin_cli.records import Architecture


class VideoNetwork(Protocol):
    """A network of any family, ready to compute. Clips are normalized RGB (B, 3, T, H, W)."""

    @property
    def head(self) -> nn.Module | None:
        """The classifier behind the pooled features; None for features only."""

    def __call__(self, clips: Tensor, /) -> Tensor:
        """Logits (B, num_classes)."""

    def pool(self, clips: Tensor, /) -> Tensor:
        """Features (B, C), their mean over the clip."""

    def forward_features(self, clips: Tensor, /, *, stage: int | None = None) -> Tensor:
        """Features (B, C, T', H', W'): after that stage (from 1), or at the end."""


class ExplainableNetwork(VideoNetwork, Protocol):
    """A network that can be cut in two behind a stage, with gradients between the parts."""

    def classify(self, features: Tensor, /, *, stage: int | None = None) -> Tensor:
        """Logits of features that `forward_features` gave after that stage, or at the end."""

    def cell_size(self, stage: int | None = None, /) -> tuple[int, int, int]:
        """Frames, rows and columns of a clip that one such feature stands for."""


class TrainableNetwork(VideoNetwork, Protocol):
    """A network that is an `nn.Module` as well: the part of one that training names."""

    head_dropout: float

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def train(self, mode: bool = True) -> Any: ...

    def eval(self) -> Any: ...

    def to(self, *args: Any, **kwargs: Any) -> Any: ...


def build_network(
    architecture: Architecture, *, drop_path_rate: float = 0.0, head_dropout: float = 0.0
) -> Swin3D:
    """A network with random weights, in training mode."""
    return Swin3D(architecture, drop_path_rate=drop_path_rate, head_dropout=head_dropout)


def plan_on_cpu(network: VideoNetwork, machine: Machine | None = None) -> VideoNetwork:
    """The inference plan of a network on a CPU; the network itself where its family has none.

    Args:
        network: in evaluation mode.
        machine: see `InferencePlan`.
    """
    # Not a subclass: it may compute something else than the plan does.
    return InferencePlan(network, machine) if type(network) is Swin3D else network


def plan_training(network: TrainableNetwork) -> nn.Module:
    """The training plan of a network, which is for CPUs; the network itself where there is none.

    Both have the same parameters; logits are what calling them gives.
    """
    return TrainingPlan(network) if type(network) is Swin3D else cast("nn.Module", network)
