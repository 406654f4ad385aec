"""`videoswin finetune`: mirrored clips where class names tell directions."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colors import write_small
from typer.testing import Result

Run = Callable[..., Result]


def write_ramps(path: Path, *, rising: bool, seed: int) -> None:
    """Stripes that grow brighter to the right, or to the left: each the mirror of the other."""
    rng = np.random.default_rng(seed)
    columns = (np.arange(48) + rng.integers(16)) % 16 * 13 + 10
    row = columns if rising else columns[::-1]
    frames = [row[None, :, None] + rng.integers(0, 30, (48, 48, 3)) for _ in range(8)]
    write_small(path, [frame.astype(np.uint8) for frame in frames])


@pytest.fixture(scope="module")
def ramps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ramps")
    for number in range(10):
        write_ramps(folder / "SwipeRight" / f"{number}.mp4", rising=True, seed=number)
        write_ramps(folder / "SwipeLeft" / f"{number}.mp4", rising=False, seed=100 + number)
    return folder


def test_classes_that_a_mirror_exchanges_are_learned(
    run: Run, tiny: str, ramps: Path, tmp_path: Path
) -> None:
    """Half of the clips are mirrored: under their old names the loss would stay at log 2."""
    learn = ("--epochs", 6, "--workers", 0, "--set", "lr=0.02", "--set", "scale_lr=false")
    more = (
        "--flip",
        "swap",
        "--set",
        "backbone_lr_mult=1",
        "--set",
        "crop_area=[0.5,1]",
        "--set",
        "head_dropout=0",
    )
    result = run("finetune", ramps, "--model", tiny, "--out", tmp_path / "o", *learn, *more)
    assert result.exit_code == 0, result.output
    assert "\nflips exchange the classes 'SwipeLeft' and 'SwipeRight'\n" in result.stderr
    with (tmp_path / "o/metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["train_loss"]) < 0.35
    assert float(last["top1"]) == 100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no flips: a mirror exchanges 'SwipeLeft' and 'SwipeRight'; --flip swap does too"),
        (("--flip", "swap"), "flips exchange the classes 'SwipeLeft' and 'SwipeRight'"),
        (("--flip", "no"), "no flips, as requested"),
        (("--set", "flip=false"), "no flips, as requested"),
        (("--flip", "yes"), "flips, as requested; their mirrored clips keep their names: "),
        (
            ("--freeze", "backbone"),
            "no flips: the features of a frozen backbone are computed once, without augmentation",
        ),
    ],
)
def test_the_decision_is_printed_with_its_reason(
    options: tuple[str, ...], said: str, run: Run, tiny: str, ramps: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "o", "--workers", 0, "--dry-run")
    result = run("finetune", ramps, "--model", tiny, *out, *options)
    assert result.exit_code == 0, result.output
    assert f"\n{said}" in result.stderr


def test_where_no_name_tells_a_direction_that_is_printed_too(
    run: Run, tiny: str, data: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "o", "--workers", 0, "--dry-run")
    result = run("finetune", data, "--model", tiny, *out)
    assert "\nflips: no class name holds a direction\n" in result.stderr


def test_exchanging_what_has_no_mirror_image_is_refused(
    run: Run, tiny: str, ramps: Path, tmp_path: Path
) -> None:
    shutil.copytree(ramps / "SwipeLeft", tmp_path / "data/swipeLeft")
    shutil.copytree(ramps / "SwipeRight", tmp_path / "data/other")
    out = ("--out", tmp_path / "o", "--workers", 0, "--dry-run")
    result = run("finetune", tmp_path / "data", "--model", tiny, *out, "--flip", "swap")
    assert result.exit_code == 2
    assert "flip=swap: 'swipeLeft' holds 'left', and no other class" in result.stderr
    usual = run("finetune", tmp_path / "data", "--model", tiny, *out)
    assert "\nno flips: 'swipeLeft' holds 'left', and no other class" in usual.stderr
