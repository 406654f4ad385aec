from dataclasses import fields
from pathlib import Path

import pytest

from videoswin_cli.config import configs_folder
from videoswin_cli.errors import UsageError
from videoswin_cli.training.recipe import Recipe, read_recipe, to_yaml

RECIPES = sorted((configs_folder() / "finetune").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_bundled_recipes_are_complete_and_commented(path: Path) -> None:
    read_recipe(path)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert all(f"\n{field.name}:" in text for field in fields(Recipe))


def test_what_was_resolved_is_read_again(tmp_path: Path) -> None:
    recipe = read_recipe(None, ["window_size=[16,7,7]", "flip=false", "lr=5e-4"])
    assert read_recipe(None, ["epochs=1e3"]).epochs == 1000
    assert (recipe.window_size, recipe.flip, recipe.lr) == ((16, 7, 7), False, 5e-4)
    (tmp_path / "config.yaml").write_text(to_yaml(recipe))
    assert read_recipe(tmp_path / "config.yaml") == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("lrr=1", "unknown key 'lrr'"),
        ("lr", "expected key=value"),
        ("lr=fast", "^--set: lr: expected a number above 0 to 1000000000000000, found 'fast'$"),
        ("lr=", "lr: expected a number above 0 to 1000000000000000, found nothing"),
        ("lr=[1]", r"lr: expected a number above 0 to 1000000000000000, found \[1\]"),
        ("epochs=1e9", "epochs: expected a number from 1 to 100000, found 1000000000"),
        ("window_size=[1, 2]", "expected a list of 3 whole numbers from 1 to 64 or null, found"),
        ("precision=int8", "precision: expected one of auto, fp32, bf16, fp16, found 'int8'"),
        ("lr=0", "lr: expected a number above 0 to 1000000000000000, found 0"),
        ("lr=.nan", "lr: expected a number above 0 to 1000000000000000, found nan"),
        ("epochs=0", "epochs: expected a number from 1 to 100000, found 0"),
        ("epochs=1.5", "epochs: expected a whole number from 1 to 100000, found 1.5"),
        ("drop_path_rate=1", "drop_path_rate: expected a number from 0 to below 1, found 1"),
        ("mixup=-1", "mixup: expected a number from 0 to 1000, found -1"),
        ("crop_area=[0.5, 1.5]", r"crop_area: expected numbers above 0 to 1, found \[0.5, 1.5\]"),
        ("crop_aspect=[2, 1]", "crop_aspect: expected two rising numbers"),
        ("freeze=all", "freeze: expected none, backbone or stages:K, found 'all'"),
        ("freeze=stages:x", "freeze: expected none"),
        ("flip=maybe", "flip"),
        ("clip_frames=0", "clip_frames: expected a number from 1 to 1024, found 0"),
        ("lr=[", "not a value"),
    ],
)
def test_wrong_changes_are_told(change: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_recipe(None, [change])


@pytest.mark.parametrize(("freeze", "stages"), [("none", 0), ("stages:2", 2), ("backbone", None)])
def test_frozen_stages(freeze: str, stages: int | None) -> None:
    assert read_recipe(None, [f"freeze={freeze}"]).frozen_stages == stages
