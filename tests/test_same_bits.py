"""The same clips in every form that a video may have: the same bits through every command."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from colors import write_color
from few_clips import CHANGES
from frame_folders import unpack_video
from plain_machine import make_home
from s3_server import Bucket, serve_s3
from tars import write_tar

from videoswin_cli import evaluate, finetune, load_model
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.engine.dumps import read_dump
from videoswin_cli.model.checkpoint import read_checkpoint

CLASSES = ("jump", "run", "walk")  # sorted, as class folders are read
NAMES = tuple(f"{name}/{number}" for name in CLASSES for number in range(4))  # 12 clips
FPS = 25


@dataclass(frozen=True, kw_only=True)
class Form:
    """Twelve clips in one form, as the Python functions take them."""

    sources: list[Any]  # for `predict` and `extract`
    labelled: Any  # for `evaluate` and `finetune`; None: a list
    lists: dict[str, Any] | None = None  # options that name the list


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(NAMES):
        write_color(folder / "mp4" / f"{name}.mp4", number // 4, number)
    return folder


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with serve_s3() as found:
        yield found


def as_mp4(folder: Path) -> Form:
    return Form(
        sources=[str(folder / "mp4" / f"{name}.mp4") for name in NAMES], labelled=folder / "mp4"
    )


def as_frames(folder: Path, bucket: Bucket) -> Form:
    for name in NAMES:
        unpack_video(folder / "mp4" / f"{name}.mp4", folder / "frames" / name)
    return Form(
        sources=[str(folder / "frames" / name) for name in NAMES], labelled=folder / "frames"
    )


def as_shard(folder: Path, bucket: Bucket) -> Form:
    files = []
    for name in NAMES:
        label, stem = name.split("/")
        files += [(f"{label}{stem}.mp4", (folder / "mp4" / f"{name}.mp4").read_bytes())]
        files += [(f"{label}{stem}.txt", label.encode())]
    tar = write_tar(folder / "tars" / "0.tar", files)
    return Form(sources=[str(tar)], labelled=None, lists={"list_file": tar})


def as_s3(folder: Path, bucket: Bucket) -> Form:
    rows = [f"{name}.mp4,{name.split('/')[0]}" for name in NAMES]
    for name in NAMES:
        bucket.put(f"v/{name}.mp4", (folder / "mp4" / f"{name}.mp4").read_bytes())
    address = bucket.put("v/list.csv", "\n".join(["path,label", *rows]).encode())
    return Form(
        sources=[f"s3://data/v/{name}.mp4" for name in NAMES],
        labelled=None,
        lists={"list_file": address, "root": "s3://data/v"},
    )


def as_array(folder: Path, bucket: Bucket) -> Form:
    arrays: list[Any] = []
    for name in NAMES:
        with open_video(folder / "mp4" / f"{name}.mp4") as video:
            arrays.append(video.read_frames(range(video.info.frames)))
    arrays[1::2] = map(torch.from_numpy, arrays[1::2])
    return Form(sources=arrays, labelled=_pair(arrays))


def as_bytes(folder: Path, bucket: Bucket) -> Form:
    every: list[Any] = [(folder / "mp4" / f"{name}.mp4").read_bytes() for name in NAMES]
    return Form(sources=every, labelled=_pair(every))


def _pair(sources: list[Any]) -> list[tuple[Any, str]]:
    return [(source, name.split("/")[0]) for source, name in zip(sources, NAMES, strict=True)]


MAKERS: dict[str, Callable[[Path, Bucket], Form]] = {
    "frames": as_frames,
    "shard": as_shard,
    "s3": as_s3,
    "array": as_array,
    "bytes": as_bytes,
}


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Everything that the commands compute of twelve clips."""

    logits: list[Any]
    features: Any  # one matrix
    scores: list[tuple[int, bytes]]  # class and probabilities
    weights: dict[str, torch.Tensor]  # after one epoch
    metrics: str


def compute(form: Form, tiny: str, out: Path) -> Numbers:
    """Run predict, extract, eval and one epoch of finetune."""
    model = load_model(tiny, workers=0, frames_fps=FPS)
    predictions = model.predict(form.sources, logits=True, views="2x3")
    assert [each.error for each in predictions] == [None] * len(NAMES)
    table = model.extract(form.sources, per="clip", views="2x1")
    dump = out / "dump.npz"
    lists = form.lists or {}
    data = () if form.labelled is None else (form.labelled,)
    scored = evaluate(*data, model=model, views="1x3", dump=dump, workers=0, **lists)
    assert scored.summary.failed == 0
    trained = finetune(
        *data,
        **{("train_list" if key == "list_file" else key): value for key, value in lists.items()},
        model=tiny,
        val_share=0.25,
        changes=(*CHANGES, "epochs=1"),
        frames_fps=FPS,
        out=out / "run",
        device="cpu",
        workers=0,
    )
    return Numbers(
        logits=[each.logits for each in predictions],
        features=table.features,
        scores=sorted((v.label, v.scores.tobytes()) for v in read_dump(dump)),
        weights=dict(read_checkpoint(trained.folder / "last.safetensors").tensors),
        metrics=(trained.folder / "metrics.csv").read_text(),
    )


@pytest.fixture(scope="module")
def expected(folder: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Numbers:
    """Numbers of the mp4 files."""
    return compute(as_mp4(folder), tiny, tmp_path_factory.mktemp("mp4"))


@pytest.mark.parametrize("name", list(MAKERS))
def test_all_forms_give_the_same_bits(
    name: str,
    folder: Path,
    bucket: Bucket,
    expected: Numbers,
    tiny: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for key, value in bucket.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("VIDEOSWIN_HOME", str(make_home(tmp_path / "home")))
    found = compute(MAKERS[name](folder, bucket), tiny, tmp_path)
    assert found.logits == expected.logits
    np.testing.assert_array_equal(found.features, expected.features)
    assert found.scores == expected.scores
    assert found.metrics == expected.metrics
    assert found.weights.keys() == expected.weights.keys()
    for key, tensor in found.weights.items():
        assert torch.equal(tensor, expected.weights[key]), key
