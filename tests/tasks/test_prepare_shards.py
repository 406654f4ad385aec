"""`prepare shards`: files of videos and their classes in tar shards."""

from pathlib import Path

import pytest
from make_video import write_video
from notices import Notices

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.shards import read_shard
from videoswin_cli.errors import DatasetError, OutputExistsError, UsageError
from videoswin_cli.io.tar_files import open_member
from videoswin_cli.options.prepare import ShardsOptions
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.tasks.prepare.shards import pack_shards
from videoswin_cli.tasks.prepare.sources import find_sources


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for seed, name in enumerate(("run/a.b", "run/c", "sit/d e")):
        path = tmp_path / "data" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames=3, seed=seed)
    return tmp_path / "data"


def pack(
    inputs: list[str], out: Path, source: SourceOptions | None = None, **options: object
) -> tuple[list[Path], list[str], Notices]:
    source, notices = source or SourceOptions(), Notices()
    chosen = ShardsOptions(out=out, workers=0, **options)  # type: ignore[arg-type]
    found = find_sources(inputs, source)
    written, broken = pack_shards(found, source, chosen, OpenOptions(), notices)
    return written, [video.path for video in broken], notices


def test_files_are_the_very_bytes_and_classes_stand_beside_them(tree: Path, tmp_path: Path) -> None:
    written, broken, _ = pack([str(tree)], tmp_path / "s" / "{00}.tar", samples=2)
    assert ([path.name for path in written], broken) == (["00.tar", "01.tar"], [])
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["00.tar", "01.tar"]
    first, second = (read_shard(str(path)) for path in written)
    assert [Path(path).name for path in first.paths] == ["a%2Eb.mp4", "c.mp4"]
    with open_member(first.paths[0]) as member:
        assert member.read() == (tree / "run" / "a.b.mp4").read_bytes()
    with open_video(second.paths[0]) as video:
        assert video.info.frames == 3
    stem = second.paths[0].removesuffix("mp4")
    for suffix, content in (("cls", b"1"), ("txt", b"sit")):
        with open_member(stem + suffix) as member:
            assert member.read() == content


def test_files_that_differ_in_their_suffix_are_two_samples(tmp_path: Path) -> None:
    for name in ("x.mp4", "x.avi"):
        (tmp_path / "v").mkdir(exist_ok=True)
        write_video(tmp_path / "v" / name, frames=3)
    (tar,), _, _ = pack([str(tmp_path / "v")], tmp_path / "{0}.tar")
    assert [Path(path).name for path in read_shard(str(tar)).paths] == [
        "x%2Eavi.avi",
        "x%2Emp4.mp4",
    ]


def test_shards_can_be_packed_again(tree: Path, tmp_path: Path) -> None:
    (one, two), _, _ = pack([str(tree)], tmp_path / "{0}.tar", samples=2)
    again, _, _ = pack([str(one), str(two)], tmp_path / "all-{0}.tar")
    assert len(read_shard(str(again[0])).paths) == 3


def test_videos_that_cannot_be_read_are_left_out_and_named(tree: Path, tmp_path: Path) -> None:
    (tree / "sit" / "bad.mp4").write_text("no video")
    written, broken, notices = pack([str(tree)], tmp_path / "{0}.tar")
    assert broken == ["sit/bad.mp4"]
    assert any("sit/bad.mp4" in text for text in notices.texts)
    assert len(read_shard(str(written[0])).paths) == 3
    for path in tree.rglob("*.mp4"):
        path.write_text("no video")
    with pytest.raises(DatasetError, match="none of 4 videos can be read"):
        pack([str(tree)], tmp_path / "new-{0}.tar")
    assert not list(tmp_path.glob("new-*"))


def test_shards_that_are_there_are_replaced_on_request_alone(tree: Path, tmp_path: Path) -> None:
    old = pack([str(tree)], tmp_path / "{0}.tar", samples=1)[0]
    assert len(old) == 3
    with pytest.raises(OutputExistsError, match=r"0\.tar exists"):
        pack([str(tree)], tmp_path / "{0}.tar")
    with pytest.raises(UsageError, match="is an input"):
        pack([str(old[0])], tmp_path / "{0}.tar", overwrite=True)
    new = pack([str(tree)], tmp_path / "{0}.tar", overwrite=True)[0]
    assert sorted(tmp_path.glob("*.tar")) == new == [tmp_path / "0.tar"]


def test_an_interruption_leaves_what_was_there(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = pack([str(tree)], tmp_path / "{0}.tar")[0]
    before = old.read_bytes()

    def interrupt(self: Notices, *, failed: bool = False) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Notices, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pack([str(tree)], tmp_path / "{0}.tar", overwrite=True)
    assert old.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.tar", "data"]


def test_parts_of_videos_and_frame_folders_are_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="part of a video"):
        pack([str(tree)], tmp_path / "{0}.tar", SourceOptions(start=0.1))
    with pytest.raises(UsageError, match=r"expected a place for the number|names no shards"):
        pack([str(tree)], tmp_path / "a.tar")
