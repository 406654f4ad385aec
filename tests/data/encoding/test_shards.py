"""Written shards: read back by WebDataset and by us, whole, repeatable, a key for each video."""

import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest
import webdataset
from webdataset import tariterators

from videoswin_cli.data.encoding.shards import Sample, make_key, parse_names, write_shards
from videoswin_cli.data.lists import read_list
from videoswin_cli.errors import DatasetError, OutputExistsError, UsageError, VideoSwinError
from videoswin_cli.io.tar_files import index_tar


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: names are given relative to it, as people do."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(shards: str) -> list[tuple[str, int | str | None]]:
    """Videos and labels, as we read them."""
    return [(row.name, row.label) for row in read_list(shards).rows]


def numbered(count: int, size: int = 10) -> list[Sample]:
    return [
        Sample(key=f"k/{n}", source=f"{n}.mp4", files={"mp4": bytes([n]) * size, "cls": b"1"})
        for n in range(count)
    ]


def test_written_shards_are_read_by_webdataset_and_by_us() -> None:
    Path("v.mp4").write_bytes(b"from a file")
    samples = numbered(3)
    samples += [Sample(key=make_key("a.b/v.1.mp4"), source="v", files={"mp4": Path("v.mp4")})]
    written = write_shards(samples, parse_names("out-{0000}.tar"), most_samples=3)
    assert list(map(str, written)) == ["out-0000.tar", "out-0001.tar"]
    seen = []
    for file in written:
        with file.open("rb") as stream:  # `WebDataset` itself leaves files open
            source = {"url": str(file), "stream": stream}
            found = tariterators.group_by_keys(tariterators.tar_file_expander([source]))
            seen += [(item["__key__"], item["mp4"], item.get("cls")) for item in found]
    assert seen == [
        *((f"k/{n}", bytes([n]) * 10, b"1") for n in range(3)),
        ("a.b/v%2E1", b"from a file", None),
    ]
    assert find("out-{0000..0001}.tar") == [
        *((f"out-0000.tar/k/{n}.mp4", 1) for n in range(3)),
        ("out-0001.tar/a.b/v%2E1.mp4", None),
    ]


def test_shards_of_webdatasets_writer_are_read() -> None:
    with webdataset.ShardWriter("w-%06d.tar", maxcount=2, verbose=0) as writer:
        for n in range(3):
            extra = {"txt": "run"} if n else {"json": {"label": "jump"}}
            writer.write({"__key__": f"sub/v{n}", "mp4": b"video", "cls": n, **extra})
    assert find("w-{000000..000001}.tar") == [
        (f"w-00000{n // 2}.tar/sub/v{n}.mp4", n) for n in range(3)
    ]
    assert all(index_tar(f"w-00000{n}.tar").damage is None for n in range(2))


def test_equal_samples_make_equal_bytes() -> None:
    for name in ("a", "b"):
        write_shards(numbered(4), parse_names(f"{name}-{{0}}.tar"), most_samples=2)
    assert Path("a-0.tar").read_bytes() == Path("b-0.tar").read_bytes()
    assert Path("a-1.tar").read_bytes() == Path("b-1.tar").read_bytes()
    with tarfile.open("a-0.tar") as tar:
        assert {(m.mtime, m.uid, m.uname, m.mode) for m in tar} == {(0, 0, "", 0o644)}


def test_shards_end_where_they_would_be_too_large() -> None:
    names = parse_names("s-{00}.tar")
    written = write_shards(numbered(5, size=5000), names, most_bytes=16_000)
    assert [len(index_tar(str(file)).members) for file in written] == [4, 4, 2]
    assert all(file.stat().st_size <= 20_480 for file in written)  # tar pads to 10 KiB
    larger = write_shards(numbered(2, size=5000), parse_names("l-{00}.tar"), most_bytes=100)
    assert len(larger) == 2


def test_keys_of_different_paths_differ() -> None:
    paths = [
        *("a.mp4", "a.b.mp4", "a%2Eb.mp4", "a/b.mp4", "a_b.mp4", "A.mp4", ".a.mp4", "../a.mp4"),
        *("a.mp4#t=0,1.5", "a.mp4.npy", "x.y/a.mp4", "x%2Ey/a.mp4", "größe/走る.mp4", "..mp4"),
    ]
    keys = list(map(make_key, paths))
    assert len(set(keys)) == len(paths)
    assert keys[:3] == ["a", "a%2Eb", "a%252Eb"]
    for key in keys:
        name = tariterators.base_plus_ext(f"{key}.mp4")
        assert name == (key, "mp4")


def test_two_videos_of_one_key_are_refused() -> None:
    samples = [
        Sample(key=make_key(name), source=name, files={"mp4": b"video"})
        for name in ("v/a.mp4", "b.mp4", "v/a.webm")
    ]
    with pytest.raises(DatasetError, match=r"v/a.mp4 and v/a.webm would both be the sample v/a"):
        write_shards(samples, parse_names("s-{0}.tar"), most_samples=2)
    assert list(Path().iterdir()) == []


def test_a_shard_is_whole_or_not_there() -> None:
    def fail() -> Iterable[Sample]:
        yield from numbered(3)
        raise VideoSwinError("killed")

    with pytest.raises(VideoSwinError):
        write_shards(fail(), parse_names("s-{0}.tar"), most_samples=2)
    assert [path.name for path in Path().iterdir()] == ["s-0.tar"]
    with pytest.raises(OutputExistsError, match=r"s-0.tar exists"):
        write_shards(numbered(1), parse_names("s-{0}.tar"))
    gone = Sample(key="a", source="a", files={"mp4": Path("gone.mp4")})
    with pytest.raises(UsageError, match=r"cannot read gone.mp4"):
        write_shards([gone], parse_names("t-{0}.tar"))


@pytest.mark.parametrize("name", ["shards.tar", "s-{000000}", "{0}-{0}.tar", "s-{1}.tar"])
def test_a_pattern_has_one_place_for_the_number(name: str) -> None:
    with pytest.raises(UsageError, match="names no shards"):
        parse_names(name)
