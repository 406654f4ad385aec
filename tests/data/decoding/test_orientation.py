"""Videos and pictures are shown as their files say: turned, mirrored or both."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import field_frames
import make_video
import numpy as np
import pytest
from field_frames import Image, draw_picture
from make_video import write_video

from videoswin_cli.data.decoding.decord_reader import load_decord
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.decoding.orientation import Orientation
from videoswin_cli.data.decoding.picture import read_picture
from videoswin_cli.errors import VideoError
from videoswin_cli.options.run import DecoderChoice

# The 2 x 2 part of the matrix, how it shows a picture, and what numpy calls it.
MATRICES: dict[str, tuple[tuple[int, int, int, int], Callable[[Image], Image]]] = {
    "up": ((1, 0, 0, 1), lambda image: image),
    "turned 90 cw": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "turned 180": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "turned 90 ccw": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "upside down (mirrored)": ((1, 0, 0, -1), lambda image: image[::-1]),
    "transposed": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    "transverse": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
}
MIRRORED = {"mirrored", "upside down (mirrored)", "transposed", "transverse"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    return write_video(path, frames=6, size=(160, 128), draw=draw_picture)


def read_frame(path: Path, decoder: DecoderChoice) -> tuple[str, Image]:
    """Frame 4 and who read it."""
    with open_video(path, decoder=decoder) as video:
        image = video.read_frames([4])[0]
        assert (video.info.height, video.info.width) == image.shape[:2]
        return video.info.decoder, image


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
@pytest.mark.parametrize("name", MATRICES)
def test_all_matrices(name: str, decoder: DecoderChoice, plain: Path, tmp_path: Path) -> None:
    matrix, show = MATRICES[name]
    path = make_video.turn_video(plain, tmp_path / "turned.mp4", matrix=matrix)
    used, image = read_frame(path, decoder)
    assert field_frames.read_orientation(image) == name
    assert field_frames.read_number(image) == 4
    np.testing.assert_array_equal(image, show(read_frame(plain, decoder)[1]))
    alone = decoder == "pyav" or name in MIRRORED or load_decord() is None
    assert used == ("pyav" if alone else "decord")


@pytest.mark.parametrize("name", sorted(MIRRORED))
def test_decord_alone_refuses_to_mirror(name: str, plain: Path, tmp_path: Path) -> None:
    if load_decord() is None:
        pytest.skip("decord cannot be imported here")
    path = make_video.turn_video(plain, tmp_path / "turned.mp4", matrix=MATRICES[name][0])
    with (
        pytest.raises(VideoError, match="it does not mirror pictures"),
        open_video(path, decoder="decord"),
    ):
        pass


@pytest.mark.parametrize("degrees", [0.01, -0.01, 1.0])
@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_that_is_a_little_off(
    name: str, degrees: float, plain: Path, tmp_path: Path
) -> None:
    a, b, c, d = MATRICES[name][0]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = (a * cos - b * sin, a * sin + b * cos, c * cos - d * sin, c * sin + d * cos)
    path = make_video.turn_video(plain, tmp_path / "turned.mp4", matrix=matrix)
    for decoder in ("auto", "pyav"):
        assert field_frames.read_orientation(read_frame(path, decoder)[1]) == name


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((161, 127), {"codec": "mpeg4"}),
        ((66, 50), {}),
        ((47, 65), {"pix_fmt": "yuv444p"}),
        ((64, 64), {}),
    ],
)
@pytest.mark.parametrize("name", MATRICES)
def test_odd_sizes(
    name: str, size: tuple[int, int], options: dict[str, Any], tmp_path: Path
) -> None:
    matrix, show = MATRICES[name]
    plain = write_video(tmp_path / "plain.mp4", frames=5, size=size, **options)
    path = make_video.turn_video(plain, tmp_path / "turned.mp4", matrix=matrix)
    expected = show(read_frame(plain, "pyav")[1])
    for decoder in ("auto", "pyav"):
        np.testing.assert_array_equal(read_frame(path, decoder)[1], expected)


def test_a_matrix_in_another_container(plain: Path, tmp_path: Path) -> None:
    """decord sees it in mp4 and mov alone."""
    path = make_video.turn_video(plain, tmp_path / "turned.mp4", matrix=MATRICES["turned 180"][0])
    copy = make_video.remux_video(path, tmp_path / "turned.mkv")
    used, image = read_frame(copy, "auto")
    assert (used, field_frames.read_orientation(image)) == ("pyav", "turned 180")


def test_the_eight_orientations() -> None:
    image = draw_picture(77)
    found = {}
    for transposed in (False, True):
        for rows in (False, True):
            for columns in (False, True):
                one = Orientation(transposed, rows, columns)
                found[field_frames.read_orientation(one.apply(image))] = one.mirrored
    assert found == {name: name in MIRRORED for name in MATRICES}


def test_a_picture_without_exif(tmp_path: Path) -> None:
    from matplotlib.image import imsave

    imsave(tmp_path / "a.png", draw_picture(99))
    np.testing.assert_array_equal(read_picture(str(tmp_path / "a.png")), draw_picture(99))


EXIF = (
    "up",
    "mirrored",
    "turned 180",
    "upside down (mirrored)",
    "transposed",
    "turned 90 cw",
    "transverse",
    "turned 90 ccw",
)


def write_jpeg(path: Path, orientation: int) -> Path:
    from PIL import Image as Pillow

    exif = Pillow.Exif()
    exif[0x0112] = orientation
    Pillow.fromarray(draw_picture(137)).save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_with_exif(orientation: int, tmp_path: Path) -> None:
    image = read_picture(str(write_jpeg(tmp_path / "a.jpg", orientation)))
    assert field_frames.read_orientation(image) == EXIF[orientation - 1]
    assert field_frames.read_number(image) == 137


def test_a_video_of_pictures_with_exif(tmp_path: Path) -> None:
    """Cameras write them to AVI and MOV."""
    import av

    path = tmp_path / "a.avi"
    jpeg = write_jpeg(tmp_path / "a.jpg", 1).read_bytes()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuvj420p"
        for number in range(5):
            packet = av.Packet(jpeg)
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            container.mux(packet)
    assert field_frames.read_number(read_frame(path, "auto")[1]) == 137
