"""torchcodec where it is installed; elsewhere a module of its name that the tests make."""

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import field_frames
import numpy as np
import pytest
import torch
from decoders import need_decoder
from field_frames import FOLDER
from make_video import decode_numbers, read_number, write_video

from videoswin_cli import predict
from videoswin_cli.data.decoding import torchcodec_reader
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.decoding.torchcodec_reader import load_torchcodec
from videoswin_cli.errors import UsageError, VideoError

REFUSED = {  # of the videos of `field/`
    "mirror": {"matrix_hflip.mp4", "matrix_transpose.mp4", "matrix_vflip.mp4", "tilt-up-hflip.mp4"},
    "key frames": {"intra_refresh.mp4", "no_stss_hevc.mp4", "zoom-in-ir.mp4"},
    "is not known": {
        *("anim.gif", "concat.mpg", "concat_same.ts", "concat_shifted.ts", "dropped.avi"),
        *("packed.avi", "remuxed_h264.avi"),
    },
    "a single picture": {"anim.webp"},
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("videos") / "a.mp4", frames=30)


@pytest.mark.parametrize("name", field_frames.read_truth())
def test_videos_of_the_field(name: str) -> None:
    need_decoder("torchcodec")
    reason = next((text for text, names in REFUSED.items() if name in names), None)
    if reason is not None:
        with (
            pytest.raises(VideoError, match=reason),
            open_video(FOLDER / name, decoder="torchcodec"),
        ):
            pass
        return
    with open_video(FOLDER / name, decoder="pyav") as video:
        expected = video.read_frames(range(video.info.frames))
    order = np.random.default_rng(0).permutation(len(expected))[:8].tolist()
    with open_video(FOLDER / name, decoder="torchcodec") as video:
        assert video.info.decoder == "torchcodec"
        for number in order:
            np.testing.assert_array_equal(video.read_frames([number])[0], expected[number])
        np.testing.assert_array_equal(video.read_frames(range(len(expected))), expected)


# --- what is missing ----------------------------------------------------------------------------

_LOADING = """Could not load libtorchcodec. Likely causes:
    1. FFmpeg is not properly installed in your environment.
[start of libtorchcodec loading traceback]
FFmpeg version 8:
Traceback (most recent call last):
  File "torch/_ops.py", line 1516, in load_library
OSError: {newer}: cannot open shared object file: No such file or directory

The above exception was the direct cause of the following exception:
OSError: Could not load this library: torchcodec/libtorchcodec_core8.so

FFmpeg version 5:
Traceback (most recent call last):
OSError: {older}
OSError: Could not load this library: torchcodec/libtorchcodec_core5.so
[end of libtorchcodec loading traceback]."""
_ABSENT = "cannot open shared object file: No such file or directory"


