"""What the recipe becomes for few clips per class, and which keys stay as they are."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from videoswin_cli.training.recipe import Recipe, read_recipe
from videoswin_cli.training.small_data import SIZED_KEYS, adapt_to_size

DEFAULT = read_recipe()
MILD = replace(DEFAULT, crop_area=(0.5, 1.0), head_dropout=0.0)


def adapted(
    recipe: Recipe = DEFAULT,
    *,
    clips: int = 20,
    classes: int = 4,
    step_clips: int = 8,
    free: Collection[str] = SIZED_KEYS,
) -> tuple[Recipe, str | None]:
    return adapt_to_size(recipe, clips=clips, classes=classes, step_clips=step_clips, free=free)


def test_few_clips_get_milder_crops_and_no_dropout() -> None:
    recipe, told = adapted()
    assert recipe == MILD
    assert told == (
        "few clips per class (5): crop_area [0.08, 1] -> [0.5, 1], head_dropout 0.5 -> 0;"
        " --set KEY=VALUE to choose otherwise"
    )


@pytest.mark.parametrize(
    ("clips", "classes", "step_clips", "epochs"),
    [
        (10, 4, 8, 29),  # 36 steps x 8 clips / 10 clips, rounded up
        (10, 4, 4, 15),
        (20, 4, 8, 15),
        (4, 4, 8, 60),  # at most so many
        (30, 10, 64, 60),
    ],
)
def test_epochs_give_enough_steps(clips: int, classes: int, step_clips: int, epochs: int) -> None:
    recipe, _ = adapted(clips=clips, classes=classes, step_clips=step_clips)
    assert recipe == replace(MILD, epochs=epochs)


def test_twenty_clips_per_class_keep_the_recipe() -> None:
    assert adapted(clips=80) == (DEFAULT, None)
    assert adapted(clips=79)[0] != DEFAULT


@pytest.mark.parametrize("key", sorted(SIZED_KEYS))
def test_what_the_user_set_stays(key: str) -> None:
    recipe, told = adapted(clips=10, free=SIZED_KEYS - {key})
    assert recipe == replace(MILD, **{"epochs": 29, key: getattr(DEFAULT, key)})
    assert told is not None
    assert f"{key} " not in told


def test_nothing_free_or_nothing_to_change_is_not_told() -> None:
    assert adapted(free=()) == (DEFAULT, None)
    assert adapted(MILD) == (MILD, None)


def test_more_epochs_of_a_recipe_stay() -> None:
    assert adapted(replace(DEFAULT, epochs=100))[0].epochs == 100


def test_a_linear_probe_gets_steps_only() -> None:
    probe = replace(DEFAULT, freeze="backbone")
    assert adapted(probe) == (probe, None)
    assert adapted(probe, clips=10)[0] == replace(probe, epochs=29)
