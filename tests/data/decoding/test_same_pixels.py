"""Every decoder gives the pixels of PyAV, or refuses the file."""

from pathlib import Path
from typing import Any

import av
import make_video
import numpy as np
import pytest
from decoders import need_decoder
from make_video import read_number, write_video

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.errors import VideoError
from videoswin_cli.options.run import DecoderChoice

OTHERS: tuple[DecoderChoice, ...] = ("decord", "torchcodec")
INTERLACED = {"flags": "+ilme+ildct"}

by_others = pytest.mark.parametrize("decoder", OTHERS)


def draw(size: tuple[int, int], number: int) -> np.ndarray:
    """Noise of 4x4 blocks: each way to convert color gives another picture of it."""
    width, height = size
    noise = np.random.default_rng(number).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3))
    return noise.repeat(4, axis=0).repeat(4, axis=1)[:height, :width].astype(np.uint8)


def write_noise(path: Path, size: tuple[int, int], **options: Any) -> Path:
    if options.get("codec", "libx264") not in av.codecs_available:
        pytest.skip(f"this PyAV has no encoder {options.get('codec', 'libx264')}")
    return write_video(path, frames=4, size=size, draw=lambda number: draw(size, number), **options)


def read(path: Path, decoder: DecoderChoice) -> np.ndarray:
    with open_video(path, decoder=decoder) as video:
        assert video.info.decoder == decoder or decoder == "auto"
        return video.read_frames(range(4))


@by_others
@pytest.mark.parametrize("size", [(66, 50), (340, 256), (128, 96)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p"])
def test_formats_and_sizes(
    decoder: DecoderChoice, size: tuple[int, int], pix_fmt: str, tmp_path: Path
) -> None:
    need_decoder(decoder)
    path = write_noise(tmp_path / "a.mp4", size, pix_fmt=pix_fmt)
    np.testing.assert_array_equal(read(path, decoder), read(path, "pyav"))


@by_others
@pytest.mark.parametrize("size", [(66, 50), (64, 48)])
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("color_range", ["tv", "pc"])
def test_color_matrices(
    decoder: DecoderChoice, size: tuple[int, int], matrix: str, color_range: str, tmp_path: Path
) -> None:
    need_decoder(decoder)
    tags = {"colorspace": matrix, "color_range": color_range}
    path = write_noise(tmp_path / "a.mp4", size, options=tags)
    np.testing.assert_array_equal(read(path, decoder), read(path, "pyav"))


@by_others
@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mp4", "mpeg4"), ("a.mkv", "mpeg2video")]
)
def test_interlaced_pictures(decoder: DecoderChoice, name: str, codec: str, tmp_path: Path) -> None:
    """FFmpeg 8 would give each field the colors of its own rows."""
    need_decoder(decoder)
    path = write_noise(tmp_path / name, (64, 64), codec=codec, b_frames=0, options=INTERLACED)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    np.testing.assert_array_equal(read(path, decoder), read(path, "pyav"))


@pytest.mark.parametrize("size", [(64, 49), (65, 49), (65, 48)])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.webm", "libvpx-vp9"), ("a.mkv", "ffv1"), ("a.mp4", "mpeg4")]
)
@pytest.mark.parametrize("decoder", ["auto", *OTHERS])
def test_pictures_of_odd_height(
    decoder: DecoderChoice, name: str, codec: str, size: tuple[int, int], tmp_path: Path
) -> None:
    need_decoder(decoder)
    path = write_noise(tmp_path / name, size, codec=codec, b_frames=0)
    if decoder == "auto" or size[1] % 2 == 0:
        np.testing.assert_array_equal(read(path, decoder), read(path, "pyav"))
        return
    with pytest.raises(VideoError, match="of yuv420p pictures of odd height it gives other"):
        read(path, decoder)


def test_pictures_of_odd_height_that_are_shown_turned(tmp_path: Path) -> None:
    plain = write_noise(tmp_path / "plain.mp4", (64, 49), codec="mpeg4", b_frames=0)
    path = make_video.rotate_video(plain, tmp_path / "turned.mp4", degrees=90)
    expected = np.rot90(read(plain, "pyav"), k=-1, axes=(1, 2))
    np.testing.assert_array_equal(read(path, "auto"), expected)


@pytest.mark.parametrize("pix_fmt", ["yuv410p", "yuv440p", "yuv420p10le"])
def test_formats_that_decord_converts_otherwise(pix_fmt: str, tmp_path: Path) -> None:
    path = write_noise(tmp_path / "a.mkv", (64, 48), codec="ffv1", pix_fmt=pix_fmt)
    np.testing.assert_array_equal(read(path, "auto"), read(path, "pyav"))


