"""Dumps that cannot be: each is refused with the file and the row."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from videoswin_cli.engine.dumps import read_dump, read_dumps
from videoswin_cli.errors import UsageError

ROW = {"path": "a.mp4", "label": 0, "top": [{"index": 0, "prob": 0.75}, {"index": 1, "prob": 0.2}]}
DIGITS = '{"path": "b", "label": %s, "top": []}' % ("9" * 5000)
NAN = float("nan")


def told_of(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read_dump(path)
    assert str(path) in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"label": -200}, "class -200: expected 0 or more"),
        ({"label": 1.5}, "class 1.5: expected a whole number"),
        ({"label": "1"}, "class '1': expected a whole number"),
        ({"label": True}, "class True: expected a whole number"),
        ({"label": None}, "class None: expected a whole number"),
        ({"more_labels": [-1]}, "class -1"),
        ({"more_labels": 7}, "expected lists"),
        ({"path": 7}, "path 7: expected text"),
        ({"error": 7}, "error 7: expected text"),
        ({"top": {}}, "expected lists"),
        ({"top": [1]}, "expected objects with index and prob"),
        ({"top": [{"index": -1, "prob": 0.5}]}, "class -1"),
        ({"top": [{"index": 1, "prob": NAN}]}, "probability nan: expected 0 to 1"),
        ({"top": [{"index": 1, "prob": -0.5}]}, "probability -0.5"),
        ({"top": [{"index": 1, "prob": 7}]}, "probability 7"),
        ({"top": [{"index": 1, "prob": "1"}]}, "probability '1': expected a number"),
        ({"top": [{"index": 3, "prob": 0.1}] * 5}, "class 3 is 5 times among the likeliest"),
    ],
)
def test_a_line_that_cannot_be_is_told(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(f"{json.dumps(ROW)}\n{json.dumps({**ROW, 'path': 'b', **change})}\n")
    assert f"{path}: line 2: " in told_of(path)
    assert told in told_of(path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (json.dumps(ROW)[:-20], "not JSON, or cut short"),
        ("[" * 50_000, "nested too deeply"),
        (DIGITS, "too many digits"),
        ("7", "expected an object, found int"),
        ('{"path": "b"}', "no key 'label'"),
    ],
)
def test_a_line_that_is_none_is_told(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(f"{json.dumps(ROW)}\n\n{line}\n")
    assert f"{path}: line 3: " in told_of(path)
    assert told in told_of(path)


def arrays(**changes: Any) -> dict[str, Any]:
    good = {
        "paths": np.array(["a", "b"]),
        "labels": np.array([0, 1]),
        "scores": np.array([[0.5, 0.5], [0.25, 0.75]], dtype=np.float32),
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"labels": np.array([0, -200])}, "row 1, b: class -200: expected 0 to 1"),
        ({"labels": np.array([0, 2])}, "row 1, b: class 2: expected 0 to 1"),
        ({"labels": np.array([0, 1.5])}, "labels of 1 axes, float64"),
        ({"labels": np.array([0])}, "labels of shape"),
        ({"labels": None}, "no array 'labels'"),
        ({"paths": np.array([1, 2])}, "paths of 1 axes, int64"),
        ({"paths": np.array(["a", "a"])}, "a video twice"),
        ({"scores": np.zeros(2, np.float32)}, "scores of 1 axes"),
        ({"scores": np.zeros((2, 0), np.float32)}, "scores of no class"),
        ({"scores": np.zeros((2, 2), np.int64)}, "scores of 2 axes, int64"),
        ({"scores": np.array([[0.5, 0.5], [NAN, 1]])}, "row 1, b: scores that are not all finite"),
        ({"scores": np.array([[0.5, 0.5], [np.inf, 1]])}, "row 1, b: scores that are not all"),
        ({"scores": np.array([[0.5, 0.5], [-3, 1.0]])}, "row 1, b: scores out of the range"),
        ({"scores": np.array([[0.5, 0.5], [0, 90.0]])}, "row 1, b: scores out of the range"),
        ({"positives": np.zeros((2, 5), bool)}, "positives of shape .* expected .2, 2., bool"),
        ({"positives": np.zeros((2, 2))}, "positives of shape"),
        ({"errors": np.array([""])}, "errors of shape"),
    ],
)
def test_arrays_that_cannot_be_are_told(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **arrays())
    assert len(read_dump(tmp_path / "d.npz")) == 2
    np.savez(tmp_path / "d.npz", **arrays(**changes))
    with pytest.raises(UsageError, match=told):
        read_dump(tmp_path / "d.npz")


def test_packed_arrays_have_a_limit(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "d.npz", **arrays())
    assert len(read_dump(tmp_path / "d.npz")) == 2
    zeros = np.zeros((2, 8_000_000), np.float32)
    np.savez_compressed(tmp_path / "d.npz", **arrays(scores=zeros))
    assert "unpack to 64000" in told_of(tmp_path / "d.npz")


def test_an_array_that_claims_more_than_it_holds_is_told(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (2, 1 << 40)}
    )
    np.savez(tmp_path / "d.npz", **arrays(scores=None))
    with zipfile.ZipFile(tmp_path / "d.npz", "a") as archive:
        archive.writestr("scores.npy", header.getvalue())
    assert "is not a npz dump" in told_of(tmp_path / "d.npz")


SCORES = torch.tensor([0.5, 0.5])
SAMPLE = {"pred_score": SCORES, "gt_label": torch.tensor([1])}


def shared_list() -> object:
    value: object = [0.5]
    for _ in range(40):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        ({**SAMPLE, "gt_label": torch.tensor([-200])}, "class -200: expected 0 to 1"),
        ({**SAMPLE, "gt_label": torch.tensor([5])}, "class 5: expected 0 to 1"),
        ({**SAMPLE, "gt_label": torch.tensor([1.5])}, "class 1.5: expected a whole number"),
        ({**SAMPLE, "gt_label": torch.tensor([]).long()}, "no class"),
        ({**SAMPLE, "pred_score": torch.tensor([NAN, 1])}, "not all finite"),
        ({**SAMPLE, "pred_score": torch.zeros(2, 2)}, "expected one row"),
        ({**SAMPLE, "pred_score": shared_list()}, "flat lists of numbers"),
        ({**SAMPLE, "pred_score": "x"}, "flat lists of numbers"),
        (
            {**SAMPLE, "filename": 7},
            "filename, error, decoder, notes and file_stamp: expected text",
        ),
        ({}, "flat lists of numbers"),
        (7, "expected a dict, found int"),
    ],
)
def test_a_sample_that_cannot_be_is_told(sample: object, told: str, tmp_path: Path) -> None:
    path = tmp_path / "d.pkl"
    path.write_bytes(pickle.dumps([SAMPLE, sample]))
    assert f"{path}: sample 1: " in told_of(path)
    assert told in told_of(path)


def test_scores_that_are_named_again_and_again_have_a_limit(tmp_path: Path) -> None:
    scores = torch.rand(20_000)
    samples = [{"pred_score": scores, "gt_label": torch.tensor([1])} for _ in range(500)]
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(samples))
    assert "more scores than the file has bytes" in told_of(tmp_path / "d.pkl")


def test_lists_of_numbers_are_scores_too(tmp_path: Path) -> None:
    samples = [{"pred_score": [0.1, 0.9], "gt_label": 1}]
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(samples))
    (video,) = read_dump(tmp_path / "d.pkl")
    assert (video.label, video.top) == (1, (1, 0))


def test_dumps_of_other_classes_do_not_mix(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", **arrays())
    np.savez(
        tmp_path / "2.npz",
        paths=np.array(["c"]),
        labels=np.array([0]),
        scores=np.full((1, 3), 0.3, np.float32),
    )
    with pytest.raises(UsageError, match=r"different numbers of classes: \[2, 3\]"):
        read_dumps([tmp_path / "1.npz", tmp_path / "2.npz"])


@pytest.mark.parametrize("suffix", ["jsonl", "npz", "pkl"])
def test_a_pipe_is_no_dump(suffix: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"d.{suffix}")
    assert "a pipe, socket or device" in told_of(tmp_path / f"d.{suffix}")
