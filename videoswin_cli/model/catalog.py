"""Every model as data: one flat YAML each in `configs/models`, or a file of the same form."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.io.paths import configs_dir
from videoswin_cli.io.typed_records import check_keys, required_keys, to_record
from videoswin_cli.io.yaml_text import read_yaml
from videoswin_cli.model.limits import ARCHITECTURE_RANGES, PROTOCOL_RANGES, find_problems
from videoswin_cli.ranges import Range, find_outside, shown
from videoswin_cli.records import Architecture, InputProtocol

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
    license: str | None = None
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


PUBLICATION_RANGES = {
    "file_mib": Range(0, 1e6),
    "top1": Range(0, 100),
    "top5": Range(0, 100),
    "parameters": Range(0, 1e12),
    "gmacs_per_view": Range(0, 1e9),
}
RECIPE_RANGES = {
    "lr": Range(0, 1e15),
    "betas": Range(0, 1),
    "weight_decay": Range(0, 100),
    "backbone_lr_mult": Range(0, 100),
    "epochs": Range(0, 100_000),
    "clips_per_gpu": Range(0, 100_000),
    "gpus": Range(0, 100_000),
    "gradient_accumulation": Range(0, 100_000),
    "head_dropout": Range(0, 1),
    "drop_path_rate": Range(0, 1),
    "label_smoothing": Range(0, 1),
}
_RANGES = ARCHITECTURE_RANGES | PROTOCOL_RANGES | PUBLICATION_RANGES


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model: what it is, how it is fed, and where its weights come from."""

    name: str
    kind: Literal["video", "image"]  # image: 2D weights, to start fine-tuning from
    labels: Path | None  # one class name a line
    multi_label: bool = False  # a video may have several classes, each a sigmoid of its own
    architecture: Architecture
    protocol: InputProtocol
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
    kinds = (_Header, Architecture, InputProtocol, Publication)
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
        return to_record(kind, chosen, source=source, ranges=_RANGES)

    architecture, protocol = part(Architecture), part(InputProtocol)
    if problem := next(find_problems(architecture, protocol), None):
        raise UsageError(f"{source}: {problem}")
    recipe = {key.removeprefix("recipe_"): data[key] for key in recipe_keys & data.keys()}
    header, publication = part(_Header), part(Publication)
    published = None
    if has_recipe:
        published = to_record(Recipe, recipe, source=source, ranges=RECIPE_RANGES, prefix="recipe_")
    for found in _publication_problems(publication, published):
        raise UsageError(f"{source}: {found}")
    return ModelSpec(
        name=header.name,
        kind=header.kind,
        labels=_labels_path(header.labels, folder),
        multi_label=header.multi_label,
        architecture=architecture,
        protocol=protocol,
        publication=publication,
        recipe=published,
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


def _publication_problems(publication: Publication, recipe: Recipe | None) -> Iterator[str]:
    yield from find_outside(publication, PUBLICATION_RANGES)
    if recipe is not None:
        yield from (f"recipe_{problem}" for problem in find_outside(recipe, RECIPE_RANGES))
    digest, url = publication.sha256, publication.url
    if digest is not None and not re.fullmatch(r"[0-9a-fA-F]{8,64}", digest):
        yield f"sha256: expected the first 8 to 64 hex digits, found {shown(digest)}"
    if url is not None and not url.startswith(("http://", "https://")):
        yield f"url: expected an http:// or https:// address, found {shown(url)}"


def _labels_path(value: str | None, folder: Path | None) -> Path | None:
    if value is None:
        return None
    if value.endswith(".txt"):
        return (folder or Path()) / value
    return configs_dir() / "labels" / f"{value}.txt"


def _models_folder() -> Path:
    return configs_dir() / "models"


def _order(spec: ModelSpec) -> tuple[bool, int, int, str]:
    made_by = spec.publication.publisher
    rank = PUBLISHERS.index(made_by) if made_by in PUBLISHERS else len(PUBLISHERS)
    return spec.kind == "image", rank, spec.publication.parameters or 0, spec.name
