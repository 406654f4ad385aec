"""The bounded cache of videos behind addresses."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from videoswin_cli.cli.app import app
from videoswin_cli.errors import FetchError, UsageError
from videoswin_cli.io import remote, storage, video_cache
from videoswin_cli.io.cache import list_cache
from videoswin_cli.io.remote import local_copy
from videoswin_cli.io.video_cache import default_cache_size, held, make_room
from videoswin_cli.ranges import parse_bytes


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The storage service of fsspec that lies in memory, empty."""
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path))
    monkeypatch.delenv("VIDEOSWIN_CACHE_SIZE", raising=False)
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    monkeypatch.setattr(remote, "_seen", {})
    return MemoryFileSystem()


def put(store: Any, name: str, size: int = 1000) -> str:
    store.pipe_file(f"/v/{name}", bytes(size))
    return f"memory://v/{name}"


def fetch(address: str, cache_size: int = 10_000) -> Path:
    with local_copy(address, cache_size=cache_size) as path:
        return path


def make_old(path: Path, seconds: int) -> None:
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))


@pytest.mark.parametrize(
    ("text", "size"),
    [("500", 500), ("500B", 500), ("2KB", 2000), ("1.5 M", 1_500_000), ("20gb", 20 * 10**9)],
)
def test_a_size_is_a_number_with_a_unit(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e3", "20 bananas", "1.2.3K"])
def test_another_text_is_no_size(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_bytes(text)
    monkeypatch.setenv("VIDEOSWIN_CACHE_SIZE", text or "?")
    with pytest.raises(UsageError, match=r"VIDEOSWIN_CACHE_SIZE is .*expected a size"):
        default_cache_size()


def test_twenty_gigabytes_are_kept_where_nobody_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert default_cache_size() == 20 * 10**9
    monkeypatch.setenv("VIDEOSWIN_CACHE_SIZE", "3MB")
    assert default_cache_size() == 3_000_000


def test_the_video_that_was_not_used_for_the_longest_time_goes_first(store: Any) -> None:
    paths = [fetch(put(store, f"{name}.mp4")) for name in "abc"]
    for path, age in zip(paths, (300, 200, 100), strict=True):
        make_old(path, age)
    assert fetch("memory://v/a.mp4") == paths[0], "and is used again"
    last = fetch(put(store, "d.mp4"), cache_size=3000)
    assert [path.exists() for path in (*paths, last)] == [True, False, True, True]
    videos = next(part for part in list_cache() if part.kind == "videos")
    assert (videos.files, videos.bytes) == (3, 3000)


def test_a_video_that_is_read_stays_however_full_the_cache_is(store: Any) -> None:
    with local_copy(put(store, "a.mp4"), cache_size=1000) as used:
        make_old(used, 1000)
        other = fetch(put(store, "b.mp4"), cache_size=1000)
        assert used.exists()
        assert other.exists()
        make_room(0)
        assert used.exists()
        assert not other.exists()
    make_room(0)
    assert not used.exists()


def test_a_video_that_another_process_reads_stays(store: Any) -> None:
    path = fetch(put(store, "a.mp4"))
    code = (
        "import sys\nfrom pathlib import Path\nfrom videoswin_cli.io.video_cache import held\n"
        "with held(Path(sys.argv[1])) as here:\n    print(here, flush=True)\n    input()"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:
        assert reader.stdout is not None
        assert reader.stdin is not None
        assert reader.stdout.readline() == "True\n"
        make_room(0)
        assert path.exists()
        reader.stdin.write("\n")
    make_room(0)
    assert not path.exists()


def test_a_video_that_was_removed_before_it_could_be_held_is_fetched_again(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = put(store, "a.mp4")
    removed: list[Path] = []

    def hold(path: Path) -> Any:
        if not removed:
            removed.append(path)
            path.unlink()
        return held(path)

    monkeypatch.setattr(remote, "held", hold)
    with local_copy(address) as path:
        assert path.read_bytes() == bytes(1000)
    assert removed == [path]


def test_several_readers_fetch_once(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    address = put(store, "a.mp4")
    fetched: list[str] = []
    real = storage.download
    meet = threading.Barrier(3)

    def look_up(wanted: str) -> Any:
        found = storage.look_up(wanted)
        meet.wait(10)
        return found

    def download(wanted: str, *args: Any, **options: Any) -> None:
        fetched.append(wanted)
        real(wanted, *args, **options)

    monkeypatch.setattr(remote, "look_up", look_up)
    monkeypatch.setattr(remote, "download", download)
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(fetch(address))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(paths)) == 1
    assert fetched == [address]


def test_a_download_that_fails_leaves_nothing(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    address = put(store, "a.mp4")
    monkeypatch.setattr(storage, "_PIECE", 400)
    real = storage.read_range

    def change(wanted: str, start: int, end: int) -> bytes:
        data = real(wanted, start, end)
        if start == 400:
            put(store, "a.mp4")
        return data

    monkeypatch.setattr(storage, "read_range", change)
    with pytest.raises(FetchError, match="it was changed meanwhile"):
        fetch(address)
    assert list(video_cache.videos_folder().iterdir()) == []
    with pytest.raises(FetchError, match="1001 bytes; the cache takes 1000") as caught:
        fetch(put(store, "large.mp4", 1001), cache_size=1000)
    assert "--cache-size" in caught.value.hint


def test_the_cache_can_be_trimmed_without_a_run(store: Any) -> None:
    paths = [fetch(put(store, f"{n}.mp4")) for n in range(3)]
    for age, path in enumerate(reversed(paths)):
        make_old(path, 100 * age)
    with held(paths[0]):
        done = CliRunner().invoke(app, ["cache", "--trim", "1KB"])
    assert (done.exit_code, done.stderr) == (0, "2 videos removed, 0.0 MiB\n")
    assert [path.exists() for path in paths] == [True, False, False]
    assert CliRunner().invoke(app, ["cache", "--trim", "much"]).exit_code == 2
