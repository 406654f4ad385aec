"""A weight file becomes a ready network: find, read, rename, check, fill. And the way back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from videoswin_cli.errors import CheckpointError, ConfigError, MissingInputError, UsageError
from videoswin_cli.io.addresses import is_hub_model
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.model.catalog import ModelSpec, load_spec
from videoswin_cli.model.checkpoint import RawCheckpoint, read_checkpoint, write_safetensors
from videoswin_cli.model.description import Description, read_description, to_metadata
from videoswin_cli.model.exported.reading import (
    ExportedFile,
    is_exported,
    read_exported,
    refuse_exported,
)
from videoswin_cli.model.finding import FoundNetwork, choose_network, find_network
from videoswin_cli.model.fitting import fitting_models, likely_models
from videoswin_cli.model.hub import fetch_hub_model
from videoswin_cli.model.label_files import list_labels, read_labels
from videoswin_cli.model.layouts import Layout, infer_architecture
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.model.weight_stamps import Stamp, check_unchanged
from videoswin_cli.model.weights import ensure
from videoswin_cli.options.run import ModelOptions

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_MOST_CLASSES = 1_000_000  # that names are made up for


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A network in eval mode and all that is needed to feed it and to read its answers."""

    network: Swin3D | ExportedFile
    spec: ModelSpec
    labels: tuple[str, ...]  # class names in index order; empty without a head
    weights: Path
    layout: Layout
    stamps: tuple[Stamp, ...] = ()  # of the files that it was read from, if any
    weights_set: str | None = None  # its name, where the file has several
    described_as: str | None = None  # the name of another model that the file says it is
    training: Mapping[str, object] | None = None  # the training that a videoswin file describes
    remarks: tuple[str, ...] = ()  # what a user should know about the file
    not_finite: tuple[str, ...] = ()  # names of tensors with NaN or infinite numbers
    origin: str | None = None  # repository of the Hub, with its commit

    @property
    def module(self) -> Swin3D:
        """The network with its weights.

        Raises:
            UsageError: it is an exported graph, which can be run and nothing else.
        """
        if isinstance(self.network, ExportedFile):
            raise UsageError(
                f"{self.weights} is an exported graph: it can be run, and nothing else",
                hint="use the model or weight file that `videoswin export` read",
            )
        return self.network

    @property
    def exported(self) -> ExportedFile | None:
        """The exported file that it is, if any."""
        return self.network if isinstance(self.network, ExportedFile) else None

    @property
    def summary(self) -> str:
        """Summary of what was loaded, for the user."""
        if isinstance(self.network, ExportedFile):
            return f"{self.network.summary}, from {self.origin or self.weights}"
        parameters = sum(p.numel() for p in self.network.parameters())
        head = f"{counted(len(self.labels), 'class')}" if self.labels else "no head, features only"
        first = (
            f"{self.spec.name}: {parameters / 1e6:.1f}M parameters, {head}, "
            f"{self.layout} layout, from {self.origin or self.weights}"
            + (f", described as {self.described_as}" if self.described_as else "")
        )
        return "; ".join((first, *self.remarks))


