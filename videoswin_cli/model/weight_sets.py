"""Networks in a weight file, found by their tensors: one, or several to choose from.

A network is where `patch_embed.proj.weight` is; what stands before that is its prefix, whatever
the training program called it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from videoswin_cli.errors import CheckpointError
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.model.checkpoint import RawCheckpoint
from videoswin_cli.model.heads import CONTAINERS, has_own_head, list_heads
from videoswin_cli.model.layouts import Layout, detect_layout

_ANCHOR = ("patch_embed", "proj", "weight")
# Segments that wrappers put into names: DataParallel, torch.compile, FSDP, activation checkpoints.
_WRAPPING = frozenset(
    {
        *("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"),
        "_forward_module",
    }
)
_AVERAGED = re.compile(r"(?:^|[._])(?:ema|swa|avg|averaged?|polyak|shadow)\d*(?:[._]|$)", re.I)
_OWN_PARTS = frozenset(
    {
        *("patch_embed", "layers", "features", "norm", "norm3", "head", "cls_head", "backbone"),
        "data_preprocessor",
    }
)
# Words in names of what training programs keep beside the network.
_FOREIGN_WORDS = frozenset(
    {
        *("loss", "losses", "criterion", "criteria", "ce", "bce", "metric", "metrics", "acc"),
        *("accuracy", "top1", "top5", "auroc", "f1", "precision", "recall", "confmat", "confusion"),
        *("averaged", "decay", "updates", "steps", "step", "epoch", "iter", "optimizer", "optim"),
        *("scheduler", "scaler", "mixup", "queue", "initted", "rng", "tracked"),
    }
)
_MOST_SETS = 100
# Words in names of layers between a backbone and a head: without them the answers are others.
_BETWEEN_WORDS = frozenset(
    {
        *("neck", "necks", "adapter", "adapters", "bottleneck", "pool", "pooling", "pooler"),
        *("norm", "ln", "bn", "temporal", "fusion", "decoder", "transformer", "lstm", "gru"),
    }
)


@dataclass(frozen=True, kw_only=True)
class WeightSet:
    """The tensors of one network, under the names of its layout."""

    name: str
    root: str  # what its names have in front in the file
    layout: Layout
    averaged: bool  # over the training: EMA, SWA
    preferred: bool = False  # what the program that wrote the file reads
    tensors: dict[str, Tensor]
    strange: dict[str, str] = field(default_factory=dict)  # tensors without plain numbers
    left_out: tuple[str, ...] = ()  # names in the file that are of no network


def find_sets(raw: RawCheckpoint) -> list[WeightSet]:
    """All networks of a file, in the order of the file.

    Raises:
        CheckpointError: there is none of a known layout, or two names mean one tensor.
    """
    roots: dict[str, None] = {}
    for name in (*raw.tensors, *raw.strange):
        if (root := _root_of(name)) is not None:
            roots.setdefault(root)
    if len(roots) > _MOST_SETS:
        raise CheckpointError(f"{len(roots)} networks in one file; the limit is {_MOST_SETS}")
    members: dict[str, list[str]] = {root: [] for root in roots}
    outside = []
    for name in (*raw.tensors, *raw.strange):
        inside = [root for root in roots if name.startswith(root)]
        if inside:
            members[max(inside, key=len)].append(name)
        else:
            outside.append(name)
    found: list[WeightSet] = []
    for root, names in members.items():
        found += _make_sets(raw, root, names, outside)
    if not found:
        if raw.strange:
            name, kind = next(iter(raw.strange.items()))
            raise CheckpointError(
                f"{name} is {kind}, and so are {len(raw.strange) - 1} others; expected plain ones",
                hint="save them with `.to_dense()`, on the CPU, in floating point",
            )
        detect_layout(raw.tensors)  # raises
    return _give_names(found, mmengine=raw.mmengine)


def choose_set(
    sets: Sequence[WeightSet],
    wanted: str | None,
    *,
    fits: Callable[[WeightSet], bool] = lambda _: True,
) -> WeightSet:
    """The set of that name; without one the plain weights, where there are averaged ones too.

    Args:
        sets: of one file.
        wanted: a name, or `ema` for the averaged and `model` for the plain weights.
        fits: decides which of several plain sets are of the model in question.

    Raises:
        CheckpointError: no such set, or several to choose from.
    """
    if wanted is not None:
        averaged = {"ema": True, "model": False}.get(wanted)
        readings = (
            [s for s in sets if wanted in (s.name, s.root.rstrip("."))],
            [s for s in sets if s.averaged == averaged],
            [s for s in sets if f".{wanted}." in f".{s.root}"],
        )
        found = next((named for named in readings if named), [])
        if len(found) == 1:
            return found[0]
        if not found:
            what = f"no set of weights named {wanted!r}; the file has {list_sets(sets)}"
        else:
            kind = {"ema": " averaged", "model": " plain"}.get(wanted, "")
            what = f"{wanted!r} could be {len(found)} sets of{kind} weights: {list_sets(found)}"
        raise CheckpointError(what, hint="choose one with --weights-set NAME")
    plain = [s for s in sets if s.preferred] or [s for s in sets if not s.averaged] or list(sets)
    fitting = [s for s in plain if fits(s)] if len(plain) > 1 else plain
    candidates = fitting or plain
    if all(_equal(candidates[0].tensors, other.tensors) for other in candidates[1:]):
        return candidates[0]
    raise CheckpointError(
        f"{len(candidates)} networks in one file: {list_sets(sets)}",
        hint="choose one with --weights-set NAME",
    )


def list_sets(sets: Sequence[WeightSet]) -> str:
    """Their names, with what is averaged marked."""
    return ", ".join(s.name + (" (averaged)" if s.averaged else "") for s in sets)


def _root_of(name: str) -> str | None:
    """Prefix of the network whose first tensor this is; None for any other tensor."""
    parts = name.split(".")
    plain = [part for part in parts if part not in _WRAPPING]
    if tuple(plain[-3:]) != _ANCHOR:
        return None
    before = parts[: len(parts) - 1 - parts[::-1].index("patch_embed")]
    inner = list(before)
    while inner and inner[-1] in _WRAPPING:
        inner.pop()
    if inner and inner[-1] == "backbone":
        before = inner[:-1]
    return "".join(f"{part}." for part in before)


def _make_sets(
    raw: RawCheckpoint, root: str, names: Sequence[str], outside: Sequence[str]
) -> list[WeightSet]:
    """The network under a root, and mmcv's averages of it; nothing where it is no Swin."""
    tensors: dict[str, Tensor] = {}
    strange: dict[str, str] = {}
    left_out = list(outside)
    for name in names:
        plain = ".".join(p for p in name[len(root) :].split(".") if p not in _WRAPPING)
        if _is_foreign(plain):
            left_out.append(name)
        elif plain in tensors or plain in strange:
            raise CheckpointError(
                f"two tensors of the file stand for {plain}; one of them is {name}",
                hint="Remove the one that does not belong there from the file.",
            )
        elif name in raw.strange:
            strange[plain] = raw.strange[name]
        else:
            tensors[plain] = raw.tensors[name]
    averages = {f"ema_{name.replace('.', '_')}": name for name in tensors}
    averaged = {plain: tensors.pop(ema) for ema, plain in averages.items() if ema in tensors}
    try:
        layout = detect_layout(tensors)
    except CheckpointError:
        if not strange:
            return []
        layout = "official"  # it is refused for its strange tensors
    found = WeightSet(
        name="",
        root=root,
        layout=layout,
        averaged=_AVERAGED.search(root) is not None,
        tensors=tensors,
        strange=strange,
    )
    sets = [found]
    if averaged:
        sets.append(replace(found, name="ema", tensors=averaged, averaged=True))
    return [_find_head(each, raw.tensors, left_out) for each in sets]