@pytest.mark.parametrize("decoder", ["auto", "torchcodec"])
def test_a_vp9_of_full_range(decoder: DecoderChoice, tmp_path: Path) -> None:
    need_decoder(decoder)
    path = write_noise(
        tmp_path / "a.webm", (64, 48), codec="libvpx-vp9", options={"color_range": "pc"}
    )
    if decoder == "auto":
        np.testing.assert_array_equal(read(path, decoder), read(path, "pyav"))
        return
    with pytest.raises(VideoError, match="it takes pictures of full range for those of limited"):
        read(path, decoder)


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv411p"])
def test_formats_that_torchcodec_converts_otherwise(pix_fmt: str, tmp_path: Path) -> None:
    need_decoder("torchcodec")
    path = write_noise(tmp_path / "a.mkv", (64, 48), codec="ffv1", pix_fmt=pix_fmt)
    with pytest.raises(VideoError, match=f"of {pix_fmt} pictures it gives other pixels"):
        read(path, "torchcodec")


# --- damage -----------------------------------------------------------------------------------


def write_without_a_slice(folder: Path, number: int) -> Path:
    """A video in which a filler replaces the second slice of packet `number`."""
    options = {"x264-params": "open-gop=0:keyint=12:min-keyint=12:slices=2"}
    whole = write_video(folder / "whole.mp4", size=(160, 128), b_frames=0, options=options)
    data = bytearray(whole.read_bytes())
    place = make_video.find_packets(whole)[number]
    first = int.from_bytes(data[place : place + 4], "big")
    second = place + 4 + first + 4
    assert data[second] & 31 == 1  # a slice of a picture that refers to others
    data[second] = 12
    (folder / "holed.mp4").write_bytes(data)
    return folder / "holed.mp4"


@by_others
def test_pictures_that_ffmpeg_patches_up_without_an_error(
    decoder: DecoderChoice, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It says "concealing 40 DC, ... errors" as a mere information."""
    need_decoder(decoder)
    holed = write_without_a_slice(tmp_path, 16)
    with open_video(holed, decoder="pyav") as video:
        assert set(range(16, 24)) <= set(video.read_whole_frames(range(40))[1])
    with (
        open_video(holed, decoder=decoder) as video,
        pytest.raises(VideoError, match=r"reliably: \[h264\] concealing \d+ DC"),
    ):
        video.read_frames([18])
    with open_video(holed) as video:
        assert set(range(16, 24)) <= set(video.read_whole_frames(range(40))[1])
        assert video.info.decoder == "pyav"
    assert capfd.readouterr() == ("", "")


@by_others
def test_what_refers_to_a_damaged_picture_is_refused_when_asked_for_later(
    decoder: DecoderChoice, tmp_path: Path
) -> None:
    """The decoder has the damage behind it then, and tells of it no more."""
    need_decoder(decoder)
    holed = write_without_a_slice(tmp_path, 16)
    with open_video(holed, decoder=decoder) as video:
        for number in (17, 20, 22):
            with pytest.raises(VideoError, match="concealing"):
                video.read_frames([number])


def test_frames_that_decord_decodes_ahead_are_not_taken_unheard(tmp_path: Path) -> None:
    """Its thread may meet the damage after one read and before the next."""
    holed = write_without_a_slice(tmp_path, 16)
    with open_video(holed) as video:
        video.read_frames([13, 14])
        assert set(range(16, 24)) <= set(video.read_whole_frames(range(15, 24))[1])
        assert video.info.decoder == "pyav"


def test_decord_goes_on_where_it_starts_anew(tmp_path: Path) -> None:
    need_decoder("decord")
    path = write_video(tmp_path / "a.mp4", size=(160, 128))  # key frames are 12 apart
    with open_video(path) as video:
        decoders = []
        for number in (3, 15, 30, 14, 17):
            assert read_number(video.read_frames([number])[0]) == number
            decoders.append(video.info.decoder)
    assert decoders == ["decord", "decord", "decord", "decord", "pyav"]
    with open_video(path, decoder="decord") as video:
        for number in (3, 4, 2, 15, 16):
            assert read_number(video.read_frames([number])[0]) == number


@by_others
@pytest.mark.parametrize("kind", ["closed.mp4", "closed.mkv"])
def test_noise_in_packets(decoder: DecoderChoice, kind: str, tmp_path: Path) -> None:
    """Where PyAV notices damage, the others do not pass it for pictures."""
    need_decoder(decoder)
    whole = write_video(tmp_path / kind, frames=24, size=(96, 64))
    places = make_video.find_packets(whole)
    for number in range(1, 24, 3):
        path = make_video.overwrite_video(
            whole, tmp_path / f"{number}{kind}", start=places[number] + 20, size=8
        )
        with open_video(path, decoder="pyav") as video:
            expected, missing = video.read_whole_frames(range(24))
        try:
            with open_video(path, decoder=decoder) as video:
                images = video.read_frames(range(24))
        except VideoError:
            continue
        assert not missing, number
        np.testing.assert_array_equal(images, expected, err_msg=str(number))
