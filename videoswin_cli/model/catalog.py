"""Every model as data: one flat YAML each in `configs/models`, or a file of the same form."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from videoswin_cli.config import (
    check_keys,
    configs_folder,
    read_yaml,
    required_keys,
    to_record,
)
from videoswin_cli.errors import UsageError
from videoswin_cli.files import check_no_stream
from videoswin_cli.records import Architecture, Protocol

DEFAULT_MODEL = "swin-tiny-k400"
PUBLISHERS = ("videoswin", "official", "mmaction2", "torchvision", "paddlevideo", "microsoft")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a published checkpoint was trained; the YAML keys carry the prefix `recipe_`."""

    optimizer: str
    lr: float
    betas: tuple[float, float]
    weight_decay: float
    backbone_lr_mult: float  # learning rate of the backbone over that of the head
    parameter_groups: str
    schedule: str
    warmup: str
    epochs: int
    clips_per_gpu: int
    gpus: int
    gradient_accumulation: int
    mixed_precision: str | None
    head_dropout: float
    drop_path_rate: float
    label_smoothing: float
    augment: tuple[str, ...]
    init: str


@dataclass(frozen=True, kw_only=True)
class Publication:
    """Where a checkpoint comes from and what was published about it. All optional for one's own."""

    publisher: str | None = None
    origin: str | None = None  # repository and config
    licence: str | None = None
    url: str | None = None
    file: str | None = None
    bundled: bool = False  # the file is one of ours, in configs/weights
    file_mib: float | None = None  # MiB
    sha256: str | None = None  # whole digest, or the first 8 digits that the file name carries
    dataset: str | None = None
    pretraining: str | None = None
    top1: float | None = None  # percent
    top5: float | None = None  # percent
    accuracy_source: str | None = None
    parameters: int | None = None  # counted, with head
    gmacs_per_view: float | None = None  # counted multiply-adds, 1e9; papers print them as FLOPs


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model: what it is, how it is fed, and where its weights come from."""

    name: str
    kind: Literal["video", "image"]  # image: 2D weights, to start fine-tuning from
    labels: Path | None  # one class name a line
    multi_label: bool = False  # a video may have several classes, each a sigmoid of its own
    architecture: Architecture
    protocol: Protocol
    publication: Publication
    recipe: Recipe | None


@dataclass(frozen=True, kw_only=True)
class _Header:
    name: str
    kind: Literal["video", "image"]
    labels: str | None = None
    multi_label: bool = False


def load_spec(name_or_path: str) -> ModelSpec:
    """Find a model by the name of a YAML of ours or by the path of one's own.

    Raises:
        UsageError: no such model (the nearest names are suggested), or a wrong YAML.
    """
    if name_or_path.endswith((".yaml", ".yml")):
        return read_spec(Path(name_or_path))
    names = model_names()
    if name_or_path not in names:
        longer = [name for name in names if name.startswith(name_or_path)][:3]
        near = longer or get_close_matches(name_or_path, names, n=3, cutoff=0.5)
        hint = f"nearest: {', '.join(near)}" if near else "`videoswin models` lists them all"
        raise UsageError(f"unknown model {name_or_path!r}", hint=hint)
    return read_spec(_models_folder() / f"{name_or_path}.yaml")


def list_specs() -> list[ModelSpec]:
    """All models that have a YAML here: ours, then video before image, by publisher and size."""
    specs = [load_spec(name) for name in model_names()]
    return sorted(specs, key=_order)


def model_names() -> list[str]:
    return sorted(path.stem for path in _models_folder().glob("*.yaml"))


def read_spec(path: Path) -> ModelSpec:
    """Read one model YAML.

    Raises:
        UsageError: names the file and the unknown, missing or wrongly typed key.
    """
    return parse_spec(read_yaml(path), source=str(path), folder=path.parent)


def parse_spec(data: dict[str, Any], *, source: str, folder: Path | None) -> ModelSpec:
    """Sort the flat keys into records. `folder` is where a relative `labels` file is looked for."""
    kinds = (_Header, Architecture, Protocol, Publication)
    parts = {kind: {f.name for f in fields(kind)} for kind in kinds}
    recipe_keys = {f"recipe_{f.name}" for f in fields(Recipe)}
    required = set().union(*(required_keys(kind) for kind in parts))
    has_recipe = not recipe_keys.isdisjoint(data)
    check_keys(
        data,
        known=recipe_keys.union(*parts.values()),
        required=required | (recipe_keys if has_recipe else set()),
        source=source,
    )

    def part(kind: type[Any]) -> Any:
        chosen = {key: data[key] for key in parts[kind] & data.keys()}
        return to_record(kind, chosen, source=source)

    architecture, protocol = part(Architecture), part(Protocol)
    if problem := next(_problems(architecture, protocol), None):
        raise UsageError(f"{source}: {problem}")
    recipe = {key.removeprefix("recipe_"): data[key] for key in recipe_keys & data.keys()}
    header = part(_Header)
    return ModelSpec(
        name=header.name,
        kind=header.kind,
        labels=_labels_path(header.labels, folder),
        multi_label=header.multi_label,
        architecture=architecture,
        protocol=protocol,
        publication=part(Publication),
        recipe=to_record(Recipe, recipe, source=source) if has_recipe else None,
    )


def flatten_spec(spec: ModelSpec) -> dict[str, Any]:
    """The flat keys of `spec`, as `parse_spec` takes them, without labels: a path stays here."""
    recipe = asdict(spec.recipe) if spec.recipe else {}
    flat = {
        "name": spec.name,
        "kind": spec.kind,
        "multi_label": spec.multi_label,
        **asdict(spec.architecture),
        **asdict(spec.protocol),
        **asdict(spec.publication),
        **{f"recipe_{key}": value for key, value in recipe.items()},
    }
    return {key: value for key, value in flat.items() if value or key not in _RARE}


_RARE = ("multi_label", "bundled")  # keys that a file has where they are true


def list_labels(path: Path) -> tuple[str, ...]:
    """Class names in index order: one a line, or JSON that maps names to indices.

    Raises:
        UsageError: the file is missing or does not hold names.
    """
    check_no_stream(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _map_labels(json.loads(text)) if path.suffix == ".json" else _line_labels(text)
    except (OSError, ValueError, TypeError) as error:  # UnicodeDecodeError is a ValueError
        raise UsageError(f"cannot read the labels {path}: {error}") from error


def read_labels(path: Path, *, num_classes: int) -> tuple[str, ...]:
    """`list_labels` for a model.

    Raises:
        UsageError: also where there are not `num_classes` names.
    """
    labels = list_labels(path)
    if len(labels) != num_classes:
        raise UsageError(
            f"{path} holds {len(labels)} class names, the model has {num_classes} classes",
            hint="give the label file of the data set that the model was trained on (--labels)",
        )
    return labels


def _line_labels(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _map_labels(data: object) -> tuple[str, ...]:
    """Something-Something's form: {"Approaching something with your camera": "0", ...}."""
    if not isinstance(data, dict):
        raise ValueError(f"expected names and their indices, found {type(data).__name__}")
    names = {int(index): str(name) for name, index in data.items()}
    if sorted(names) != list(range(len(data))):
        raise ValueError(f"the indices of {len(data)} names are not 0 to {len(data) - 1}")
    return tuple(names[index] for index in range(len(names)))


