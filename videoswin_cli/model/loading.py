"""A weight file becomes a ready network: find, read, rename, check, fill. And the way back."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from videoswin_cli.errors import CheckpointError, UsageError
from videoswin_cli.model.catalog import (
    ModelSpec,
    flatten_spec,
    list_specs,
    load_spec,
    parse_spec,
)
from videoswin_cli.model.checkpoint import RawCheckpoint, read_checkpoint, write_safetensors
from videoswin_cli.model.label_files import read_labels
from videoswin_cli.model.layouts import (
    Layout,
    detect_layout,
    fit_problems,
    infer_architecture,
    inflate_image_weights,
    to_canonical,
)
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.model.weights import ensure

_FORMAT = "videoswin-1"  # key of our entry in the metadata of a safetensors file


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network in eval mode and all that is needed to feed it and to read its answers."""

    network: Swin3D
    spec: ModelSpec
    labels: tuple[str, ...]  # class names in index order; empty without a head
    weights: Path
    layout: Layout
    described_as: str | None = None  # the name of another model that the file says it is
    training: Mapping[str, object] | None = None  # what a file of ours says of how it came about

    @property
    def summary(self) -> str:
        """What was loaded, for the user's eyes."""
        parameters = sum(p.numel() for p in self.network.parameters())
        head = f"{len(self.labels)} classes" if self.labels else "no head, features only"
        return (
            f"{self.spec.name}: {parameters / 1e6:.1f}M parameters, {head}, "
            f"{self.layout} layout, from {self.weights}"
            + (f", which says it is {self.described_as}" if self.described_as else "")
        )


def load(
    model: str,
    *,
    checkpoint: str | Path | None = None,
    labels: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    with_head: bool = False,
) -> LoadedModel:
    """Load a model by name, by YAML, or from one of our own weight files.

    Args:
        model: a name of `videoswin models`, a YAML of the same form, or a self-describing
            safetensors file.
        checkpoint: weights of any known layout to put into it; without it those of the model,
            fetched at first use.
        labels: class names, one a line, instead of the model's.
        dtype: of the parameters.
        with_head: refuse what has no classes; image weights before they are fetched.

    Raises:
        UsageError: no such model, a wrong YAML or label file, or no head where one is needed.
        CheckpointError: the file is unsafe, unreadable or does not fit the model.
        FetchError: the weights are not here and could not be fetched.
    """
    own_labels: tuple[str, ...] | None = None
    raw: RawCheckpoint | None = None
    if _is_weight_file(model):
        weights = Path(model)
        raw = read_checkpoint(weights)
        spec, own_labels = _describe(raw, weights)
    else:
        spec = load_spec(model)
    if with_head and spec.kind == "image":
        raise _headless(spec)
    class_names = _class_names(spec, labels, own_labels)
    if checkpoint is not None:
        weights, raw = Path(checkpoint), read_checkpoint(checkpoint)
    elif raw is None:
        weights = ensure(spec)
        raw = read_checkpoint(weights)

    layout, tensors = _rename(raw, weights)
    if layout == "image2d":
        tensors = _inflate(tensors, spec, weights)
    architecture = spec.architecture
    if "head.weight" not in tensors and "head.bias" not in tensors:
        architecture = replace(architecture, num_classes=0)
    if with_head and not architecture.num_classes:
        raise _headless(spec)
    spec = replace(spec, architecture=architecture)
    return LoadedModel(
        network=_fill(spec, tensors, weights, layout=layout, dtype=dtype),
        spec=spec,
        labels=class_names if architecture.num_classes else (),
        weights=weights,
        layout=layout,
        described_as=_other_name(raw, weights, spec.name),
        training=_training(raw),
    )


def describe(
    model: str, *, labels: str | Path | None = None, with_head: bool = True
) -> tuple[ModelSpec, tuple[str, ...]]:
    """What `load` will give as spec and class names, without its weights.

    Raises:
        UsageError: no such model, one without classes, or a wrong YAML or label file.
        CheckpointError: a weight file that does not describe itself.
    """
    if not isinstance(model, str):
        raise UsageError(
            f"a model of type {type(model).__name__}: expected a name or a file, as text"
        )
    own_labels = None
    if _is_weight_file(model):
        spec, own_labels = _describe(read_checkpoint(model), Path(model))
    else:
        spec = load_spec(model)
    if with_head and (spec.kind == "image" or spec.architecture.num_classes == 0):
        raise _headless(spec)
    return spec, _class_names(spec, labels, own_labels)


