"""Smaller copies and pictures: the frames and times of the video, whole or not there, resumed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from make_video import decode_numbers, read_number, rotate_video, truncate_video, write_video
from notices import Notices
from PIL import Image

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.encoding import mp4, pictures, resized
from videoswin_cli.data.encoding.resized import copy_size
from videoswin_cli.data.lists import read_list
from videoswin_cli.errors import OutputExistsError, ResumeError, UsageError, VideoSwinError
from videoswin_cli.options.prepare import FramesOptions, ResizeOptions
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import ListedVideo, Segment
from videoswin_cli.tasks.prepare.copies import describe_rates, resize_videos, write_frames
from videoswin_cli.tasks.prepare.folder import Made
from videoswin_cli.tasks.prepare.names import name_outputs
from videoswin_cli.tasks.prepare.sources import find_sources

UNEVEN = [0.0, 0.04, 0.3, 0.32, 0.5, 1.1, 1.2, 1.21]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of odd videos, of which one is cut off."""
    folder = tmp_path_factory.mktemp("odd")
    for name in ("a", "b, c"):
        (folder / name).mkdir()
    write_video(folder / "a" / "uneven.mkv", frames=8, times=UNEVEN, b_frames=0)
    write_video(folder / "a" / "same.avi", frames=6, codec="mpeg4", b_frames=0)
    write_video(folder / "a" / "same.mp4", frames=7, audio=True, seed=1)
    write_video(folder / "wide.mp4", frames=9, size=(98, 64))
    rotate_video(folder / "wide.mp4", folder / "a" / "turned ü.mp4", degrees=90)
    write_video(folder / "b, c" / "x.mp4", frames=5, size=(51, 39), codec="libx264",
                pix_fmt="yuv444p")  # fmt: skip
    write_video(folder / "long.mkv", frames=40)
    truncate_video(folder / "long.mkv", folder / "b, c" / "cut.mkv", share=0.6)
    for name in ("wide.mp4", "long.mkv"):
        (folder / name).unlink()
    return folder


def resize(folder: Path, out: Path, said: Notices | None = None, **options: Any) -> dict[str, Made]:
    options = {"short_side": 32, "workers": 0, **options}
    made = resize_videos(
        find_sources([str(folder)], SourceOptions()),
        ResizeOptions(out=out, **options),
        OpenOptions(),
        said or Notices(),
    )
    return {each.path: each for each in made}


def to_frames(
    folder: Path, out: Path, said: Notices | None = None, **options: Any
) -> dict[str, Made]:
    made = write_frames(
        find_sources([str(folder)], SourceOptions()),
        SourceOptions(),
        FramesOptions(out=out, workers=0, **options),
        OpenOptions(),
        said or Notices(),
    )
    return {each.path: each for each in made}


def files(folder: Path) -> list[str]:
    """What a user sees in a folder."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found if path.parts[0][0] != ".")


@pytest.fixture(scope="module")
def copies(odd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the odd videos, made by two processes."""
    out = tmp_path_factory.mktemp("copies") / "deep" / "out"
    made = resize(odd, out, workers=2)
    assert {path for path, each in made.items() if each.error} == {"b, c/cut.mkv"}
    return out


# --- resize ---------------------------------------------------------------------------------------


def test_each_copy_has_a_name_of_its_own_and_no_broken_one_is_there(copies: Path) -> None:
    assert files(copies) == [
        *("a/same.avi.mp4", "a/same.mp4", "a/turned ü.mp4", "a/uneven.mp4", "b, c/x.mp4"),
        "failed.jsonl",
    ]
    (row,) = map(json.loads, (copies / "failed.jsonl").read_text("utf-8").splitlines())
    assert row["path"] == "b, c/cut.mkv"
    assert "truncated" in row["error"]


