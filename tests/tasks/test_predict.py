from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from make_video import write_video
from safetensors.torch import load_file, save_file
from tiny import LABELS, write_model

from videoswin_cli import load_model, predict
from videoswin_cli.data.view_dataset import ViewDataset
from videoswin_cli.engine import forward as inference
from videoswin_cli.engine.distributed import Item, World
from videoswin_cli.engine.runtime import RunOptions
from videoswin_cli.errors import UsageError
from videoswin_cli.model.loading import load
from videoswin_cli.tasks.predict import iter_predictions


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
    assert predict(path, model=load(str(tiny))) == predict(path, model=str(tiny))


def test_a_network_alone_is_no_model(tiny: Path, tmp_path: Path) -> None:
    network: Any = load_model(str(tiny))
    with pytest.raises(UsageError, match="a model of type Swin3D: expected a name or a file"):
        predict(write_video(tmp_path / "good.mp4"), model=network)


def test_a_bare_backbone_predicts_nothing(tiny: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "good.mp4")
    tensors = load_file(tiny)
    bare = {name: tensor for name, tensor in tensors.items() if not name.startswith("head.")}
    save_file(bare, tmp_path / "bare.safetensors")
    with pytest.raises(UsageError, match="no classes to predict: these weights are a bare"):
        predict(path, model=str(tiny), checkpoint=tmp_path / "bare.safetensors")


@dataclass(frozen=True, kw_only=True)
class Apart(World):
    """One process of several; what it gives to the others is kept, and never comes."""

    given: list[Any] = field(default_factory=list)

    def gather(self, items: list[Item]) -> list[Item]:
        self.given.append(items)
        return items if self.is_main else []


@pytest.mark.parametrize(("rank", "numbers"), [(0, [0, 3]), (1, [1, 4]), (2, [2])])
def test_each_process_computes_its_share(
    rank: int, numbers: list[int], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(write_video(tmp_path / f"{n}.mp4", frames=6, seed=n)) for n in range(5)]
    read = []
    dataset = ViewDataset
    monkeypatch.setattr(
        inference, "ViewDataset", lambda own, **more: read.extend(own) or dataset(own, **more)
    )
    world = Apart(rank=rank, size=3)
    found = list(
        iter_predictions(
            load(str(tiny)),
            paths,
            options=RunOptions(device="cpu"),
            topk=1,
            average="prob",
            logits=False,
            world=world,
        )
    )
    mine = [paths[number] for number in numbers]
    assert [part.path for part in read] == mine
    assert [[each.path for each in items] for items in world.given] == (
        [[path] for path in mine] + [[]] * (2 - len(mine))
    )
    assert [each.path for each in found] == (mine if rank == 0 else [])