def save(path: Path, model: LoadedModel, *, training: Mapping[str, object] | None = None) -> None:
    """Write our own layout: safetensors with architecture, protocol and labels in its metadata.

    `training` is what else is to be known of it (recipe, metrics), by default what the model's own
    file said; it is not needed to load it.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    description = {
        "spec": flatten_spec(model.spec),
        "labels": model.labels,
        "training": training or model.training,
    }
    # One entry: safetensors orders several at random, and equal models should be equal files.
    metadata = {_FORMAT: json.dumps(description, ensure_ascii=False)}
    write_safetensors(path, model.network.state_dict(), metadata)


def likely_models(tensors: Mapping[str, Tensor], layout: Layout) -> list[str]:
    """Names of the published models that canonical tensors fit, those of their own layout first."""
    facts = infer_architecture(tensors)
    fitting = [
        spec
        for spec in list_specs()
        if spec.kind == "video"
        and facts.fit(spec.architecture)
        and facts.num_classes in (0, spec.architecture.num_classes)
    ]
    made_by = {"paddle": "paddlevideo"}.get(layout, layout)
    return [spec.name for spec in sorted(fitting, key=lambda s: s.publication.publisher != made_by)]


def name_model(path: Path) -> str:
    """What to give `load` as the model of a file that nothing else is known of.

    Raises:
        CheckpointError: no published model fits, or more than one does; they are named.
    """
    raw = read_checkpoint(path)
    if _FORMAT in raw.metadata:
        return str(path)
    layout, tensors = _rename(raw, path)
    names = likely_models(tensors, layout)
    if len(names) == 1:
        return names[0]
    found = f"{path}: {layout} layout, {len(raw.tensors)} tensors"
    if not names:
        raise CheckpointError(f"{found}; no published model fits", hint="name a YAML with --model")
    raise CheckpointError(
        f"{found}; {len(names)} models fit, which differ in their weights or protocol alone",
        hint=f"choose one with --model: {', '.join(names)}",
    )


def _is_weight_file(model: str) -> bool:
    if model.endswith((".yaml", ".yml")):
        return False
    path = Path(model)
    if path.is_file():
        return True
    if path.suffix in (".safetensors", ".pth", ".pt", ".pdparams", ".bin") or "/" in model:
        raise UsageError(f"no such file: {model}", hint="--model takes a name, a YAML or a file")
    return False


def _describe(raw: RawCheckpoint, path: Path) -> tuple[ModelSpec, tuple[str, ...]]:
    if _FORMAT not in raw.metadata:
        layout, tensors = _rename(raw, path)
        names = likely_models(tensors, layout)
        raise CheckpointError(
            f"{path} does not say which model it is: {layout} layout, {len(raw.tensors)} tensors",
            hint=f"use --model {names[0] if names else 'NAME'} --checkpoint {path}"
            + (f"; it also fits {', '.join(names[1:4])}" if names[1:] else ""),
        )
    try:
        description = json.loads(raw.metadata[_FORMAT])
        spec = parse_spec(dict(description["spec"]), source=str(path), folder=None)
        return spec, tuple(map(str, description["labels"]))
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(
            f"{path}: its description {_FORMAT!r} cannot be read: {error!r}",
            hint="Write the file anew with `videoswin convert`.",
        ) from error


def _other_name(raw: RawCheckpoint, path: Path, name: str) -> str | None:
    if _FORMAT not in raw.metadata:
        return None
    found = _describe(raw, path)[0].name
    return found if found != name else None


def _training(raw: RawCheckpoint) -> dict[str, object] | None:
    if _FORMAT not in raw.metadata:
        return None
    found = json.loads(raw.metadata[_FORMAT]).get("training")
    return found if isinstance(found, dict) else None


def _rename(raw: RawCheckpoint, path: Path) -> tuple[Layout, dict[str, Tensor]]:
    """Layout of a file, and its tensors under our names."""
    try:
        layout = detect_layout(raw.tensors)
        return layout, to_canonical(raw.tensors, layout)
    except CheckpointError as error:  # layouts know nothing of files
        raise CheckpointError(f"{path}: {error.message}", hint=error.hint) from error


def _inflate(tensors: dict[str, Tensor], spec: ModelSpec, path: Path) -> dict[str, Tensor]:
    if spec.kind != "image":
        raise CheckpointError(
            f"{path} holds weights of an image network, {spec.name} is a video model",
            hint="image weights are for fine-tuning: see the models marked image in "
            "`videoswin models`",
        )
    architecture = spec.architecture
    return inflate_image_weights(
        tensors, window_size=architecture.window_size, patch_size=architecture.patch_size
    )


def _fill(
    spec: ModelSpec, tensors: dict[str, Tensor], path: Path, *, layout: Layout, dtype: torch.dtype
) -> Swin3D:
    with torch.device("meta"):  # nothing is initialised only to be overwritten
        network = Swin3D(**asdict(spec.architecture))
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if problems := fit_problems(tensors, shapes):
        names = [name for name in likely_models(tensors, layout) if name != spec.name]
        raise CheckpointError(
            f"{path} does not fit {spec.name}: {problems}",
            hint=f"it fits {', '.join(names[:4])}"
            if names
            else "no published model fits it either",
        )
    ready = {name: tensors[name].to(dtype).contiguous() for name in shapes}
    network.load_state_dict(ready, strict=True, assign=True)
    return network.eval()


def _headless(spec: ModelSpec) -> UsageError:
    what = "image weights" if spec.kind == "image" else "these weights are a bare backbone"
    return UsageError(
        f"{spec.name} has no classes to predict: {what}",
        hint="a network without a head gives features, and is a starting point for fine-tuning",
    )


def _class_names(
    spec: ModelSpec, chosen: str | Path | None, own: tuple[str, ...] | None
) -> tuple[str, ...]:
    num_classes = spec.architecture.num_classes
    if not num_classes:
        return ()
    path = Path(chosen) if chosen is not None else None if own else spec.labels
    if path is not None:
        return read_labels(path, num_classes=num_classes)
    if own and len(own) == num_classes:
        return own
    return tuple(f"class {index}" for index in range(num_classes))
