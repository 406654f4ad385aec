"""Files that are videos by their content, whatever their names."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from make_video import truncate_video, write_audio, write_video
from PIL import Image

from videoswin_cli.data.video_files import VIDEO_SUFFIXES, find_videos


def found(folder: Path, *, all_files: bool = False) -> set[str]:
    return {path.as_posix() for path in find_videos(folder, all_files=all_files).files}


def pictures(count: int) -> Iterator[Image.Image]:
    return (Image.new("RGB", (16, 16), (40 * n, 9, 200 - 40 * n)) for n in range(count))


def write_pictures(path: Path, count: int, **options: object) -> bytes:
    first, *others = pictures(count)
    if others:
        options |= {"save_all": True, "append_images": others}
    first.save(path, **options)  # type: ignore[arg-type]
    return path.read_bytes()


def ogg(*starts: bytes) -> bytes:
    """First pages of streams, and the beginning of one that goes on."""
    pages = [b"OggS\0\x02" + bytes(20) + bytes([1, len(s)]) + s for s in starts]
    return b"".join(pages) + b"OggS\0\0" + bytes(20) + bytes([1, 4]) + b"more"


def packets_of_ts(count: int) -> bytes:
    return (b"G\x1f\xff\x10" + b"\xff" * 184) * count


def test_what_people_call_videos() -> None:
    assert {
        *(".mp4", ".m4v", ".mov", ".qt", ".f4v", ".3gp", ".3g2", ".insv"),
        *(".mkv", ".mk3d", ".webm", ".avi", ".divx", ".xvid", ".amv", ".flv", ".rm", ".rmvb"),
        *(".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".mpv", ".vob", ".mod", ".tod"),
        *(".ts", ".mts", ".m2ts", ".m2t", ".asf", ".wmv", ".wtv", ".dvr-ms"),
        *(".ogg", ".ogv", ".ogm", ".mxf", ".dv", ".nut", ".ivf", ".y4m", ".mjpeg", ".mjpg"),
        *(".h264", ".264", ".hevc", ".h265", ".gif", ".apng", ".webp", ".bik", ".roq"),
    } <= VIDEO_SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in VIDEO_SUFFIXES)
    others = {".txt", ".jpg", ".png", ".json", ".npy", ".srt", ".mp3", ".wav", ".m4a", ".part"}
    assert not VIDEO_SUFFIXES & others


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("code.ts", b"import { x } from './y'\n\nexport const z = 1\n"),
        ("code.MTS", "// caf\u00e9\n".encode()),
        ("qt.ts", b'<?xml version="1.0"?>\n<TS/>'),
        ("wide.ts", "export {}".encode("utf-16")),
        ("go.mod", b"module example.org/x\n\ngo 1.22\n"),
        ("song.mod", bytes(1080) + b"M.K." + bytes(100)),
        ("01.asf", b"# AST/ASF file\n:version 1.10\n"),
        ("script.nut", b"function f() {}\r\n"),
        ("sound.ogg", ogg(b"\x01vorbis...")),
        ("sound.ogx", ogg(b"fishead\0", b"OpusHead...")),
    ],
)
def test_names_that_other_kinds_have_too(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert found(tmp_path) == set()
    assert find_videos(tmp_path, all_files=False).left_out.files == {Path(name.lower()).suffix: 1}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("clip.ts", packets_of_ts(3)),
        ("noise.ts", bytes(range(256)) * 4),
        ("empty.ts", b""),
        ("tape.mod", b"\0\0\1\xba" + bytes(2000)),
        ("film.nut", b"nut/multimedia container\0" + bytes(10)),
        ("film.ogg", ogg(b"\x80theora...", b"\x01vorbis...")),
        ("film2.ogg", ogg(b"\x01vorbis...", b"\x80theora...")),
        ("film3.ogx", ogg(b"fishead\0", b"OVP80...")),
        ("unknown.ogg", ogg(b"something")),
        ("broken.ogg", b"no Ogg"),
        ("broken.gif", b"GIF89a"),
        ("text.gif", b"no GIF at all, but it says so"),
        ("broken.webp", b"RIFF"),
        ("text.mp4", b"no video, only its name"),
    ],
)
def test_what_claims_to_be_a_video_is_taken(name: str, content: bytes, tmp_path: Path) -> None:
    """It may be broken: then it is reported, which is not for the search to do."""
    (tmp_path / name).write_bytes(content)
    assert found(tmp_path) == {name}
    assert found(tmp_path, all_files=True) == {name}


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_pictures_are_videos_where_they_move(suffix: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / f"still{suffix}", 1)
    moving = write_pictures(tmp_path / f"moving{suffix}", 3)
    (tmp_path / f"cut{suffix}").write_bytes(moving[: len(moving) // 2])
    assert found(tmp_path) == {f"moving{suffix}", f"cut{suffix}"}


def test_a_gif_of_one_picture_with_extensions_is_still(tmp_path: Path) -> None:
    write_pictures(tmp_path / "still.gif", 1, comment=b"hello" * 100, transparency=0)
    still = (tmp_path / "still.gif").read_bytes()
    (tmp_path / "cut.gif").write_bytes(still[:-1])  # what would follow is not known
    assert found(tmp_path) == {"cut.gif"}


def test_every_file_is_looked_into_where_that_is_wanted(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.mp4", frames=8)
    names = ("0123abcd", "clip.dat", "clip.jpg", "clip.mp4.part")
    for name in names:
        (tmp_path / name).write_bytes((tmp_path / "whole.mp4").read_bytes())
    truncate_video(tmp_path / "whole.mp4", tmp_path / "cut", share=0.5)
    write_pictures(tmp_path / "moving", 3, format="GIF")
    write_pictures(tmp_path / "moving2", 3, format="WEBP")
    write_pictures(tmp_path / "moving.png", 3, format="PNG")
    (tmp_path / "stream").write_bytes(packets_of_ts(2))  # begins so, and has no stream
    videos = {"whole.mp4", *names, "cut", "moving", "moving2", "moving.png", "stream"}
    for kind in ("GIF", "WEBP", "PNG", "JPEG", "BMP", "TIFF"):
        write_pictures(tmp_path / f"still-{kind}", 1, format=kind)
        write_pictures(tmp_path / f"still.{kind.lower()}", 1, format=kind)
    (tmp_path / "photo").write_bytes(b"\0\0\0\x18ftypheic" + bytes(400))
    write_audio(tmp_path / "sound.mp4")
    (tmp_path / "sound.mp4").rename(tmp_path / "sound")
    for name in ("notes.txt", "notes", "data.bin", "data.json", "data.ans", "data.nfo"):
        (tmp_path / name).write_bytes(b'{"a": "text, and nothing else"}\n' * 50)
    for name in ("noise.bin", "noise", "noise.npy", "noise.raw", "noise.yuv"):
        (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(20_000))
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / ".hidden").write_bytes((tmp_path / "whole.mp4").read_bytes())
    assert found(tmp_path, all_files=True) == videos
    assert found(tmp_path) == {"whole.mp4"}


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.ts")
    assert found(tmp_path) == {"a.ts"}
