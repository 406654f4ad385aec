"""What a small file may ask for: pictures of a limited size, and no more time than its bytes."""

from pathlib import Path

import make_video
import numpy as np
import pytest
from make_video import read_number, write_video

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.decoding.picture import read_picture
from videoswin_cli.errors import VideoError
from videoswin_cli.options.run import MAX_PIXELS

SIZE = (96, 64)  # 6,144 px
KINDS = {
    "h264.mp4": {},
    "h264.ts": {},
    "h264.h264": {"format": "h264"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mjpeg.mkv": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mjpeg.mp4": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "anim.gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize("name", KINDS)
def test_pictures_above_the_limit_are_refused(name: str, decoder: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / name, frames=4, size=SIZE, **KINDS[name])
    with open_video(path, decoder=decoder, max_pixels=96 * 64) as video:
        assert video.read_frames([0]).shape == (1, 64, 96, 3)
    with (
        pytest.raises(
            VideoError, match=r"96x64, 6,144 pixels; the limit is 6,143 \(--max-pix"
        ) as e,
        open_video(path, decoder=decoder, max_pixels=96 * 64 - 1),
    ):
        pass
    assert "--max-pixels 6144" in e.value.hint


def test_the_limit_holds_for_animated_webp_and_pictures(tmp_path: Path) -> None:
    from PIL import Image

    images = [Image.new("RGB", SIZE, (shade, 0, 0)) for shade in (0, 99, 199)]
    path = tmp_path / "a.webp"
    images[0].save(path, save_all=True, append_images=images[1:], lossless=True)
    with open_video(path, max_pixels=6144) as video:
        assert video.info.frames == 3
    with (
        pytest.raises(VideoError, match="96x64, 6,144 pixels"),
        open_video(path, max_pixels=6143),
    ):
        pass
    data = bytearray(path.read_bytes())
    data[24:30] = b"\xfe\x3f\0" * 2  # a canvas of 16383x16383
    path.write_bytes(data)
    with pytest.raises(VideoError, match="16383x16383"), open_video(path):
        pass
    Image.new("1", (8193, 8192)).save(tmp_path / "large.png")
    with pytest.raises(VideoError, match="8193x8192"):
        read_picture(str(tmp_path / "large.png"))


def test_pictures_that_grow_on_the_way_are_not_decoded(tmp_path: Path) -> None:
    """The header says 64x48, some pictures are larger: JPEG says of each how large it is."""
    small = write_video(tmp_path / "small.avi", codec="mjpeg", pix_fmt="yuvj420p", frames=8)
    data = bytearray(small.read_bytes())
    heads = [place for place in range(len(data)) if data[place : place + 4] == b"\xff\xc0\0\x11"]
    assert len(heads) == 8
    data[heads[3] + 5 : heads[3] + 9] = (16000).to_bytes(2, "big") * 2
    path = tmp_path / "grown.avi"
    path.write_bytes(data)
    with open_video(path) as video:
        images, missing = video.read_whole_frames(range(8))
    assert 3 in missing
    assert set(missing) <= {2, 3}
    good = [number for number in range(8) if number not in missing]
    assert [read_number(images[number]) for number in good] == good


def test_the_usual_limit_lets_8k_through() -> None:
    assert 7680 * 4320 < 8192 * 8192 == MAX_PIXELS < 16000 * 16000


def test_damage_in_each_of_many_packets_is_looked_up_once(tmp_path: Path) -> None:
    """Each names the frames up to the next picture that is whole: here up to the end."""
    whole = write_video(tmp_path / "whole.mkv", frames=200, gop=500, codec="mpeg4", b_frames=0)
    data = bytearray(whole.read_bytes())
    for place in make_video.find_packets(whole)[2:]:
        data[place + 13 : place + 21] = np.random.default_rng(place).bytes(8)
    path = tmp_path / "damaged.mkv"
    path.write_bytes(data)
    with open_video(path) as video:
        count = video.info.frames
        _, missing = video.read_whole_frames(range(count))
        assert set(range(4, count)) <= set(missing)
        reader = video._reader
        assert reader.decoded_frames <= 3 * count
        assert len(reader._damage) <= 2  # not one for each packet
