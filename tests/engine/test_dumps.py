"""Dumps: what one run writes, another reads, ours or mmaction2's."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from videoswin_cli.engine.dumps import read_dump, read_dumps, write_dump
from videoswin_cli.engine.metrics import ScoredVideo, rank_scores, topk_accuracy
from videoswin_cli.errors import UsageError

LABELS = ("run", "größer", "sit, stand")


def scored(path: str, label: int, *scores: float) -> ScoredVideo:
    array = np.array(scores, dtype=np.float32)
    top = rank_scores(array, k=3)
    return ScoredVideo(
        path=path,
        label=label,
        top=top,
        top_probs=tuple(float(array[i]) for i in top),
        scores=array,
        decoder="decord",
    )


VIDEOS = (
    scored("a/ü 1.mp4", 1, 0.5, 0.3, 0.2),
    scored("b.mp4", 2, 0.1, 0.1, 0.8),
    ScoredVideo(path="broken.mp4", label=0, error="no video in it"),
)


@pytest.mark.parametrize("suffix", ["jsonl", "npz", "pkl"])
def test_what_was_written_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"d.{suffix}"
    write_dump(path, VIDEOS, LABELS)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    read = read_dump(path)
    for video, expected in zip(read, VIDEOS, strict=True):
        if expected.scores is None or suffix == "jsonl":
            assert video.scores is None
        else:
            assert video.scores is not None
            assert video.scores.dtype == np.float32
            assert np.array_equal(video.scores, expected.scores)
        assert replace(video, scores=None) == replace(expected, scores=None)


def test_a_line_of_json_names_the_classes(tmp_path: Path) -> None:
    write_dump(tmp_path / "d.jsonl", VIDEOS, LABELS)
    first, _, broken = (tmp_path / "d.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(first) == {
        "path": "a/ü 1.mp4",
        "label": 1,
        "decoder": "decord",
        "top": [
            {"label": "run", "index": 0, "prob": 0.5},
            {"label": "größer", "index": 1, "prob": pytest.approx(0.3)},
            {"label": "sit, stand", "index": 2, "prob": pytest.approx(0.2)},
        ],
        "error": None,
    }
    assert json.loads(broken)["error"] == "no video in it"


def test_arrays_of_an_npz(tmp_path: Path) -> None:
    write_dump(tmp_path / "d.npz", VIDEOS, LABELS)
    with np.load(tmp_path / "d.npz") as arrays:
        assert arrays["paths"].tolist() == ["a/ü 1.mp4", "b.mp4", "broken.mp4"]
        assert arrays["labels"].tolist() == [1, 2, 0]
        assert arrays["scores"].dtype == np.float32
        assert arrays["scores"].shape == (3, 3)
        assert np.isnan(arrays["scores"][2]).all()


def test_the_pickle_is_what_the_tools_of_mmaction2_read(tmp_path: Path) -> None:
    """Its `tools/analysis_tools/eval_metric.py` takes these keys of each sample."""
    write_dump(tmp_path / "d.pkl", VIDEOS, LABELS)
    samples = pickle.loads((tmp_path / "d.pkl").read_bytes())  # noqa: S301  (our own)
    for sample, video in zip(samples, VIDEOS, strict=True):
        assert sample["gt_label"].tolist() == [video.label]
        assert sample["gt_label"].dtype == torch.int64
        assert sample["pred_score"].dtype == torch.float32
        assert sample["pred_score"].shape == (3,)
        assert sample["pred_label"].tolist() == [int(sample["pred_score"].argmax())]
    # A failed video stays wrong in every top-k below the number of classes.
    assert samples[2]["pred_score"].argsort(descending=True).tolist()[-1] == 0


@pytest.mark.parametrize("nested", [False, True])
def test_pickles_of_mmaction2_are_read(nested: bool, tmp_path: Path) -> None:
    """1.x writes `pred_score`; its release candidates a level more, `pred_scores: {item: ...}`."""
    scores, label = torch.tensor([0.1, 0.7, 0.2]), torch.tensor([1])
    sample = (
        {"pred_scores": {"item": scores}, "gt_labels": {"item": label}}
        if nested
        else {"pred_score": scores, "gt_label": label, "num_classes": 3, "img_shape": (224, 224)}
    )
    with (tmp_path / "d.pkl").open("wb") as file:
        pickle.dump([sample, sample], file)
    videos = read_dump(tmp_path / "d.pkl")
    assert [video.path for video in videos] == ["d.pkl#0", "d.pkl#1"]
    assert videos[0].top == (1, 2, 0)
    assert topk_accuracy(videos, 1) == 100


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("executed",)


def test_a_pickle_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d.pkl").write_bytes(pickle.dumps([_Evil()]))
    with pytest.raises(UsageError, match=r"print.*not opened"):
        read_dump(tmp_path / "d.pkl")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["jsonl", "npz", "pkl"])
def test_shards_are_joined_and_overlaps_must_agree(suffix: str, tmp_path: Path) -> None:
    one, two = tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"
    write_dump(one, VIDEOS[:2], LABELS)
    write_dump(two, VIDEOS[1:], LABELS)
    assert [video.path for video in read_dumps([one, two])] == [video.path for video in VIDEOS]
    for other in (
        scored("b.mp4", 1, 0.1, 0.1, 0.8),
        scored("b.mp4", 2, 0.3, 0.1, 0.6),
        ScoredVideo(path="b.mp4", label=2, error="broken"),
    ):
        write_dump(two, [other], LABELS)
        with pytest.raises(UsageError, match=r"1\.\w+ and .*2\.\w+ disagree about b\.mp4"):
            read_dumps([one, two])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.jsonl", b'{"path": "a"}\n', "line 1: no key 'label'"),
        ("d.jsonl", b"\xff\xfe", "is not a jsonl dump"),
        ("d.npz", b"text", "is not a npz dump"),
        ("d.pkl", b"text", "is not a pkl dump"),
        ("d.pkl", pickle.dumps({"a": 1}), "expected a list of samples, found dict"),
        ("d.csv", b"", "unknown kind of dump '.csv'"),
    ],
)
def test_what_is_no_dump_is_refused(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_dump(tmp_path / name)


def test_a_missing_or_doubled_video_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_dump(tmp_path / "none.npz")
    write_dump(tmp_path / "d.npz", [VIDEOS[0], VIDEOS[0]], LABELS)
    with pytest.raises(UsageError, match="twice"):
        read_dump(tmp_path / "d.npz")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "d.npz"
    path.write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(Exception, match="No space left"):
        write_dump(path, VIDEOS, LABELS)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("d.npz", "old")]


def test_equal_scores_are_equal_bytes(tmp_path: Path) -> None:
    for suffix in ("jsonl", "npz", "pkl"):
        for name in ("1", "2"):
            videos = [
                video if video.scores is None else replace(video, scores=video.scores.copy())
                for video in VIDEOS
            ]
            write_dump(tmp_path / f"{name}.{suffix}", videos, LABELS)
        one, two = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("1", "2"))
        assert one == two


def test_nothing_in_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").touch()
    with pytest.raises(UsageError, match=r"d\.jsonl is empty"):
        read_dump(tmp_path / "d.jsonl")
    (tmp_path / "d.npz").mkdir()
    with pytest.raises(UsageError, match="this is a folder"):
        read_dump(tmp_path / "d.npz")
    with pytest.raises(UsageError, match=r"'\.part'") as caught:
        read_dump(tmp_path / "d.npz.part")
    assert "--resume" in caught.value.hint