def _problems(architecture: Architecture, protocol: Protocol) -> Iterator[str]:
    """Values that no network or video could have, as key, what was found and what is possible."""
    a, p = architecture, protocol
    for key in ("depths", "num_heads", "window_size", "patch_size"):
        if not (getattr(a, key) and min(getattr(a, key)) >= 1):
            yield f"{key}: expected numbers from 1 up, found {list(getattr(a, key))}"
    if len(a.depths) != len(a.num_heads):
        yield (
            f"depths and num_heads: expected as many of each, found {len(a.depths)} and "
            f"{len(a.num_heads)}"
        )
    for stage, heads in enumerate(a.num_heads):
        if a.embed_dim < 1 or a.embed_dim * 2**stage % heads:
            yield f"embed_dim: {a.embed_dim} cannot be shared by the heads of stage {stage + 1}"
    if not 0 < a.mlp_ratio < math.inf:
        yield f"mlp_ratio: expected a positive number, found {a.mlp_ratio}"
    if a.num_classes < 0:
        yield f"num_classes: expected 0 or more, found {a.num_classes}"
    for key, most in _MOST.items():
        if not 1 <= getattr(p, key) <= most:
            yield f"{key}: expected 1 to {most}, found {getattr(p, key)}"
    if p.crops not in (1, 3):
        yield f"crops: expected 1 or 3, found {p.crops}"
    if p.frame_rate is not None and not 0 < p.frame_rate < math.inf:
        yield f"frame_rate: expected a positive number, found {p.frame_rate}"
    for key in ("short_side", "quick_short_side"):
        if getattr(p, key) < p.crop_size:
            yield f"{key}: {getattr(p, key)} px have no room for crops of {p.crop_size} px"
    if not all(map(math.isfinite, (*p.mean, *p.std))) or min(p.std) <= 0:
        yield f"mean and std: expected numbers, std above 0, found {list(p.mean)}, {list(p.std)}"


_MOST = {
    "clip_frames": 4096,
    "interval_frames": 1000,
    "clips": 999,
    "crop_size": 4096,
    "short_side": 8192,
    "quick_short_side": 8192,
}


def _labels_path(value: str | None, folder: Path | None) -> Path | None:
    if value is None:
        return None
    if value.endswith(".txt"):
        return (folder or Path()) / value
    return configs_folder() / "labels" / f"{value}.txt"


def _models_folder() -> Path:
    return configs_folder() / "models"


def _order(spec: ModelSpec) -> tuple[bool, int, int, str]:
    made_by = spec.publication.publisher
    rank = PUBLISHERS.index(made_by) if made_by in PUBLISHERS else len(PUBLISHERS)
    return spec.kind == "image", rank, spec.publication.parameters or 0, spec.name