@pytest.mark.parametrize(
    ("source", "copy", "size"),
    [
        ("a/uneven.mkv", "a/uneven.mp4", (42, 32)),
        ("a/same.avi", "a/same.avi.mp4", (42, 32)),
        ("a/same.mp4", "a/same.mp4", (42, 32)),
        ("a/turned ü.mp4", "a/turned ü.mp4", (32, 48)),
        ("b, c/x.mp4", "b, c/x.mp4", (42, 32)),
    ],
)
def test_a_copy_has_the_frames_and_times_of_its_video(
    source: str, copy: str, size: tuple[int, int], odd: Path, copies: Path
) -> None:
    with open_video(odd / source) as old, open_video(copies / copy) as new:
        assert (new.info.width, new.info.height) == size
        assert new.info.frames == old.info.frames
        times = np.subtract(old.bounds(), old.bounds()[0])
        np.testing.assert_allclose(new.bounds(), times, atol=1e-4)
        whole = list(range(old.info.frames))
        for own, theirs in zip(new.read_frames(whole), old.read_frames(whole), strict=True):
            smaller = np.asarray(Image.fromarray(theirs).resize(size, Image.Resampling.BICUBIC))
            difference = np.abs(own.astype(int) - smaller.astype(int)).mean()
            assert difference < 9, "the same picture, upright"
    with av.open(str(copies / copy)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


@pytest.mark.parametrize(
    ("size", "upscale", "expected"),
    [
        ((1920, 1080), False, (456, 256)),
        ((1080, 1920), False, (256, 456)),
        ((300, 300), False, (256, 256)),
        ((320, 240), False, (320, 240)),
        ((321, 241), False, (321, 241)),
        ((320, 240), True, (342, 256)),
        ((257, 256), False, (257, 256)),
        ((258, 257), False, (256, 256)),
        ((259, 257), False, (258, 256)),
    ],
)
def test_sizes_are_even_and_never_larger_unasked(
    size: tuple[int, int], upscale: bool, expected: tuple[int, int]
) -> None:
    assert copy_size(*size, short_side=256, upscale=upscale) == expected


def test_a_small_video_of_odd_size_gets_an_even_one(odd: Path, tmp_path: Path) -> None:
    made = resize(odd / "b, c", tmp_path / "out", short_side=64, crf=0)
    assert made["x.mp4"].error is None
    with open_video(tmp_path / "out" / "x.mp4") as video:
        assert (video.info.width, video.info.height) == (52, 40)
        assert [read_number(image) for image in video.read_frames(range(5))] == [0, 1, 2, 3, 4]


def test_finished_copies_are_kept_and_changed_videos_are_not(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for name in ("1.mp4", "2.mp4", "3.mp4"):
        write_video(data / name, frames=3, seed=int(name[0]))
    calls: list[str] = []
    plain = resized.write_resized

    def watch(part: Any, file: Path, **options: Any) -> Any:
        calls.append(file.name)
        if file.name == "2.mp4" and calls.count("2.mp4") == 1:
            raise KeyboardInterrupt
        return plain(part, file, **options)

    monkeypatch.setattr("videoswin_cli.tasks.prepare.copies.write_resized", watch)
    with pytest.raises(KeyboardInterrupt):
        resize(data, out)
    assert files(out) == ["1.mp4"]
    (out / "1.mp4.77.part").write_text("of a killed process")
    said = Notices()
    resize(data, out, said)
    assert calls == ["1.mp4", "2.mp4", "2.mp4", "3.mp4"]
    assert files(out) == ["1.mp4", "2.mp4", "3.mp4"]
    assert "1 of 3 videos were done before: kept" in said.texts
    write_video(data / "2.mp4", frames=5)
    (out / "3.mp4").unlink()
    assert resize(data, out)["2.mp4"].frames == 5
    assert calls[4:] == ["2.mp4", "3.mp4"]
    with pytest.raises(ResumeError, match="short_side was 32, now 40"):
        resize(data, out, short_side=40)
    resize(data, out, short_side=40, overwrite=True)
    assert calls[6:] == ["1.mp4", "2.mp4", "3.mp4"]


def test_a_video_that_is_mended_is_no_longer_listed_as_failed(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    (data / "x.mp4").write_bytes(b"nothing")
    assert resize(data, out)["x.mp4"].error
    assert files(out) == ["failed.jsonl"]
    write_video(data / "x.mp4", frames=3)
    assert resize(data, out)["x.mp4"].error is None
    assert files(out) == ["x.mp4"]


def test_outputs_that_were_damaged_since_are_made_again(tmp_path: Path) -> None:
    data, out, frames = tmp_path / "data", tmp_path / "out", tmp_path / "frames"
    data.mkdir()
    for name in "xy":
        write_video(data / f"{name}.mp4", frames=3)
    resize(data, out)
    to_frames(data, frames)
    whole = (out / "x.mp4").read_bytes()
    (out / "x.mp4").write_bytes(whole[:100])
    picture = frames / "y" / "img_00002.jpg"
    drawn = picture.read_bytes()
    picture.write_bytes(b"")
    said = Notices()
    resize(data, out, said)
    to_frames(data, frames, said)
    assert (out / "x.mp4").read_bytes() == whole
    assert picture.read_bytes() == drawn
    assert said.texts.count("1 of 2 videos were done before: kept") == 2


def test_names_that_were_given_stay(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    write_video(data / "x.mkv", frames=3)
    resize(data, out)
    write_video(data / "x.avi", frames=4, codec="mpeg4", b_frames=0)
    write_video(data / "X.mp4", frames=2)
    made = resize(data, out)
    assert {path: each.output for path, each in made.items()} == {
        "x.mkv": "x.mp4",
        "x.avi": "x.avi.mp4",
        "X.mp4": "X.mp4.mp4",
    }
    assert [made[path].frames for path in ("x.mkv", "x.avi", "X.mp4")] == [3, 4, 2]


def test_a_copy_that_lost_a_frame_or_a_time_is_no_copy(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = mp4.Mp4.add
    seen: list[float] = []

    def lose(self: mp4.Mp4, image: Any, start: float, end: float) -> None:
        seen.append(start)
        if len(seen) != 3:
            plain(self, image, start, end)

    def shift(self: mp4.Mp4, image: Any, start: float, end: float) -> None:
        seen.append(start)
        plain(self, image, start + (len(seen) == 3) * 0.01, end)

    (tmp_path / "data").mkdir()
    write_video(tmp_path / "data" / "x.mp4", frames=5)
    for change, reason in ((lose, "holds 4 frames, expected 5"), (shift, "frame 2 of the copy")):
        seen.clear()
        monkeypatch.setattr(mp4.Mp4, "add", change)
        made = resize(tmp_path / "data", tmp_path / change.__name__)
        assert reason in (made["x.mp4"].error or "")
        assert files(tmp_path / change.__name__) == ["failed.jsonl"]


def test_a_full_disk_ends_the_run_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    write_video(tmp_path / "data" / "x.mp4", frames=3)

    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(mp4.Mp4, "add", fill)
        with pytest.raises(VideoSwinError, match="No space left on device") as caught:
            resize(tmp_path / "data", tmp_path / "out")
    assert caught.value.exit_code == 1
    assert files(tmp_path / "out") == []
    with monkeypatch.context() as patched:
        patched.setattr(pictures, "_save", fill)
        with pytest.raises(VideoSwinError, match="No space left on device"):
            to_frames(tmp_path / "data", tmp_path / "frames")
    assert [path.name for path in (tmp_path / "frames").iterdir() if path.name[0] != "."] == []


def test_folders_that_are_not_ours_are_left(odd: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputExistsError, match="not written by"):
        resize(odd, tmp_path / "mine", overwrite=True)
    assert files(tmp_path / "mine") == ["thesis.tex"]
    with pytest.raises(UsageError, match="in the folder of the videos"):
        resize(odd, odd / "small")
    (tmp_path / "list.txt").write_text("a/same.avi 0\n")
    listed = find_sources([], SourceOptions(list_file=tmp_path / "list.txt", root=odd))
    with pytest.raises(UsageError, match="has videos of this run"):
        resize_videos(listed, ResizeOptions(out=odd), OpenOptions(), Notices())
    with pytest.raises(UsageError, match="even number"):
        ResizeOptions(out=tmp_path, short_side=255)


# --- names ----------------------------------------------------------------------------------------


def listed(*paths: str, segment: Segment | None = None) -> list[ListedVideo]:
    more = "" if segment is None else f"#{segment}"
    return [
        ListedVideo(path=path + more, file=path, label=None, line=1, segment=segment)
        for path in paths
    ]


def test_outputs_are_named_as_their_videos() -> None:
    def name(*videos: ListedVideo, suffix: str = ".mp4") -> list[str]:
        found = name_outputs(videos, suffix=suffix, before={})
        return [found.get(video.path, "-") for video in videos]

    assert name(*listed("a/b.avi", "a/b.mkv", "c", "a/B.mp4")) == [
        *("a/b.avi.mp4", "a/b.mkv.mp4", "c.mp4", "a/B.mp4"),
    ]
    assert name(*listed("x.mp4", "x/y.mp4"), suffix="") == ["x.mp4", "x/y"]
    assert name(*listed("a.avi", "a.avi.avi", "a.mp4", "a.avi.mp4")) == [
        *("a.avi-2.mp4", "a.avi.avi.mp4", "a.mp4", "a.avi.mp4"),
    ]
    assert name(*listed("../up/a.avi", "/abs/b.avi", "..")) == ["up/a.mp4", "abs/b.mp4", "-"]
    assert name(
        *listed("a.avi", segment=Segment(start=10.0, end=20.0)),
        *listed("a.avi", segment=Segment(start=1.5, end=None)),
    ) == ["a_000010_000020.mp4", "a_t=1.5.mp4"]


# --- frames ---------------------------------------------------------------------------------------


def read_pictures(folder: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(file)) for file in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def shots(odd: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """PNG pictures of the odd videos, and what was said."""
    out, said = tmp_path_factory.mktemp("shots") / "out", Notices()
    made = to_frames(odd, out, said, format="png")
    said.texts.append(describe_rates(list(made.values())))
    return out, said.texts


def test_png_pictures_have_the_bits_of_the_frames(odd: Path, shots: tuple[Path, Any]) -> None:
    folders = {
        "a/uneven.mkv": "a/uneven",
        "a/same.avi": "a/same",
        "a/same.mp4": "a/same.mp4",
        "a/turned ü.mp4": "a/turned ü",
        "b, c/x.mp4": "b, c/x",
    }
    for source, folder in folders.items():
        with open_video(odd / source) as video:
            frames = video.read_frames(range(video.info.frames))
        found = read_pictures(shots[0] / folder)
        assert np.array_equal(np.stack(found), frames), source
        names = sorted(file.name for file in (shots[0] / folder).iterdir())
        assert names == [f"img_{n:05}.png" for n in range(1, len(frames) + 1)]
    assert not (shots[0] / "b, c" / "cut").exists()
    assert "b, c/cut.mkv" in (shots[0] / "failed.jsonl").read_text()


def test_frame_folders_get_a_list_and_their_rates_are_said(shots: tuple[Path, list[str]]) -> None:
    out, said = shots
    assert (out / "list.txt").read_text("utf-8") == (
        'a/same 6 0\na/same.mp4 7 0\n"a/turned ü" 9 0\na/uneven 8 0\n"b, c/x" 5 1\n'
    )
    assert (out / "classes.txt").read_text() == "a\nb, c\n"
    assert [row.label for row in read_list(out / "list.txt").rows] == [0, 0, 0, 0, 1]
    assert said[-1].startswith("their rates differ, --frames-fps 25 (4 folders), ")
    assert any("uneven.mkv: its frame rate is not constant: --fps N" in text for text in said)


def test_pictures_at_a_rate_show_what_is_shown_at_that_time(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_video(tmp_path / "data" / "x.mkv", frames=8, times=UNEVEN, b_frames=0)
    write_video(tmp_path / "data" / "y.mp4", frames=20, fps=20)
    said = Notices()
    made = to_frames(tmp_path / "data", tmp_path / "out", said, format="png", rate=10)
    shown = [read_number(image) for image in read_pictures(tmp_path / "out" / "x")]
    assert shown[:12] == [0, 1, 1, 2, 3, 4, 4, 4, 4, 4, 4, 5]
    assert [read_number(image) for image in read_pictures(tmp_path / "out" / "y")] == list(
        range(0, 20, 2)
    )
    assert describe_rates(list(made.values())) == "read with --frames-fps 10"
    assert not any("not constant" in text for text in said.texts)
    assert any("no classes are written" in text for text in said.texts), "there are no classes"


@pytest.mark.parametrize("format", ["jpg", "webp"])
def test_jpg_and_webp_are_close_and_smaller(format: Any, odd: Path, tmp_path: Path) -> None:
    to_frames(odd / "a", tmp_path / "out", format=format, quality=90, short_side=24)
    found = read_pictures(tmp_path / "out" / "turned ü")
    assert {image.shape for image in found} == {(37, 24, 3)}
    with open_video(odd / "a" / "turned ü.mp4") as video:
        small = Image.fromarray(video.read_frames([4])[0]).resize((24, 37))
    assert np.abs(found[4].astype(int) - np.asarray(small).astype(int)).mean() < 12


def test_a_folder_of_frames_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for name in ("1.mp4", "2.mp4"):
        write_video(data / name, frames=3)
    plain: Callable[..., None] = pictures._save

    def stop(image: Any, file: Path, form: Any) -> None:
        if file.name == "img_00002.png" and file.parent.name.startswith(".2."):
            raise KeyboardInterrupt
        plain(image, file, form)

    with monkeypatch.context() as patched:
        patched.setattr(pictures, "_save", stop)
        with pytest.raises(KeyboardInterrupt):
            to_frames(data, out, format="png")
    assert files(out) == [f"1/img_0000{n}.png" for n in (1, 2, 3)]
    (out / ".2.99.pictures.part").mkdir()  # of a killed process
    (out / ".2.99.pictures.part" / "img_00001.png").write_text("half")
    (out / "2").mkdir()  # a killed process had moved it to its place, and written no line
    (out / "2" / "img_00009.png").write_text("old")
    said = Notices()
    to_frames(data, out, said, format="png")
    assert files(out) == [f"{v}/img_0000{n}.png" for v in (1, 2) for n in (1, 2, 3)]
    assert sorted(path.name for path in out.iterdir()) == [".prepare", "1", "2"]
    assert "1 of 2 videos were done before: kept" in said.texts
    with pytest.raises(ResumeError, match="format was 'png', now 'jpg'"):
        to_frames(data, out)
    (out / "2" / "notes.txt").write_text("mine")
    write_video(data / "2.mp4", frames=4)
    made = to_frames(data, out, format="png")
    assert "other files than pictures, such as notes.txt" in (made["2.mp4"].error or "")
    assert (out / "2" / "notes.txt").read_text() == "mine"


def test_parts_of_a_list_become_videos_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    write_video(tmp_path / "v" / "x.mp4", frames=50)
    (tmp_path / "v" / "list.csv").write_text(
        "path,label,start,end\nx.mp4,run,0,1\nx.mp4,run,1,1.2\n"
    )
    source = SourceOptions(list_file=tmp_path / "v" / "list.csv")
    sources = find_sources([], source)
    options = ResizeOptions(out=tmp_path / "out", short_side=32, workers=0)
    made = resize_videos(sources, options, OpenOptions(), Notices())
    assert [each.output for each in made] == ["x_000000_000001.mp4", "x_t=1,1.2.mp4"]
    assert decode_numbers(tmp_path / "out" / "x_000000_000001.mp4")[1] == list(range(25))
    assert decode_numbers(tmp_path / "out" / "x_t=1,1.2.mp4")[1] == list(range(25, 30))
    again = find_sources([], replace(source, root=tmp_path / "out", limit=1))
    assert again.videos[0].path == "x_000000_000001.mp4", "the list finds the parts by their names"
    write_frames(
        sources, source, FramesOptions(out=tmp_path / "f", workers=0), OpenOptions(), Notices()
    )
    assert (tmp_path / "f" / "list.txt").read_text() == 'x_000000_000001 25 0\n"x_t=1,1.2" 5 0\n'
