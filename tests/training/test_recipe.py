from dataclasses import fields
from pathlib import Path

import pytest

from videoswin_cli.errors import UsageError
from videoswin_cli.io.paths import configs_dir
from videoswin_cli.training.recipe import Recipe, read_recipe, to_yaml

RECIPES = sorted((configs_dir() / "finetune").glob("*.yaml"))


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


def test_a_file_with_some_keys_is_merged_over_the_default(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("lr: 1e-3\nwarmup_epochs: 20\n")
    recipe = read_recipe(path, ["epochs=30"])
    assert (recipe.lr, recipe.epochs, recipe.warmup_epochs) == (1e-3, 30, 20)
    assert recipe == read_recipe(None, ["lr=0.001", "epochs=30", "warmup_epochs=20"])
    with pytest.raises(UsageError, match=r"my\.yaml: warmup_epochs: a warm-up of 20"):
        read_recipe(path)
    path.write_text("epoch: 3")
    with pytest.raises(UsageError, match=r"my\.yaml: unknown key 'epoch'") as refused:
        read_recipe(path)
    assert refused.value.hint == "did you mean epochs?"
    path.write_text("ema: 1")
    with pytest.raises(UsageError, match=r"my\.yaml: ema: expected a number from 0 to below 1"):
        read_recipe(path, ["lr=1"])


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
        ("freeze=all", "freeze: expected none, backbone or stages:K from 1, found 'all'"),
        ("freeze=stages:x", "freeze: expected none"),
        ("freeze=stages:0", "stages:K from 1, found 'stages:0'"),
        ("flip=maybe", "flip"),
        ("rand_augment_strength=10.5", "expected a number from 0 to 10, found 10.5"),
        ("rand_augment_strength=-1", "rand_augment_strength: expected a number from 0 to 10"),
        ("rand_augment=21", "rand_augment: expected a number from 0 to 20, found 21"),
        ("color_jitter=1.5", "color_jitter: expected a number from 0 to 1, found 1.5"),
        ("warmup_epochs=15", r"a warm-up of 15 epochs never ends in a run of 15 \(epochs\)"),
        (
            "warmup_epochs=soon",
            "warmup_epochs: expected auto or a number from 0 to 100000, found .soon",
        ),
        ("warmup_epochs=-1", "warmup_epochs: expected a number from 0 to 100000, found -1"),
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


def test_strengths_at_their_bounds_are_taken() -> None:
    for value in ("0", "10"):
        recipe = read_recipe(None, ["rand_augment=2", f"rand_augment_strength={value}"])
        assert recipe.rand_augment_strength == float(value)


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        ([], 1.0),
        (["epochs=3"], 1.0),
        (["epochs=1"], 1 / 3),
        (["epochs=1", "warmup_epochs=0.5"], 0.5),
        (["epochs=1", "warmup_epochs=0"], 0.0),
        (["epochs=40", "warmup_epochs=5"], 5.0),
    ],
)
def test_the_warm_up_ends_before_the_run(changes: list[str], epochs: float) -> None:
    assert read_recipe(None, changes).warmup == pytest.approx(epochs)


def test_a_warm_up_as_long_as_the_run_names_both() -> None:
    with pytest.raises(UsageError, match=r"warm-up of 5 epochs .* run of 1 \(epochs\).*=auto fits"):
        read_recipe(None, ["epochs=1", "warmup_epochs=5"])
