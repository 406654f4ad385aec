"""Arrays, bytes and open files as videos in Python."""

import gc
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from make_video import write_video

from videoswin_cli import (
    Model,
    UsageError,
    evaluate,
    explain,
    extract,
    load_model,
    open_video,
    predict,
)
from videoswin_cli.data.in_memory import Spool
from videoswin_cli.errors import LabelError, MachineError


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "v.mp4", frames=30)


@pytest.fixture(scope="module")
def frames(video: Path) -> np.ndarray:
    with open_video(video) as opened:
        return opened.read_frames(range(30))


@pytest.fixture(scope="module")
def model(tiny: str) -> Model:
    return load_model(tiny, device="cpu")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of temporary files, in which nothing is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gc.freeze()  # what is there before need not be searched
    yield tmp_path
    gc.collect()  # an explanation that was drawn, and one in a traceback, are in cycles
    gc.unfreeze()
    assert list(tmp_path.glob("videoswin-*")) == []


def test_all_forms_of_a_video_give_its_answer(
    model: Model, video: Path, frames: np.ndarray
) -> None:
    content = video.read_bytes()
    expected = model.predict(video, logits=True)[0].logits
    with video.open("rb") as file:
        sources: list[Any] = [frames, content, video, file, io.BytesIO(content)]
        sources.append(memoryview(content))
        sources += [torch.from_numpy(frames.copy()), bytearray(content), np.asfortranarray(frames)]
        found = model.predict(sources, logits=True, frames_fps=25)
    assert [each.path for each in found] == [
        *("array 0", "bytes 1", str(video), f"{video} (2)", "file 4", "bytes 5"),
        *("array 6", "bytes 7", "array 8"),
    ]
    assert all(each.logits == expected for each in found)
    assert (found[0].decoder, found[0].fps) == ("numpy", 25)


def test_one_array_and_decoding_processes(model: Model, frames: np.ndarray) -> None:
    (alone,) = model.predict(frames)
    assert [each.top for each in model.predict([frames, frames], workers=2)] == [alone.top] * 2
    assert alone.fps is None
    assert "no frame rate is stated" in alone.notes[0]


def test_fps_is_the_rate_of_arrays_too(model: Model, frames: np.ndarray, video: Path) -> None:
    (found,) = model.predict(frames, fps=25)
    assert (found.fps, found.frame_rate) == (25, 25)
    assert found.top == model.predict(video)[0].top
    (refused,) = model.predict(frames, start=0.4)
    assert refused.error == (
        "no frame rate is stated, and the part is given in seconds: give it with --frames-fps N"
    )
    (part,) = model.predict(frames, start=0.4, frames_fps=25)
    assert part.path == "array 0#t=0.4"
    assert part.top == model.predict(video, start=0.4)[0].top


def test_windows_of_an_array_end_with_their_file(
    model: Model, frames: np.ndarray, video: Path, place: Path
) -> None:
    windows = list(model.windows(frames, stride="8f", frames_fps=25))
    assert [(w.start, w.top) for w in windows] == [
        (w.start, w.top) for w in model.windows(video, stride="8f")
    ]
    assert {window.path for window in windows} == {"array 0"}
    left = model.windows(frames, stride="8f", frames_fps=25)
    next(left)
    assert len(list(place.glob("videoswin-*"))) == 1
    del left
    model.windows(frames, frames_fps=25)  # never begun
    (refused,) = model.windows(frames)
    assert (refused.path, refused.start) == ("array 0", 0)
    assert "windows are at times in seconds" in str(refused.error)


def test_features_and_explanations(
    model: Model, frames: np.ndarray, video: Path, tmp_path: Path
) -> None:
    table = extract([frames, video], model=model, frames_fps=25)
    assert list(table.paths) == ["array 0", str(video)]
    assert np.array_equal(table.features[0], table.features[1])
    found, expected = explain(frames, model=model), explain(video, model=model)
    assert np.array_equal(found.maps, expected.maps, equal_nan=True)
    found.write_video(tmp_path / "heat.mp4")  # the array is there as long as its explanation
    found.write_contact_sheet(tmp_path / "sheet.png")
    assert found.path == "array 0"
    with open_video(tmp_path / "heat.mp4") as written:
        assert written.info.fps == 30  # that was taken for it
    with pytest.raises(UsageError, match=r"^2 videos"):
        explain([frames, frames], model=model)  # type: ignore[arg-type]


def closed() -> io.BytesIO:
    file = io.BytesIO(b"x")
    file.close()
    return file


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 8, 8, 3), np.float32), r"found float32 \(4, 8, 8, 3\)"),
        (torch.zeros(4, 8, 8, 3), "array 0: expected uint8 .*, found float32"),
        (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), r"found uint8 \(4, 3, 8, 8\)"),
        (np.zeros((8, 8, 3), np.uint8), r"found uint8 \(8, 8, 3\)"),
        (np.zeros((0, 8, 8, 3), np.uint8), "array 0: an array without frames"),
        ([b"x", b""], "bytes 1: empty"),
        (io.StringIO("text"), "file 0: a file that is open as text"),
        (io.BytesIO(), "file 0: empty, or read to its end"),
        (closed(), "file 0: a file that cannot be read: .*closed"),
        (None, "found NoneType"),
        ([None], "found NoneType"),
        ([["a.mp4"]], "found list"),
    ],
)
def test_what_is_no_video_says_what_was_found(source: Any, message: str, tiny: str) -> None:
    with pytest.raises(UsageError, match=message):
        predict(source, model=tiny)


def test_bytes_of_something_else_are_a_row(model: Model) -> None:
    (row,) = model.predict(b"no video")
    assert row.path == "bytes 0"
    assert str(row.error).startswith("not a readable video file")


def test_a_full_disk_is_no_fault_of_the_array(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(MachineError, match=r"array 0 cannot be kept in .*: No space left"):
        Spool(np.zeros((1, 8, 8, 3), np.uint8))


def test_npy_files_are_videos_where_they_are_named(
    model: Model, frames: np.ndarray, video: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "v.npy", frames)
    np.save(tmp_path / "features.npy", np.zeros((4, 8), np.float32))
    np.savez(tmp_path / "several.npz", frames)
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    (tmp_path / "half.npy").write_bytes((tmp_path / "v.npy").read_bytes()[:-9])
    found = model.predict([tmp_path / f"{n}.npy" for n in ("v", "features", "several", "half")])
    assert found[0].top == model.predict(video)[0].top
    assert "found float32 (4, 8)" in str(found[1].error)
    assert "expected one array" in str(found[2].error)
    assert "not a readable .npy file" in str(found[3].error)
    with pytest.raises(UsageError, match="no video in the folder"):
        model.predict(tmp_path)


def test_a_wrong_class_of_a_pair_is_told_by_its_place(tiny: str) -> None:
    frames = np.zeros((8, 48, 48, 3), np.uint8)
    with pytest.raises(LabelError, match="pair 1: unknown class 'nope'") as caught:
        evaluate([(frames, "run"), (frames, "nope")], model=tiny, workers=0)
    assert "videos.csv" not in caught.value.message + caught.value.hint
