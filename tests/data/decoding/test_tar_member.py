"""Videos in tar files are those of files, and nothing outside an archive is ever read by it."""

import errno
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from make_video import damage_video, write_video
from tars import make_link, write_tar

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.failures import name_reason
from videoswin_cli.errors import MachineError, VideoError
from videoswin_cli.io.tar_files import has_member, index_tar, open_member, split_member
from videoswin_cli.options.run import DecoderChoice


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    write_video(path, frames=12)
    return path


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary copies."""
    folder = tmp_path / "copies"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def refused(ref: object) -> str:
    with pytest.raises(VideoError) as caught, open_video(str(ref)):
        pass
    return caught.value.message


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_a_member_has_the_frames_of_its_file(
    decoder: DecoderChoice, video: Path, tmp_path: Path, copies: Path
) -> None:
    tar = write_tar(tmp_path / "0.tar", [("a.cls", b"1"), ("sub/a.mp4", video.read_bytes())])
    ref = f"{tar}/sub/a.mp4"
    with open_video(ref, decoder=decoder) as one, open_video(video, decoder=decoder) as other:
        assert one.info.path == ref
        assert one.timestamps() == other.timestamps()
        assert np.array_equal(one.read_frames(range(12)), other.read_frames(range(12)))
        assert len(list(copies.iterdir())) == 1
    assert list(copies.iterdir()) == []


def test_errors_name_the_member_and_leave_no_copy(
    video: Path, tmp_path: Path, copies: Path
) -> None:
    tar = write_tar(tmp_path / "0.tar", [("text.mp4", b"no video"), ("a.mp4", video.read_bytes())])
    assert refused(f"{tar}/text.mp4").startswith(f"{tar}/text.mp4: not a readable video file")
    with open_video(f"{tar}/a.mp4") as opened, pytest.raises(VideoError, match=r"a.mp4: no frame"):
        opened.read_frames([99])
    assert list(copies.iterdir()) == []


def test_an_error_of_a_reader_names_the_member(video: Path, tmp_path: Path, copies: Path) -> None:
    damaged = damage_video(video, tmp_path / "d.mp4", start=0.3, stop=0.9)
    tar = write_tar(tmp_path / "0.tar", [("d.mp4", damaged.read_bytes())])
    with pytest.raises(VideoError) as caught, open_video(f"{tar}/d.mp4") as opened:
        opened.read_frames(range(opened.info.frames))
    assert str(copies) not in caught.value.message
    assert caught.value.message.startswith(f"{tar}/d.mp4: ")


def test_a_full_disk_is_the_machines_fault(
    video: Path, tmp_path: Path, copies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    tar = write_tar(tmp_path / "0.tar", [("a.mp4", video.read_bytes())])
    monkeypatch.setattr(shutil, "copyfileobj", fill)
    with pytest.raises(VideoError, match="cannot be copied") as caught, open_video(f"{tar}/a.mp4"):
        pass
    with pytest.raises(MachineError) as blamed:
        name_reason(caught.value, f"{tar}/a.mp4")
    assert "TMPDIR" in blamed.value.hint
    assert list(copies.iterdir()) == []


def test_an_archive_is_indexed_once_until_it_changes(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = video.read_bytes()
    tar = write_tar(tmp_path / "0.tar", [("a.mp4", content), ("b.mp4", content)])
    opened = []
    real = tarfile.open
    monkeypatch.setattr(
        tarfile, "open", lambda *args, **named: opened.append(1) or real(*args, **named)
    )
    for name in ("a.mp4", "b.mp4", "a.mp4"):
        with open_video(f"{tar}/{name}"):
            pass
    assert len(opened) == 1
    write_tar(tar, [("c.mp4", content)])
    assert list(index_tar(str(tar)).members) == ["c.mp4"]
    assert "no such file in" in refused(f"{tar}/a.mp4")


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_names_of_all_forms_are_found(format: int, tmp_path: Path) -> None:
    deep = "/".join(["folder" * 5] * 5) + "/a.mp4"  # too long for a plain header of old
    names = ["./a.mp4", "/abs/b.mp4", "x//./c.mp4", "größe 走る.mp4", deep]
    tar = write_tar(tmp_path / "0.tar", [(name, name.encode()) for name in names], format=format)
    plain = ["a.mp4", "abs/b.mp4", "x/c.mp4", "größe 走る.mp4", deep]
    assert list(index_tar(str(tar)).members) == plain
    for name, written in zip(plain, names, strict=True):
        with open_member(str(Path(tar, name))) as file:
            assert file.read() == written.encode()


def test_names_longer_than_any_header_are_found(tmp_path: Path) -> None:
    name = "d" * 200 + "/" + "n" * 200 + ".mp4"
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        tar = write_tar(tmp_path / f"{format}.tar", [(name, b"x")], format=format)
        assert has_member(f"{tar}/{name}")


def test_nothing_outside_is_read_by_an_archive(video: Path, tmp_path: Path) -> None:
    secret = shutil.copy(video, tmp_path / "secret.mp4")
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
    tar = write_tar(
        tmp_path / "in" / "0.tar",
        [("../secret.mp4", b"x"), ("a/../../secret.mp4", b"x"), ("good.mp4", b"x")],
        links=[make_link(f"{n}.mp4", str(secret), kind) for n, kind in enumerate(kinds)],
    )
    index = index_tar(str(tar))
    assert list(index.members) == ["good.mp4"]
    assert {reason: len(names) for reason, names in index.left_out.items()} == {
        "names that lead out of the archive": 2,
        "links, which are not followed": 2,
        "devices and pipes": 2,
    }
    for name in ("../secret.mp4", "0.mp4", "../../secret.mp4", "2.mp4"):
        assert "no such file in" in refused(f"{tar}/{name}")


def test_of_members_of_one_name_the_last_counts(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "0.tar", [("a.mp4", b"old"), ("b.mp4", b"b"), ("./a.mp4", b"new")])
    index = index_tar(str(tar))
    assert list(index.members) == ["b.mp4", "a.mp4"]
    assert list(index.left_out.values()) == [["a.mp4"]]
    with open_member(f"{tar}/a.mp4") as file:
        assert file.read() == b"new"


def test_a_folder_may_be_called_like_an_archive(video: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar").mkdir()
    shutil.copy(video, tmp_path / "a.tar" / "v.mp4")
    assert split_member(f"{tmp_path}/a.tar/v.mp4") is None
    with open_video(tmp_path / "a.tar" / "v.mp4") as opened:
        assert opened.info.frames == 12


def test_an_archive_is_no_video(video: Path, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "0.tar", [("a.mp4", video.read_bytes())])
    assert refused(tar) == f"{tar}: a tar file, not a video"
