"""Folders of numbered pictures as videos."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from frame_folders import draw_folder, unpack_video
from make_video import draw_frame, read_number, write_video
from PIL import Image, ImageFile

from videoswin_cli.data.decoding.frame_folder import is_frame_folder
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.segments import find_span, make_segment
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.options.parsers import split_template


def read_all(folder: Path, **options: str | float) -> list[int]:
    with open_video(folder, **options) as video:  # type: ignore[arg-type]
        return [read_number(frame) for frame in video.read_frames(range(video.info.frames))]


def refuse(folder: Path, **options: str) -> VideoError:
    with pytest.raises(VideoError) as failure, open_video(folder, **options):  # type: ignore[arg-type]
        pass
    assert failure.value.message.startswith(f"{folder}: ")
    return failure.value


@pytest.mark.parametrize(
    ("template", "first"),
    [
        ("img_{:05}.png", 1),
        ("img_{:05}.jpg", 0),
        ("{}.png", 7),
        ("frame-{:02}.jpeg", 95),
        ("v_abc12_{:06}.webp", 1),
        ("{:03}.PNG", 1),
    ],
)
def test_any_padding_and_any_first_number(template: str, first: int, tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "v", 12, template=template, first=first)
    assert read_all(folder) == list(range(12))
    assert read_all(folder, frame_template=template) == list(range(12))


def test_frames_times_and_facts_are_those_of_the_video(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", frames=20, fps=30000 / 1001)
    folder = unpack_video(source, tmp_path / "frames")
    with open_video(source) as video, open_video(folder, frames_fps=30000 / 1001) as frames:
        assert frames.timestamps() == video.timestamps()
        assert frames.bounds() == video.bounds()
        assert frames.info.fps == video.info.fps
        assert frames.info.decoder == "pillow"
        assert (frames.info.width, frames.info.height) == (video.info.width, video.info.height)
        assert np.array_equal(frames.read_frames([19, 3, 3]), video.read_frames([19, 3, 3]))
        assert frames.notes == ()


def test_a_folder_without_a_rate_says_so(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "v", 40)
    with open_video(folder) as video:
        assert not video.info.fps_stated
        assert video.timestamps()[30] == 1.0
        assert "no frame rate is stated" in video.notes[0]
        with pytest.raises(VideoError, match="given in seconds: give it with --frames-fps N"):
            find_span(video, make_segment(0.5, None))
    with open_video(folder, frames_fps=10) as video:
        assert video.info.fps_stated
        assert find_span(video, make_segment(0.5, 1.0)).first == 5


def test_jpegs_are_bit_equal_to_those_of_pillow_and_turned_as_they_say(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    for number in range(2):
        Image.fromarray(noise).save(tmp_path / f"{number}.jpg", exif=exif)
    with open_video(tmp_path) as video:
        assert (video.info.width, video.info.height) == (24, 32)
        (frame,) = video.read_frames([1])
    plain = np.asarray(Image.open(tmp_path / "1.jpg"))
    assert np.array_equal(frame, np.rot90(plain, -1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_pictures_of_other_colors_become_rgb(mode: str, tmp_path: Path) -> None:
    suffix = "jpg" if mode == "CMYK" else "png"
    for number in range(2):
        Image.fromarray(draw_frame(5)).convert(mode).save(tmp_path / f"{number}.{suffix}")
    with open_video(tmp_path) as video:
        found = video.read_frames([1])[0]
    assert np.array_equal(found, np.asarray(Image.open(tmp_path / f"1.{suffix}").convert("RGB")))


def test_pictures_of_more_than_eight_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 4000, np.uint16)).save(tmp_path / "1.png")
    assert "mode I;16, where 8 bits a color are expected" in refuse(tmp_path).message


def test_the_first_missing_number_is_named(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "v", 9)
    (folder / "img_00004.png").unlink()
    (folder / "img_00006.png").unlink()
    error = refuse(folder)
    assert "img_00004.png is missing: 7 pictures are there from img_00001.png to" in error.message


def test_two_numberings_need_a_template(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "v", 3)
    draw_folder(folder, 2, template="thumb_{}.png")
    error = refuse(folder)
    assert "2 numberings: img_00001.png (3), thumb_1.png (2)" in error.message
    assert "--frame-template" in error.message
    assert read_all(folder, frame_template="thumb_{}.png") == [0, 1]


def test_two_paddings_need_a_template(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "v", 3, template="img_{:02}.png")
    draw_folder(folder, 2, template="img_{:04}.png")
    error = refuse(folder)
    assert "padded in two ways: img_01.png and img_0001.png" in error.message
    assert read_all(folder, frame_template="img_{:04}.png") == [0, 1]
    assert (
        "no picture is called as --frame-template x{}.png says"
        in refuse(folder, frame_template="x{}.png").message
    )


@pytest.mark.parametrize(
    "flow", [("flow_x_{:05}.jpg", "flow_y_{:05}.jpg"), ("x_{:05}.jpg", "y_{:05}.jpg")]
)
def test_optical_flow_beside_the_frames_is_left_out(flow: tuple[str, str], tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "v", 4)
    for template in flow:
        draw_folder(folder, 3, template=template)
    (folder / "._img_00009.png").write_bytes(b"of a Mac")
    Image.new("RGB", (9, 9)).save(folder / "cover.png")
    with open_video(folder, frames_fps=25) as video:
        assert video.info.frames == 4
        assert video.notes == (
            "6 pictures of optical flow are left out",
            "1 picture is without a number at the end of the name: left out",
        )


def test_a_folder_of_optical_flow_alone_is_no_video(tmp_path: Path) -> None:
    for template in ("flow_x_{:05}.jpg", "flow_y_{:05}.jpg"):
        draw_folder(tmp_path, 3, template=template)
    assert "6 pictures of optical flow only" in refuse(tmp_path).message
    assert not is_frame_folder(tmp_path)


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert "a folder without pictures" in refuse(tmp_path).message
    Image.new("RGB", (9, 9)).save(tmp_path / "cover.png")
    assert (
        "without a number at the end of their names, such as cover.png" in refuse(tmp_path).message
    )


@pytest.mark.parametrize("lenient", [False, True])
def test_damaged_pictures_are_damaged_frames_and_say_why(
    lenient: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)  # by the calling program
    folder = draw_folder(tmp_path / "v", 6, template="{}.jpg")
    draw_folder(tmp_path / "png", 2, template="{}.png")
    (tmp_path / "png/2.png").write_bytes((tmp_path / "png/1.png").read_bytes()[:-60])
    with open_video(tmp_path / "png") as video:
        assert video.read_whole_frames(range(2))[1] == [1]
    whole = (folder / "2.jpg").read_bytes()
    (folder / "2.jpg").write_bytes(whole[:-40])
    (folder / "3.jpg").write_text("no picture")
    Image.new("RGB", (32, 48)).save(folder / "4.jpg")
    shutil.copy(folder / "6.jpg", folder / "7.jpg")
    with open_video(folder) as video:
        _, missing = video.read_whole_frames(range(6))
        assert missing == [1, 2, 3]
        assert "2.jpg: " in video.describe_damage([1])
        assert "truncated" in video.describe_damage([1])
        assert "3.jpg: no JPEG, PNG or WebP" in video.describe_damage([2])
        assert "4.jpg: 32x48, where the first picture is 64x48" in video.describe_damage([3])
        with pytest.raises(VideoError, match=r"cannot be decoded \(3\): 4.jpg: 32x48"):
            video.read_frames([3])
        assert lenient is ImageFile.LOAD_TRUNCATED_IMAGES
        (folder / "6.jpg").unlink()
        assert "No such file" in (video.read_whole_frames([5]) and video.describe_damage([5]))


def test_too_large_pictures_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "v", 2)
    with (
        pytest.raises(VideoError, match=r"64x48, 3,072 pixels; the limit is 1,000"),
        open_video(folder, max_pixels=1000),
    ):
        pass


@pytest.mark.parametrize(
    "template",
    [
        *("img.jpg", "{}_{}.jpg", "{:5}.jpg", "{:05x}.jpg", "{0}.jpg", "{n}.jpg", "{!r}.jpg"),
        *("{.jpg", "a/{}.jpg", "..\\{}.jpg", "{}.mp4", "{}", "{:019}.jpg", "{:0}.jpg", ""),
    ],
)
def test_a_template_has_one_field_and_no_folder(template: str) -> None:
    with pytest.raises(UsageError, match="expected the name of a picture with one field"):
        split_template(template)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("img_{:05}.jpg", "img_00007.jpg"),
        ("{:d}.png", "7.png"),
        ("a{{b}}{:02d}.PNG", "a{b}07.PNG"),
        ("img_%05d.jpg", "img_00007.jpg"),
        ("%d.png", "7.png"),
    ],
)
def test_a_template_names_pictures(template: str, name: str) -> None:
    found = split_template(template)
    assert found.name(7) == name
    assert split_template(str(found)) == found