def _is_foreign(name: str) -> bool:
    first, *rest = name.split(".")
    if first in _OWN_PARTS:
        return False
    words = re.split("_", first.lower())
    return not _FOREIGN_WORDS.isdisjoint(words) or rest[-1:] == ["num_batches_tracked"]


def _find_head(
    found: WeightSet, everything: Mapping[str, Tensor], left_out: Sequence[str]
) -> WeightSet:
    """Takes in a head of another name, or from beside the network, where one fits by its shape."""
    if not has_own_head(found.tensors):
        parent = re.sub(r"[^.]+\.$", "", found.root)
        beside = {name: everything[name] for name in left_out if name in everything}
        pools = [(found.tensors, "")]
        if not any(_is_between(name.removeprefix(parent)) for name in beside):
            pools.append((beside, parent))
        heads = [
            (pool, key)
            for pool, front in pools
            for key in list_heads(pool, front, found.tensors, turned=found.layout == "paddle")
        ]
        if len(heads) == 1:
            pool, key = heads[0]
            taken = {part: pool[f"{key}.{part}"] for part in ("weight", "bias")}
            names = [f"{key}.{part}" for part in taken]
            tensors = {n: t for n, t in found.tensors.items() if n not in names or pool is beside}
            tensors |= {f"head.{part}": tensor for part, tensor in taken.items()}
            found = replace(found, tensors=tensors)
            left_out = [n for n in left_out if n not in names]
    return _leave_out_beside(found, left_out)


