"""How to train: one flat YAML, complete, changed key by key."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from videoswin_cli.config import (
    check_keys,
    configs_folder,
    parse_value,
    read_yaml,
    to_record,
    write_yaml,
)
from videoswin_cli.errors import UsageError

Triple = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The keys of `configs/finetune/*.yaml`, where each is explained."""

    lr: float
    lr_batch: int
    scale_lr: bool
    betas: tuple[float, float]
    weight_decay: float
    backbone_lr_mult: float
    layer_decay: float
    clip_grad_norm: float
    epochs: int
    warmup_epochs: float
    warmup_start: float
    patience: int
    batch_size: int
    accumulate: int
    precision: Literal["auto", "fp32", "bf16", "fp16"]
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
    flip: Literal["auto"] | bool
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

    @property
    def frozen_stages(self) -> int | None:
        """How many stages (with the patch embedding) are frozen; None: the whole backbone."""
        if self.freeze == "backbone":
            return None
        return 0 if self.freeze == "none" else int(self.freeze.removeprefix("stages:"))


def read_recipe(path: Path | None = None, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe; `changes` are `key=value` with the value as YAML.

    Raises:
        UsageError: names the file or change, and the unknown, missing or impossible key.
    """
    path = path or configs_folder() / "finetune" / "default.yaml"
    data = read_yaml(path)
    known = {field.name for field in fields(Recipe)}
    check_keys(data, known=known, required=known, source=str(path))
    recipe = _check(data, source=str(path))
    if not changes:
        return recipe
    for change in changes:
        data |= _parse_change(change, known)
    return _check(data, source="--set")


def _check(data: dict[str, Any], *, source: str) -> Recipe:
    recipe = to_record(Recipe, data, source=source)
    if problem := next(_problems(recipe), None):
        raise UsageError(f"{source}: {problem}")
    return recipe


def to_yaml(recipe: Recipe) -> str:
    """All keys with their values, as `read_recipe` takes them."""
    return write_yaml(
        {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(recipe).items()}
    )


def _parse_change(change: str, known: set[str]) -> dict[str, Any]:
    key, equals, text = change.partition("=")
    if not equals:
        raise UsageError(f"--set {change}: expected key=value, like lr=5e-4")
    check_keys({key.strip(): None}, known=known, required=set(), source="--set")
    value = parse_value(text, source=f"--set {change}")
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value)  # YAML 1.1 takes 1e-3 for text
    return {key.strip(): value}


_SHARES = ("warmup_start", "drop_path_rate", "head_dropout", "ema", "label_smoothing", "erasing")
_ABOVE_ZERO = ("lr", "lr_batch", "layer_decay", "epochs", "batch_size", "accumulate")
_NOT_NEGATIVE = (
    *("weight_decay", "backbone_lr_mult", "clip_grad_norm", "warmup_epochs", "patience"),
    *("color_jitter", "rand_augment", "rand_augment_strength", "mixup", "cutmix", "save_minutes"),
)


def _problems(recipe: Recipe) -> Iterator[str]:
    checks: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
        (_SHARES, lambda value: 0 <= value < 1, "from 0 to below 1"),
        (_ABOVE_ZERO, lambda value: 0 < value < math.inf, "above 0"),
        (_NOT_NEGATIVE, lambda value: 0 <= value < math.inf, "0 or more"),
        (("clip_frames", "interval_frames", "crop_size"), lambda value: value > 0, "above 0"),
    )
    for names, test, expected in checks:
        for name in names:
            value = getattr(recipe, name)
            if value is not None and not test(value):
                yield f"{name}: expected a number {expected}, found {value}"
    for name in ("crop_area", "crop_aspect"):
        low, high = getattr(recipe, name)
        if not 0 < low <= high:
            yield f"{name}: expected two rising numbers above 0, found {low}, {high}"
    if recipe.window_size is not None and min(recipe.window_size) < 1:
        yield f"window_size: expected numbers from 1 up, found {list(recipe.window_size)}"
    if recipe.crop_area[1] > 1:
        yield f"crop_area: a crop cannot be {recipe.crop_area[1]} of the frame"
    if recipe.freeze == "backbone" and (recipe.mixup or recipe.cutmix):
        yield "freeze: a frozen backbone's features are computed once: set mixup and cutmix to 0"
    stages = recipe.freeze.removeprefix("stages:")
    if recipe.freeze not in ("none", "backbone") and not (
        recipe.freeze.startswith("stages:") and stages.isdecimal()
    ):
        yield f"freeze: expected none, backbone or stages:K, found {recipe.freeze!r}"
