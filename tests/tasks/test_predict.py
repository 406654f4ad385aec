from pathlib import Path
from typing import Any

import pytest
from make_video import write_video
from safetensors.torch import load_file, save_file
from tiny import LABELS, write_model

from videoswin_cli import load_model, predict
from videoswin_cli.errors import UsageError


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    write_model(tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_python_gets_records(tiny: Path, tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4")
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    first, second = predict([good, str(bad)], model=str(tiny), views="2x3", topk=3, logits=True)
    assert [score.label for score in first.top] == [LABELS[score.index] for score in first.top]
    assert len(first.top) == 3
    assert first.logits is not None
    assert len(first.logits) == 6
    assert second.top == ()
    assert "not a readable video" in (second.error or "")


def test_a_loaded_model_serves_several_calls(tiny: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "good.mp4")
    model = load_model(tiny)
    expected = predict(path, model=str(tiny))
    assert predict(path, model=model) == model.predict(path) == expected


def test_a_network_alone_is_no_model(tiny: Path, tmp_path: Path) -> None:
    network: Any = load_model(tiny).network
    with pytest.raises(UsageError, match="a model of type Swin3D") as caught:
        predict(write_video(tmp_path / "good.mp4"), model=network)
    assert "what load_model returns" in caught.value.hint


def test_a_bare_backbone_predicts_nothing(tiny: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "good.mp4")
    tensors = load_file(tiny)
    bare = {name: tensor for name, tensor in tensors.items() if not name.startswith("head.")}
    save_file(bare, tmp_path / "bare.safetensors")
    with pytest.raises(UsageError, match="no classes to predict: these weights are a bare"):
        predict(path, model=str(tiny), checkpoint=tmp_path / "bare.safetensors")
