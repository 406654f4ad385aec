"""The two pictures of a training."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videoswin_cli.report.curves import draw_confusion, draw_curves


@pytest.mark.pictures
def test_curves_have_both_panels(tmp_path: Path) -> None:
    rows = [{"step": 10.0 * n, "val_loss": 2.0 / n, "top1": 20.0 * n} for n in (1, 2, 3)]
    draw_curves(tmp_path / "a.png", [3.0 / (n + 1) for n in range(30)], rows, {"top1": "top-1"})
    picture = Image.open(tmp_path / "a.png")
    assert picture.size == (1100, 440)
    dark = np.asarray(picture.convert("L")) < 128
    assert dark[:, :550].sum() > 1000
    assert dark[:, 550:].sum() > 1000


@pytest.mark.pictures
def test_a_confusion_is_dark_where_a_class_is_predicted(tmp_path: Path) -> None:
    """Names that look like formulas, or have no glyphs, are drawn all the same."""
    labels = ("$a$", "走る", "c")
    draw_confusion(tmp_path / "right.png", {(0, 0): 4, (1, 1): 4, (2, 2): 4}, labels)
    draw_confusion(tmp_path / "wrong.png", {(0, 2): 4, (1, 2): 4, (2, 2): 4}, labels)
    right, wrong = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("right", "wrong"))
    assert right.shape == wrong.shape
    assert not np.array_equal(right, wrong)