@dataclass(frozen=True, kw_only=True)
class FoundModel:
    """A model by name, YAML or file: all that is known of it before its weights are fetched."""

    published: ModelSpec  # as named
    own_labels: tuple[str, ...] | None  # that a videoswin file contains
    label_file: Path | None  # chosen instead of the model's
    weights: Path | None  # None: those of the model, not fetched yet
    network: FoundNetwork | None  # in the weights, where they are here
    stamp: Stamp | None  # of the weights
    weights_set: str | None
    origin: str | None = None  # repository of the Hub, with its commit
    exported: ExportedFile | None = None  # in place of weights

    @property
    def spec(self) -> ModelSpec:
        return self.published if self.network is None else self.network.spec

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Class names in index order, as far as the weights are known."""
        return _class_names(self.spec, self.label_file, self.own_labels, published=self.published)


def find_model(
    model: str,
    *,
    checkpoint: str | Path | None = None,
    labels: str | Path | None = None,
    with_head: bool = False,
    weights_set: str | None = None,
) -> FoundModel:
    """Find a model, and look at its class names; nothing is fetched but what is on the Hub.

    Args:
        model: a name from `videoswin models`, a YAML of the same form, a self-describing
            safetensors file, or a repository of the Hub, `hf://org/name[@revision]`.
        checkpoint: weights of any known layout to load into it. They may have another number of
            classes than the model.
        labels: class names, one per line, instead of the model's.
        with_head: refuse what has no classes.
        weights_set: which of several sets of weights in one file: a name, `ema` or `model`.

    Raises:
        UsageError: no such model, a wrong YAML or label file, or no head where one is needed.
        CheckpointError: the file is unsafe, unreadable or does not fit the model.
    """
    if not isinstance(model, str):
        raise UsageError(
            f"a model of type {type(model).__name__}: expected a name or a file, as text"
        )
    origin = None
    if is_hub_model(model):
        hub = fetch_hub_model(model)
        model, origin = hub.model, hub.origin
        checkpoint = checkpoint or hub.checkpoint
    if is_exported(model):
        return _find_exported(model, checkpoint, labels, weights_set, with_head=with_head)
    published, own, raw = _read_model(model)
    weights = Path(model) if raw is not None else None
    if with_head and published.kind == "image":
        raise _headless(published)
    if checkpoint is not None:
        weights, raw = Path(checkpoint), read_checkpoint(checkpoint)
    network = None
    if raw is not None and weights is not None:
        network, _ = find_network(raw, weights, published, weights_set)
    found = FoundModel(
        published=published,
        own_labels=own,
        label_file=None if labels is None else Path(labels),
        weights=weights,
        network=network,
        stamp=None if raw is None else raw.stamp,
        weights_set=weights_set,
        origin=origin,
    )
    if with_head and not found.spec.architecture.num_classes:
        raise _headless(found.spec)
    found.labels  # noqa: B018 - wrong ones are reported before a download
    return found


def find_chosen(
    options: ModelOptions, *, labels: Path | None = None, with_head: bool = False
) -> FoundModel:
    """`find_model` with the options of a run."""
    return find_model(
        options.name,
        checkpoint=options.checkpoint,
        labels=labels,
        with_head=with_head,
        weights_set=options.weights_set,
    )


def load_found(
    found: FoundModel, *, dtype: torch.dtype = torch.float32, with_head: bool = False
) -> LoadedModel:
    """Load the weights of a model, which are fetched at first use.

    Raises:
        UsageError: no head where one is needed.
        CheckpointError: the file is unsafe, unreadable, does not fit the model, or has changed
            since it was found.
        FetchError: the weights are not here and could not be fetched.
    """
    if found.exported is not None:
        return LoadedModel(
            network=found.exported,
            spec=found.spec,
            labels=found.labels,
            weights=found.exported.path,
            stamps=found.exported.stamps,
            layout="videoswin",
        )
    weights = ensure(found.published) if found.weights is None else found.weights
    raw = read_checkpoint(weights, mapped=False)
    network, tensors = find_network(raw, weights, found.published, found.weights_set)
    spec = network.spec
    if found.network is None:
        found = replace(found, network=network)  # class names as the weights have them
    if with_head and not spec.architecture.num_classes:
        raise _headless(spec)
    ready = _copy_floats(tensors, weights, dtype=dtype)
    check_unchanged([found.stamp or raw.stamp])
    spoilt = tuple(name for name, tensor in ready.items() if not _is_finite(tensor))
    remarks = list(network.remarks)
    if spoilt:
        remarks.append(
            f"NaN or infinite numbers in {counted(len(spoilt), 'tensor')}: {name_some(spoilt)}"
        )
    with torch.device("meta"):  # nothing is initialised only to be overwritten
        ready_network = Swin3D(spec.architecture)
    ready_network.load_state_dict(ready, strict=True, assign=True)
    said, named = read_description(raw.metadata, weights), found.published.name
    return LoadedModel(
        network=ready_network.eval(),
        spec=spec,
        labels=found.labels,
        weights=weights,
        stamps=(raw.stamp,),
        layout=network.layout,
        weights_set=network.weights_set,
        described_as=said.spec.name if said and said.spec.name != named else None,
        training=said.training if said else None,
        remarks=tuple(remarks),
        not_finite=spoilt,
        origin=found.origin,
    )


def load(
    model: str,
    *,
    checkpoint: str | Path | None = None,
    labels: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
    with_head: bool = False,
    weights_set: str | None = None,
) -> LoadedModel:
    """A model by name, by YAML, or from a videoswin weight file.

    Arguments and errors are those of `find_model` and `load_found`; an exported graph is refused.
    """
    refuse_exported(model, what="this")
    found = find_model(
        model,
        checkpoint=checkpoint,
        labels=labels,
        with_head=with_head,
        weights_set=weights_set,
    )
    return load_found(found, dtype=dtype, with_head=with_head)


def save(path: Path, model: LoadedModel, *, training: Mapping[str, object] | None = None) -> None:
    """Write videoswin's layout: safetensors with architecture, protocol and labels in its metadata.

    `training` is what else is to be known of it (recipe, metrics), by default what the model's own
    file said; it is not needed to load it.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    description = Description(
        spec=model.spec, labels=model.labels, training=training or model.training
    )
    write_safetensors(path, model.module.state_dict(), to_metadata(description))


def check_finite(model: LoadedModel) -> None:
    """Refuse to pass on weights that can give no answer.

    Raises:
        CheckpointError: NaN or infinite numbers among them.
    """
    if names := model.not_finite:
        dtype = str(next(model.module.parameters()).dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{model.weights}: NaN or infinite numbers in {counted(len(names), 'tensor')}, in "
            f"{dtype}: "
            f"{name_some(names)}",
            hint="use weights from before the training diverged; the largest float16 is 65504",
        )


