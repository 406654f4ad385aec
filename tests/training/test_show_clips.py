"""The sheet of augmented clips."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from few_clips import CHANGES, write_few
from notices import Notices
from PIL import Image

from videoswin_cli.options.fields import split_keywords
from videoswin_cli.options.training import FinetuneOptions
from videoswin_cli.report.clip_sheet import ShownClip, write_clip_sheet
from videoswin_cli.training import show_clips as showing
from videoswin_cli.training.finetune import finetune
from videoswin_cli.training.inputs import ClipInputs
from videoswin_cli.training.show_clips import show_clips


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_few(tmp_path_factory.mktemp("few"))


def options(few: Path, out: Path, *changes: str) -> FinetuneOptions:
    given: dict[str, Any] = {
        "model": str(few / "tiny.safetensors"),
        "out": out,
        "val_share": 0.3,
        "device": "cpu",
        "workers": 0,
        "changes": [*CHANGES, *changes],
    }
    (found,) = split_keywords(given, (FinetuneOptions(),), function="finetune")
    return found


def test_its_clips_are_those_that_the_training_sees(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[ShownClip] = []
    monkeypatch.setattr(
        showing,
        "write_clip_sheet",
        lambda path, clips: drawn.extend(clips) or write_clip_sheet(path, clips),
    )
    notices = Notices()
    sheet = tmp_path / "sheet.png"
    show_clips(few / "data", options(few, tmp_path / "o", "flip=true"), sheet, notices)
    assert not (tmp_path / "o").exists()
    assert f"6 clips as the training would see them: {sheet}" in notices.texts
    assert [clip.title.split()[0] for clip in drawn] == [
        "green",
        "green",
        "red",
        "red",
        "walk",
        "walk",
    ]
    assert any(clip.title.endswith("mirrored") for clip in drawn)

    trained: list[np.ndarray] = []
    batch = ClipInputs.batch

    def noted(self: ClipInputs, items: Any) -> Any:
        trained.extend(item.frames.numpy() for item in items)
        return batch(self, items)

    monkeypatch.setattr(ClipInputs, "batch", noted)
    here: dict[str, Any] = {"val_share": 0.3, "device": "cpu", "workers": 0}
    finetune(
        few / "data",
        model=few / "tiny.safetensors",
        out=tmp_path / "o",
        changes=[*CHANGES, "flip=true", "epochs=1"],
        **here,
    )
    assert len(trained) == 6
    for clip in drawn:
        assert any(np.array_equal(clip.frames, frames) for frames in trained), clip.title

    with Image.open(sheet) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels[40:140].min() < 128, "frames are not blank"


def test_a_clip_that_cannot_be_read_is_a_row_that_says_so(few: Path, tmp_path: Path) -> None:
    drawn = ShownClip(title="red   a.mp4   damaged", frames=np.empty((0,), np.uint8))
    whole = ShownClip(title="\u7d05", frames=np.full((3, 32, 32, 3), 200, np.uint8))
    write_clip_sheet(tmp_path / "s.png", [drawn, whole])
    with Image.open(tmp_path / "s.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    half = pixels.shape[0] // 2
    assert pixels[:half].min() < 128, "its title"
    assert (pixels[:half] == 200).sum() < 100, "no frame"
    assert (pixels[half:] == 200).sum() > 3 * 100 * 100