def _leave_out_beside(found: WeightSet, left_out: Sequence[str]) -> WeightSet:
    """Without what stands beside `backbone.` and is neither head nor between it and the head."""
    everything = (*found.tensors, *found.strange)
    if not any(name.startswith("backbone.") for name in everything):
        return replace(found, left_out=tuple(left_out))
    beside = {
        name
        for name in everything
        if name.partition(".")[0] not in _OWN_PARTS | CONTAINERS and not _is_between(name)
    }
    return replace(
        found,
        tensors={name: tensor for name, tensor in found.tensors.items() if name not in beside},
        strange={name: kind for name, kind in found.strange.items() if name not in beside},
        left_out=(*left_out, *(found.root + name for name in everything if name in beside)),
    )


def _is_between(name: str) -> bool:
    first = name.partition(".")[0]
    return not _BETWEEN_WORDS.isdisjoint(re.split("_", first.lower()))


def _give_names(sets: list[WeightSet], *, mmengine: bool) -> list[WeightSet]:
    """The part of each root that tells the sets apart."""
    paths = [[p for p in s.root.split(".") if p and p not in _WRAPPING] for s in sets if not s.name]
    front = _shared(paths)
    rests = [path[front:] for path in paths]
    back = _shared([rest[::-1] for rest in rests])
    short = [".".join(rest[: len(rest) - back]) for rest in rests]
    if len(short) == 1:
        averaged = [part for part in paths[0] if _AVERAGED.search(part)]
        short = averaged[:1] or ["model"]
    names = iter(short if len(set(short)) == len(short) else [".".join(path) for path in paths])
    named = [s if s.name else replace(s, name=next(names) or "model") for s in sets]
    if mmengine and {"state_dict", "ema_state_dict"} <= {s.name for s in named}:
        # It saves the averaged weights as state_dict, for those who read that alone.
        named = [
            replace(s, averaged=s.name == "state_dict", preferred=s.name == "state_dict")
            if s.name in ("state_dict", "ema_state_dict")
            else s
            for s in named
        ]
    return named


def _shared(paths: Sequence[Sequence[str]]) -> int:
    """Number of leading parts that all paths have in common."""
    count = 0
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        count += 1
    return count


def _equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(
        a[name].shape == b[name].shape
        and a[name].dtype == b[name].dtype
        and _is_whole(a[name])
        and _is_whole(b[name])
        and torch.equal(a[name], b[name])
        for name in a
    )


def _is_whole(tensor: Tensor) -> bool:
    """Whether the file has a number for each place, however large the shape."""
    return tensor.nbytes <= tensor.untyped_storage().nbytes()


def describe_left_out(chosen: WeightSet) -> str:
    """For the summary; empty where nothing was."""
    names = chosen.left_out
    count = counted(len(names), "tensor")
    return f"left out {count} not of the network: {name_some(names)}" if names else ""
