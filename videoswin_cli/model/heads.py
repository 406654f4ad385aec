"""Classification heads in checkpoints: one linear layer, alone or after dropout in a Sequential."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from videoswin_cli.io.visible import name_some

if TYPE_CHECKING:
    from torch import Tensor

CONTAINERS = frozenset(
    {"head", "cls_head", "fc", "fc_cls", "classifier", "classification_head", "linear"}
)
_OWN = ("head.weight", "cls_head.fc_cls.weight", "head.fc.weight")
_NORMS = ("norm.weight", "backbone.norm.weight", "norm3.weight", "backbone.norm3.weight")


def has_own_head(tensors: Mapping[str, "Tensor"]) -> bool:
    """Whether a head exists under a name of a known layout."""
    return any(name in tensors for name in _OWN)


def list_heads(
    pool: Mapping[str, "Tensor"], front: str, network: Mapping[str, "Tensor"], *, turned: bool
) -> list[str]:
    """Names of the linear layers that can be the head of a network, without `.weight`.

    A layer counts where a container holds nothing else: what else is in there is computed too.

    Args:
        pool: tensors to look among.
        front: what the names of containers have in front.
        network: tensors that hold the last norm, whose width the head has.
        turned: weights are (width, classes), as Paddle has them.
    """
    width = next((network[name].numel() for name in _NORMS if name in network), None)
    found = []
    for container in sorted(CONTAINERS):
        names = [name for name in pool if name.startswith(f"{front}{container}.")]
        key = next((n.removesuffix(".weight") for n in names if n.endswith(".weight")), "")
        if set(names) != {f"{key}.weight", f"{key}.bias"} or len(names) != 2:
            continue
        weight, bias = pool[f"{key}.weight"], pool[f"{key}.bias"]
        shape = (width, bias.numel()) if turned else (bias.numel(), width)
        if bias.ndim == 1 and tuple(weight.shape) == shape:
            found.append(key)
    return found


def explain_head(tensors: Mapping[str, "Tensor"]) -> str:
    """Reason why a head is not supported, in a clause; empty for a plain one."""
    for container in sorted(CONTAINERS):
        inside = [name for name in tensors if name.startswith(f"{container}.")]
        layers = [name for name in inside if name.endswith(".weight")]
        if len(layers) > 1:
            return (
                f"its head {container!r} has {len(layers)} layers ({name_some(layers)}); expected "
                "one linear layer, as what is computed between several is not in the file"
            )
    return ""