def forget_torchcodec(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchcodec"]:
        monkeypatch.delitem(sys.modules, name)


def break_torchcodec(folder: Path, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    """Let `import torchcodec` run this statement."""
    forget_torchcodec(monkeypatch)
    (folder / "torchcodec").mkdir()
    (folder / "torchcodec" / "__init__.py").write_text(statement)
    monkeypatch.syspath_prepend(folder)


def explain() -> str:
    with pytest.raises(UsageError) as failure:
        load_torchcodec()
    assert "--decoder pyav" in failure.value.hint
    assert "\n" not in failure.value.message
    return failure.value.message


def test_it_is_not_installed(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_torchcodec(monkeypatch)
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    assert explain() == 'torchcodec is not installed: pip install "videoswin[torchcodec]"'
    # Before the file and before the run: what is missing is missing for every file.
    with (
        pytest.raises(UsageError, match="torchcodec is not installed"),
        open_video(tmp_path / "none.mp4", decoder="torchcodec"),
    ):
        pass
    with pytest.raises(UsageError, match="torchcodec is not installed"):
        predict(path, model="camera-motion", decoder="torchcodec")


def test_there_is_no_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = _LOADING.format(newer="libavutil.so.60", older=f"libavutil.so.57: {_ABSENT}")
    break_torchcodec(tmp_path, monkeypatch, f"raise RuntimeError({text!r})")
    assert "finds no FFmpeg libraries" in explain()


def test_an_old_one_does_not_say_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = _LOADING.format(newer="", older="").replace("OSError: ", "Could not load ")
    break_torchcodec(tmp_path, monkeypatch, f"raise RuntimeError({text!r})")
    assert "FFmpeg libraries (versions 4 to 8) on this machine, or does not fit torch" in explain()


@pytest.mark.parametrize(
    "older", [f"libnvrtc.so.13: {_ABSENT}", "libtorchcodec_core5.so: undefined symbol: _ZN3c104"]
)
def test_it_does_not_fit_torch(older: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = _LOADING.format(newer="libavutil.so.60", older=older)
    break_torchcodec(tmp_path, monkeypatch, f"raise RuntimeError({text!r})")
    assert explain() == f"torchcodec does not fit torch {torch.__version__}: {older}"


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("raise OSError('libc10.so: gone')", "libc10.so: gone"),
        ("import torch_of_another_age", "No module named 'torch_of_another_age'"),
        ("raise RuntimeError", "RuntimeError"),
    ],
)
def test_its_import_fails_otherwise(
    statement: str, found: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    break_torchcodec(tmp_path, monkeypatch, statement)
    assert explain().endswith(f": {found}")


# --- what it must prove -------------------------------------------------------------------------


Spoil = Callable[[list[int]], list[int]]


def pretend(
    monkeypatch: pytest.MonkeyPatch,
    path: Path,
    *,
    give: Spoil = lambda numbers: numbers,
    state: Spoil = lambda numbers: numbers,
    change: Callable[[np.ndarray], np.ndarray] = lambda images: images,
) -> list[list[dict[str, int]]]:
    """Put in torchcodec's place a decoder that gives frames of PyAV.

    Args:
        monkeypatch: puts it back.
        path: of the video.
        give: the frames that it returns for those that it is asked for.
        state: the frames whose time stamps it states.
        change: what it does to pictures.

    Returns:
        The lists of frames that it has been given, one for each time that a file is opened.
    """
    with open_video(path, decoder="pyav") as video:
        images = video.read_frames(range(video.info.frames))
    lists = []

    class VideoDecoder:
        def __init__(self, file: str, *, custom_frame_mappings: str, **options: Any) -> None:
            assert options["device"] == "cpu"  # whatever torch's default is
            assert os.environ["TORCHCODEC_FFMPEG_LOG_LEVEL"] == "INFO"
            self._frames = json.loads(custom_frame_mappings)["frames"]
            lists.append(self._frames)

        def get_frames_at(self, numbers: Sequence[int]) -> Any:
            stamps = [self._frames[number]["pts"] for number in state(list(numbers))]
            return SimpleNamespace(
                data=torch.from_numpy(change(images[give(list(numbers))])),
                pts_seconds=torch.tensor(stamps, dtype=torch.float64) / 12800,
            )

    module = SimpleNamespace(VideoDecoder=VideoDecoder)
    monkeypatch.setattr(torchcodec_reader, "load_torchcodec", lambda: module)
    monkeypatch.setattr("videoswin_cli.data.decoding.open.load_torchcodec", lambda: module)
    return lists


def test_it_is_given_our_frames_and_proven_starts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = pretend(monkeypatch, path)
    assert decode_numbers(path, "torchcodec") == ("torchcodec", list(range(30)))
    (frames,) = lists
    assert [number for number, frame in enumerate(frames) if frame["key_frame"]] == [0, 12, 24]
    assert [frame["pts"] for frame in frames] == [512 * number for number in range(30)]
    assert {frame["duration"] for frame in frames} == {512}
    assert "TORCHCODEC_FFMPEG_LOG_LEVEL" not in os.environ


def refuse(path: Path, numbers: Sequence[int]) -> str:
    with open_video(path, decoder="torchcodec") as video:
        with pytest.raises(VideoError, match="torchcodec cannot read this h264") as failure:
            video.read_frames(numbers)
        with pytest.raises(VideoError, match=re.escape(failure.value.message)):
            video.read_frames([0])  # nor anything after that
    assert "--decoder auto" in failure.value.hint
    return failure.value.message.partition("reliably: ")[2]


def test_another_frame_than_asked_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shift(numbers: list[int]) -> list[int]:
        return [number + (number == 17) for number in numbers]

    pretend(monkeypatch, path, give=shift, state=shift)
    assert refuse(path, [3, 17, 20]) == "in place of frame 17 it returns another one"


def test_other_pixels(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, path, change=lambda images: images ^ 1)
    assert refuse(path, [17]) == "the FFmpeg that it has found gives other pixels than PyAV's"


def test_another_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, path, change=lambda images: images[:, :-2])
    assert refuse(path, [17]) == "its frames are (46, 64, 3), not (48, 64, 3)"


def test_errors_and_complaints(
    path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def complain(numbers: list[int]) -> list[int]:
        os.write(2, b"[swscaler @ 0x55d] deprecated pixel format used, take care\n")
        if 20 in numbers:
            raise RuntimeError("decodeAVFrame, /a/b/SingleStreamDecoder.cpp:1436, Could not: no")
        if 21 in numbers:
            os.write(2, b"[h264 @ 0x55aa9cac7d40] concealing 31 DC errors\n")
        return numbers

    pretend(monkeypatch, path, give=complain)
    assert decode_numbers_of(path, [3, 4]) == [3, 4]
    assert refuse(path, [3, 20]) == "Could not: no"
    assert refuse(path, [3, 21]) == "[h264] concealing 31 DC errors"
    assert capfd.readouterr() == ("", "")


def decode_numbers_of(path: Path, numbers: Sequence[int]) -> list[int]:
    with open_video(path, decoder="torchcodec") as video:
        return [read_number(image) for image in video.read_frames(numbers)]
