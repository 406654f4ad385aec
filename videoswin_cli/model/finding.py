"""The network in a weight file: which one, of how many classes, and whether it fits a model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from videoswin_cli.errors import CheckpointError
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.checkpoint import RawCheckpoint
from videoswin_cli.model.fitting import check_fit, fits, likely_models
from videoswin_cli.model.layouts import (
    Layout,
    infer_architecture,
    inflate_image_weights,
    to_canonical,
)
from videoswin_cli.model.weight_sets import (
    WeightSet,
    choose_set,
    describe_left_out,
    find_sets,
    list_sets,
)

_MOST_ROWS = 127**2  # of the bias table of an image network: windows of 64x64 tokens


@dataclass(frozen=True, kw_only=True)
class FoundNetwork:
    """The network of a file, compared with the model by name and shape."""

    spec: ModelSpec  # with the classes of the file
    layout: Layout
    weights_set: str | None
    remarks: tuple[str, ...]


def choose_network(
    raw: RawCheckpoint, path: Path, weights_set: str | None, spec: ModelSpec | None = None
) -> tuple[WeightSet, dict[str, Tensor], list[WeightSet]]:
    """A network of the file, its tensors under our names, and all sets to choose from.

    Raises:
        CheckpointError: there is none of a known layout, none of that name, or several.
    """
    try:
        sets = find_sets(raw)
        chosen = choose_set(
            sets,
            weights_set,
            fits=lambda each: spec is None or fits(each.tensors, each.layout, spec),
        )
        if chosen.strange:
            name, kind = next(iter(chosen.strange.items()))
            raise CheckpointError(
                f"{name} is {kind}; expected plain floating point numbers",
                hint="save the weights dense, on the CPU and not quantized",
            )
        return chosen, to_canonical(chosen.tensors, chosen.layout), sets
    except CheckpointError as error:  # these know nothing of files
        raise CheckpointError(f"{path}: {error.message}", hint=error.hint) from error


def find_network(
    raw: RawCheckpoint, path: Path, spec: ModelSpec, weights_set: str | None
) -> tuple[FoundNetwork, dict[str, Tensor]]:
    """The network of a file, if it fits a model but for the number of its classes; its tensors.

    They have our names, and may be views of the file, which change with it.

    Raises:
        CheckpointError: see `choose_network`; or the network does not fit.
    """
    chosen, tensors, sets = choose_network(raw, path, weights_set, spec)
    if chosen.layout == "image2d":
        tensors = _inflate(tensors, spec, path)
    classes = infer_architecture(tensors).num_classes
    if "head.weight" not in tensors and "head.bias" in tensors:
        classes = spec.architecture.num_classes  # half a head, which the comparison tells
    if spec.kind == "image":
        classes = 0
    architecture = replace(spec.architecture, num_classes=classes)
    check_fit(tensors, spec.name, architecture, layout=chosen.layout, path=path)
    remarks = []
    if len(sets) > 1:
        remarks.append(
            f"weights {chosen.name!r} of {len(sets)} sets in the file "
            f"({list_sets(sets)}), --weights-set chooses"
        )
    elif chosen.averaged:
        remarks.append(f"averaged weights ({chosen.name}), the only set in the file")
    if spec.architecture.num_classes not in (0, classes) and classes:
        remarks.append(_tell_classes(spec, classes, tensors, chosen.layout))
    if text := describe_left_out(chosen):
        remarks.append(text)
    network = FoundNetwork(
        spec=replace(spec, architecture=architecture),
        layout=chosen.layout,
        weights_set=chosen.name if len(sets) > 1 else None,
        remarks=tuple(remarks),
    )
    return network, tensors


def _tell_classes(
    spec: ModelSpec, classes: int, tensors: Mapping[str, Tensor], layout: Layout
) -> str:
    likely = likely_models(tensors, layout)
    return (
        f"the file has {classes} classes, {spec.name} has {spec.architecture.num_classes}: "
        + (f"as many as {', '.join(likely[:3])}; " if likely else "")
        + "their names are those of --labels, or numbers"
    )


def _inflate(tensors: dict[str, Tensor], spec: ModelSpec, path: Path) -> dict[str, Tensor]:
    if spec.kind != "image":
        raise CheckpointError(
            f"{path} holds weights of an image network, {spec.name} is a video model",
            hint="image weights are for fine-tuning: see the models marked image in "
            "`videoswin models`",
        )
    architecture = spec.architecture
    if infer_architecture(tensors).embed_dim != architecture.embed_dim:
        return tensors  # which do not fit
    for name, tensor in tensors.items():
        # A shape may be claimed that the file has no numbers for; what is inflated is a copy.
        if name.endswith("bias_table") and not (
            tensor.ndim == 2
            and tensor.shape[0] <= _MOST_ROWS
            and tensor.shape[1] in architecture.num_heads
        ):
            raise CheckpointError(
                f"{path}: {name} has the shape {tuple(tensor.shape)}; expected at most "
                f"{_MOST_ROWS} rows and {list(architecture.num_heads)} columns"
            )
    return inflate_image_weights(
        tensors, window_size=architecture.window_size, patch_size=architecture.patch_size
    )