def name_model(path: Path, *, weights_set: str | None = None) -> str:
    """Model argument of `load` for a file of which nothing else is known.

    Raises:
        CheckpointError: no published model fits, or more than one does; they are named.
    """
    raw = read_checkpoint(path)
    if read_description(raw.metadata, path) is not None:
        return str(path)
    found, tensors, _ = choose_network(raw, path, weights_set)
    names = likely_models(tensors, found.layout)
    if len(names) == 1:
        return names[0]
    what = f"{path}: {found.layout} layout, {counted(len(found.tensors), 'tensor')}"
    if names:
        raise CheckpointError(
            f"{what}; {len(names)} models fit, which differ in their weights or protocol alone",
            hint=f"choose one with --model: {', '.join(names)}",
        )
    if others := fitting_models(tensors, found.layout):
        classes = infer_architecture(tensors).num_classes
        raise CheckpointError(
            f"{what}; no published model has its {classes} classes",
            hint=f"name the model that it was trained from with --model: {', '.join(others)}",
        )
    raise CheckpointError(f"{what}; no published model fits", hint="name a YAML with --model")


def _read_model(model: str) -> tuple[ModelSpec, tuple[str, ...] | None, RawCheckpoint | None]:
    """The spec of a model; of a videoswin file also its class names and tensors."""
    if not _is_weight_file(model):
        return load_spec(model), None, None
    raw, path = read_checkpoint(model), Path(model)
    said = read_description(raw.metadata, path)
    if said is not None:
        return said.spec, said.labels, raw
    found, tensors, _ = choose_network(raw, path, None)
    names = likely_models(tensors, found.layout) or fitting_models(tensors, found.layout)
    raise CheckpointError(
        f"{path} does not say which model it is: {found.layout} layout, "
        f"{counted(len(found.tensors), 'tensor')}",
        hint=f"use --model {names[0] if names else 'NAME'} --checkpoint {path}"
        + (f"; it also fits {', '.join(names[1:4])}" if names[1:] else ""),
    )


def _find_exported(
    model: str,
    checkpoint: str | Path | None,
    labels: str | Path | None,
    weights_set: str | None,
    *,
    with_head: bool,
) -> FoundModel:
    """Raises what `find_model` does."""
    if checkpoint is not None or weights_set is not None:
        raise UsageError(
            f"{model} is an exported graph, which has its weights inside",
            hint="leave out --checkpoint and --weights-set, or name the model itself",
        )
    exported = read_exported(model)
    if with_head and not exported.spec.architecture.num_classes:
        raise _headless(exported.spec)
    found = FoundModel(
        published=exported.spec,
        own_labels=exported.labels,
        label_file=None if labels is None else Path(labels),
        weights=exported.path,
        network=None,
        stamp=None,
        weights_set=None,
        exported=exported,
    )
    found.labels  # noqa: B018 - wrong ones are reported now
    return found


def _is_weight_file(model: str) -> bool:
    if model.endswith((".yaml", ".yml")):
        return False
    path = Path(model)
    try:
        there, is_folder = path.exists(), path.is_dir()
    except (OSError, ValueError):  # a name too long, say
        there, is_folder = False, False
    if there and not is_folder:
        return True
    if path.suffix in (".safetensors", ".pth", ".pt", ".pdparams", ".bin") or "/" in model:
        raise MissingInputError(
            f"no such file: {model}", hint="--model takes a name, a YAML or a file"
        )
    return False


def _copy_floats(
    tensors: Mapping[str, Tensor], path: Path, *, dtype: torch.dtype
) -> dict[str, Tensor]:
    """All in one dtype, and none a view of a file that may change.

    Whole numbers are no weights: what scales them is not in the tensor.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _FLOATS:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise CheckpointError(
                f"{path}: {name} holds {kind} numbers; expected float16, bfloat16, float32 or "
                "float64",
                hint="dequantize quantized weights with their scales first",
            )
    return {
        name: tensor.to(dtype, copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def _is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are; a finite sum says so soonest, and another may have overflowed."""
    return bool(tensor.sum().isfinite() or tensor.isfinite().all())


def _headless(spec: ModelSpec) -> UsageError:
    what = "image weights" if spec.kind == "image" else "these are backbone weights"
    return UsageError(
        f"{spec.name} has no classification head: {what}",
        hint="a network without a head serves for features and as a starting point for fine-tuning",
    )


def _class_names(
    spec: ModelSpec,
    chosen: str | Path | None,
    own: tuple[str, ...] | None,
    *,
    published: ModelSpec,
) -> tuple[str, ...]:
    """Names of the classes that the weights have; without any, numbers.

    Args:
        spec: with the classes of the weights.
        chosen: label file of the user.
        own: names that a videoswin file contains.
        published: the model as named, whose label file may be of other classes.
    """
    num_classes = spec.architecture.num_classes
    if not num_classes:
        return ()
    if chosen is not None:
        return read_labels(Path(chosen), num_classes=num_classes)
    if own and len(own) == num_classes:
        return own
    if not own and spec.labels is not None:
        if num_classes == published.architecture.num_classes:
            return read_labels(spec.labels, num_classes=num_classes)
        list_labels(spec.labels)
    if num_classes > _MOST_CLASSES:
        raise ConfigError(f"{spec.name}: {num_classes} classes; the limit is {_MOST_CLASSES}")
    return tuple(f"class {index}" for index in range(num_classes))
