"""Sound files are opened, whatever their headers promise, and those with a part missing are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import make_video
import numpy as np
import pytest
from make_video import read_number, write_video
from numpy.typing import NDArray

from videoswin_cli.data.decoding.open import Video, open_video
from videoswin_cli.errors import VideoError

FRAMES = 40
HELD = [*(n / 25 for n in range(FRAMES - 1)), 5.5]
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
KINDS: dict[str, dict[str, Any]] = {
    "plain.mp4": {},
    "fragments.mp4": {"muxing": FRAGMENTED},
    "plain.mkv": {},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 0, "gop": 2},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "h264.ts": {},
    "hevc.ts": {"codec": "libx265"},
    "mpeg2.ts": {"codec": "mpeg2video"},
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write a video of KINDS, once."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str) -> Path:
        encoder = KINDS[name].get("codec", "libx264")
        if encoder.startswith("lib") and encoder not in av.codecs_available:
            pytest.skip(f"this PyAV has no encoder {encoder}")
        path = folder / name
        options: dict[str, Any] = {"size": (160, 128), "gop": 8} | KINDS[name]
        return path if path.exists() else write_video(path, frames=FRAMES, **options)

    return make


def read_whole(path: Path, *, allow_truncated: bool = False) -> list[int]:
    with open_video(path, allow_truncated=allow_truncated) as video:
        return [read_number(image) for image in video.read_frames(range(video.info.frames))]


# --- whole files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mkv", "vp8.webm", "vp9.webm"])
def test_a_last_frame_that_is_held(name: str, clip: Callable[[str], Path], tmp_path: Path) -> None:
    path = make_video.remux_video(clip(name), tmp_path / name, last=4)
    assert read_whole(path) == list(range(FRAMES))
    with open_video(path) as video:
        # A block of Matroska may have no duration (in WebM, and by older muxers): only the whole
        # file has a longer one.
        lasts = [4] if name.endswith("mp4") else [4, 0.04]
        assert video.bounds()[-1] - 39 / 25 in [pytest.approx(last, abs=2e-3) for last in lasts]
        assert video.info.fps == pytest.approx(25, rel=1e-3)
        assert video.notes == ()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_last_frame_that_comes_late(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"held{suffix}", frames=FRAMES, times=HELD)
    assert read_whole(path) == list(range(FRAMES))
    with open_video(path) as video:
        np.testing.assert_allclose(video.timestamps(), HELD, atol=2e-3)


@pytest.mark.parametrize("seconds", [5, 3600])
@pytest.mark.parametrize("name", ["plain.mp4", "plain.mkv", "vp8.webm", "h264.ts"])
def test_a_piece_of_a_longer_recording(
    name: str, seconds: int, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    path = make_video.remux_video(clip(name), tmp_path / name, later=seconds)
    assert read_whole(path) == list(range(FRAMES))
    with open_video(path) as video:
        assert video.timestamps()[0] == 0
        assert video.bounds()[-1] == pytest.approx(1.6, abs=2e-3)


@pytest.mark.parametrize(("name", "kind"), [("vp8.webm", "webm"), ("plain.mkv", "matroska")])
@pytest.mark.parametrize("live", [True, False])
def test_a_live_recording_without_sizes(
    name: str, kind: str, live: bool, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / name
    options = {"live": "1"} if live else {}
    make_video.send_through_a_pipe(clip(name), path, format=kind, options=options)
    assert b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" in path.read_bytes()  # segment
    assert read_whole(path) == list(range(FRAMES))


def test_sound_that_is_longer_than_what_an_edit_list_leaves_of_the_picture(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", frames=FRAMES, audio=True)
    path = make_video.cut_tail(whole, tmp_path / "cut.mp4", seconds=0.8)
    numbers = read_whole(path)
    assert numbers == list(range(len(numbers)))
    assert 20 <= len(numbers) <= 22  # FFmpeg keeps one or two more


@pytest.mark.parametrize("name", ["mpeg4.avi", "mjpeg.avi"])
def test_empty_slots_of_an_avi(name: str, clip: Callable[[str], Path], tmp_path: Path) -> None:
    gone = [*range(10, 14), 20, *range(30, 39)] if name == "mjpeg.avi" else [*range(33, 39)]
    if name == "mpeg4.avi":
        gone = [39]  # its frames need those before them
    path = make_video.remux_video(clip(name), tmp_path / name, drop=gone)
    left = [number for number in range(FRAMES) if number not in gone]
    assert read_whole(path) == left
    with open_video(path) as video:
        np.testing.assert_allclose(video.timestamps(), [n / 25 for n in left], atol=1e-6)


@pytest.mark.parametrize("name", ["plain.mkv", "plain.mp4", "vp8.webm"])
def test_a_first_key_frame_that_is_missing(
    name: str, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    path = make_video.remux_video(clip(name), tmp_path / name, drop=range(3))
    assert read_whole(path) == list(range(8, FRAMES))
    with open_video(path) as video:
        assert video.notes == ()


# --- truncated files -----------------------------------------------------------------------------

CUT = ("plain.mp4", "fragments.mp4", "plain.mkv", "vp8.webm", "vp9.webm", "mpeg4.avi", "mjpeg.avi")


def check_cut(path: Path, least: int) -> None:
    """It is refused, and what is there is read if that is asked for."""
    with pytest.raises(VideoError, match="the file is truncated") as caught, open_video(path):
        pass
    assert "--allow-truncated" in caught.value.hint
    with open_video(path, allow_truncated=True) as video:
        count = video.info.frames
        assert least <= count < FRAMES
        assert any("the file is truncated" in note for note in video.notes)
        images, missing = video.read_whole_frames(range(count))
    assert set(missing) <= set(range(count - 3, count))
    for number in range(count - 1):  # the last one is torn, perhaps, and not all decoders tell
        if number not in missing:
            assert read_number(images[number]) == number


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", CUT)
def test_a_cut_file_is_refused(
    name: str, share: float, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    path = make_video.truncate_video(clip(name), tmp_path / name, share=share)
    check_cut(path, least=int(share * 20))


@pytest.mark.parametrize("name", ["plain.mkv", "vp8.webm", "mpeg4.avi", "mjpeg.avi"])
def test_zeros_in_place_of_the_end(name: str, clip: Callable[[str], Path], tmp_path: Path) -> None:
    path = make_video.damage_video(clip(name), tmp_path / name, start=0.6, stop=1)
    check_cut(path, least=10)


def test_a_cut_file_with_a_held_frame_and_a_late_start(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    changes: tuple[dict[str, Any], ...] = ({"last": 4.0}, {"later": 5.0})
    for number, change in enumerate(changes):
        whole = make_video.remux_video(clip("plain.mkv"), tmp_path / f"{number}.mkv", **change)
        check_cut(make_video.truncate_video(whole, tmp_path / "cut.mkv", share=0.7), least=10)


# --- holes ----------------------------------------------------------------------------------------


def read_pixels(path: Path) -> NDArray[np.uint8]:
    with open_video(path) as video:
        return video.read_frames(range(video.info.frames))


def check_hole(video: Video, whole: NDArray[np.uint8]) -> list[int]:
    """What is read is right to the bit, and the rest is an error; numbers of the rest."""
    count = video.info.frames
    images, missing = video.read_whole_frames(range(count))
    good = [number for number in range(count) if number not in missing]
    shown = [read_number(images[number]) for number in good]
    assert shown == sorted(set(shown))
    np.testing.assert_array_equal(images[good], whole[shown])
    for number in missing[:2]:
        with pytest.raises(VideoError, match="cannot be decoded"):
            video.read_frames([number])
    for number in (*good[:2], *good[-2:]):
        np.testing.assert_array_equal(video.read_frames([number])[0], images[number])
    return missing


@pytest.mark.parametrize("packet", [5, 16, 24])
@pytest.mark.parametrize("size", [20, 300])
@pytest.mark.parametrize("name", ["plain.mkv", "vp9.webm"])
def test_noise_in_place_of_the_head_of_a_block(
    name: str, size: int, packet: int, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    start = make_video.find_packets(clip(name))[packet] - 4
    path = make_video.overwrite_video(clip(name), tmp_path / name, start=start, size=size)
    with open_video(path) as video:
        missing = check_hole(video, read_pixels(clip(name)))
        assert 0 < len(missing) < FRAMES * 0.7


@pytest.mark.parametrize("packet", [5, 16, 24])
@pytest.mark.parametrize("name", ["plain.mkv", "plain.mp4"])
def test_noise_inside_a_picture(
    name: str, packet: int, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    start = make_video.find_packets(clip(name))[packet] + 20
    path = make_video.overwrite_video(clip(name), tmp_path / name, start=start, size=40)
    with open_video(path, decoder="pyav") as video:
        missing = check_hole(video, read_pixels(clip(name)))
        assert 0 < len(missing) < FRAMES * 0.5


@pytest.mark.parametrize("share", [0.4, 0.6])
@pytest.mark.parametrize("count", [1, 3, 9])
@pytest.mark.parametrize("name", ["h264.ts", "hevc.ts", "mpeg2.ts"])
def test_lost_packets_of_a_transport_stream(
    name: str, count: int, share: float, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    path = make_video.lose_packets(clip(name), tmp_path / name, share=share, count=count)
    with open_video(path) as video:
        missing = check_hole(video, read_pixels(clip(name)))
        assert 0 < len(missing) < FRAMES * 0.7
        assert {0, video.info.frames - 1}.isdisjoint(missing)
