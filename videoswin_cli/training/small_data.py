"""Recipe keys that follow from the size of the data: few clips per class need other ones.

The evidence for each is in benchmarks/results.md, "Fine-tuning on few clips".
"""

import math
from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Any

from videoswin_cli.training.recipe import Recipe

FEW = 20  # training clips per class, on average, from which on the recipe stays as it is
_STEPS = 36  # 38 are the fewest that were measured; 150 were no better
_MOST_EPOCHS = 60
_CROP_AREA = (0.5, 1.0)
_HEAD_DROPOUT = 0.0
SIZED_KEYS = frozenset({"epochs", "crop_area", "head_dropout"})


def adapt_to_size(
    recipe: Recipe,
    *,
    clips: int,
    classes: int,
    step_clips: int,
    free: Collection[str],
) -> tuple[Recipe, str | None]:
    """The recipe for so few clips, and a sentence on what was changed; None where nothing was.

    Args:
        recipe: as read.
        clips: to train on.
        classes: among which they are shared.
        step_clips: clips per step, of all devices.
        free: keys that nobody set; the others stay.
    """
    if clips >= FEW * classes:
        return recipe, None
    epochs = min(_MOST_EPOCHS, math.ceil(_STEPS * step_clips / clips))
    wanted: dict[str, Any] = {
        "epochs": max(recipe.epochs, epochs),
        "crop_area": _CROP_AREA,
        "head_dropout": _HEAD_DROPOUT,
    }
    if recipe.freeze == "backbone":
        del wanted["crop_area"], wanted["head_dropout"]  # no augmentation; dropout does no harm
    now = asdict(recipe)
    changes = {key: v for key, v in wanted.items() if key in free and v != now[key]}
    if not changes:
        return recipe, None
    told = ", ".join(f"{key} {_text(now[key])} -> {_text(v)}" for key, v in changes.items())
    per_class = f"{clips / classes:.1f}".removesuffix(".0")
    return replace(recipe, **changes), (
        f"few clips per class ({per_class}): {told}; --set KEY=VALUE to choose otherwise"
    )


def _text(value: object) -> str:
    return f"[{', '.join(map(_text, value))}]" if isinstance(value, tuple) else f"{value:g}"
