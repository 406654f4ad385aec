"""Recipe of a training: the default YAML, with the keys of a file and of the command over it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from videoswin_cli.errors import ConfigError
from videoswin_cli.io.paths import configs_dir
from videoswin_cli.io.typed_records import check_keys, to_record
from videoswin_cli.io.yaml_text import parse_value, read_yaml, write_yaml
from videoswin_cli.model.limits import ARCHITECTURE_RANGES, PROTOCOL_RANGES
from videoswin_cli.options.run import PrecisionChoice
from videoswin_cli.ranges import Range, find_outside, shown

Triple = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Keys of `configs/finetune/*.yaml`, where each is explained."""

    lr: float
    lr_batch: int
    scale_lr: bool
    betas: tuple[float, float]
    weight_decay: float
    backbone_lr_mult: float
    layer_decay: float
    clip_grad_norm: float
    epochs: int
    warmup_epochs: Literal["auto"] | float
    warmup_start: float
    patience: int
    batch_size: int
    accumulate: int
    precision: PrecisionChoice
    checkpointing: bool
    drop_path_rate: float
    head_dropout: float
    freeze: str
    keep_classes: bool
    init: Literal["default", "motion"]
    ema: float
    multi_label: bool
    label_smoothing: float
    balance: Literal["none", "sampler", "loss"]
    crop_area: tuple[float, float]
    crop_aspect: tuple[float, float]
    flip: Literal["auto", "swap"] | bool
    color_jitter: float
    rand_augment: int
    rand_augment_strength: float
    erasing: float
    mixup: float
    cutmix: float
    clip_frames: int | None
    interval_frames: int | None
    crop_size: int | None
    window_size: Triple | None
    seed: int
    deterministic: bool
    save_minutes: float
    test_views: str

    @property
    def frozen_stages(self) -> int | None:
        """Number of frozen stages (with the patch embedding); None: the whole backbone."""
        if self.freeze == "backbone":
            return None
        return 0 if self.freeze == "none" else int(self.freeze.removeprefix("stages:"))

    @property
    def warmup(self) -> float:
        """Epochs of warm-up; `auto` is one, at most a third of the run."""
        return min(1.0, self.epochs / 3) if self.warmup_epochs == "auto" else self.warmup_epochs


Layer = tuple[str, Mapping[str, Any]]  # where keys were given, for messages, and their values


def read_recipe(path: Path | None = None, changes: Sequence[str] = ()) -> Recipe:
    """Recipe of a file, whose missing keys are those of the default; then changes, `key=value`.

    Raises:
        UsageError: names the file or change, and the unknown or impossible key.
    """
    layers = [] if path is None else [read_layer(path)]
    return merge_recipe([*layers, *map(parse_change, changes)])


def read_layer(path: Path) -> Layer:
    """Keys of a file.

    Raises:
        UsageError: it is no YAML, or has an unknown key.
    """
    return check_layer((str(path), read_yaml(path)))


def parse_change(change: str) -> Layer:
    """Key and value of `key=value`, the value as YAML.

    Raises:
        UsageError: it is something else, or the key is unknown.
    """
    key, equals, text = change.partition("=")
    if not equals:
        raise ConfigError(f"--set {shown(change)}: expected key=value, like lr=5e-4")
    check_layer(("--set", {key.strip(): None}))
    return "--set", {key.strip(): parse_value(text, source=f"--set {shown(change)}")}


def check_layer(layer: Layer) -> Layer:
    """The layer; raises UsageError where it has an unknown key."""
    source, keys = layer
    check_keys(keys, known={field.name for field in fields(Recipe)}, required=set(), source=source)
    return layer


def merge_recipe(layers: Sequence[Layer]) -> Recipe:
    """The default recipe with the keys of each layer, later ones over earlier ones.

    Raises:
        UsageError: names the layer, and the impossible key.
    """
    data = read_yaml(configs_dir() / "finetune" / "default.yaml")
    recipe, last = to_record(Recipe, data, source="default.yaml", ranges=RANGES), "default.yaml"
    for source, keys in layers:
        data |= keys
        recipe, last = to_record(Recipe, data, source=source, ranges=RANGES), source
        if problem := next(find_outside(recipe, RANGES), None):
            raise ConfigError(f"{source}: {problem}")
    if problem := next(_problems(recipe), None):
        raise ConfigError(f"{last}: {problem}")
    return recipe


def to_yaml(recipe: Recipe) -> str:
    """YAML of all keys, which `read_recipe` takes."""
    return write_yaml(
        {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(recipe).items()}
    )


_SHARE = Range(0, 1, without_high=True)
RANGES = {
    "lr": Range(0, 1e15, without_low=True),  # too steep a one is noticed when the loss is no number
    "lr_batch": Range(1, 1_000_000),
    "betas": _SHARE,
    "weight_decay": Range(0, 100),
    "backbone_lr_mult": Range(0, 100),
    "layer_decay": Range(0, 2, without_low=True),
    "clip_grad_norm": Range(0, 1_000_000),
    "epochs": Range(1, 100_000),
    "warmup_epochs": Range(0, 100_000),
    "warmup_start": _SHARE,
    "patience": Range(0, 100_000),
    "batch_size": Range(1, 1024),
    "accumulate": Range(1, 65_536),
    "drop_path_rate": _SHARE,
    "head_dropout": _SHARE,
    "ema": _SHARE,
    "label_smoothing": _SHARE,
    "crop_area": Range(0, 1, without_low=True),
    "crop_aspect": Range(0, 100, without_low=True),
    "color_jitter": Range(0, 1),  # beyond it brightness is black or white more often than not
    "rand_augment": Range(0, 20),  # the paper's best has 2
    "rand_augment_strength": Range(0, 10),
    "erasing": _SHARE,
    "mixup": Range(0, 1000),
    "cutmix": Range(0, 1000),
    "clip_frames": PROTOCOL_RANGES["clip_frames"],
    "interval_frames": PROTOCOL_RANGES["interval_frames"],
    "crop_size": PROTOCOL_RANGES["crop_size"],
    "window_size": ARCHITECTURE_RANGES["window_size"],
    "seed": Range(-(2**53), 2**53),
    "save_minutes": Range(0, 100_000),
}


def _problems(recipe: Recipe) -> Iterator[str]:
    """Keys that do not fit together."""
    for name in ("crop_area", "crop_aspect"):
        low, high = getattr(recipe, name)
        if low > high:
            yield f"{name}: expected two rising numbers, found {low}, {high}"
    if recipe.warmup >= recipe.epochs:
        yield (
            f"warmup_epochs: a warm-up of {recipe.warmup:g} epochs never ends in a run of "
            f"{recipe.epochs} (epochs): the learning rate would not fall; warmup_epochs=auto fits"
        )
    if recipe.freeze == "backbone" and (recipe.mixup or recipe.cutmix):
        yield "freeze: a frozen backbone's features are computed once: set mixup and cutmix to 0"
    stages = recipe.freeze.removeprefix("stages:")
    if recipe.freeze not in ("none", "backbone") and not (
        recipe.freeze.startswith("stages:") and re.fullmatch("[1-9][0-9]{0,2}", stages)
    ):
        yield f"freeze: expected none, backbone or stages:K from 1, found {shown(recipe.freeze)}"
