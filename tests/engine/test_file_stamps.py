"""Stamps of files: one that was replaced has another."""

import os
import threading
import time
from pathlib import Path

import fsspec
import pytest

from videoswin_cli.engine import file_stamps
from videoswin_cli.engine.file_stamps import FileStamps, read_stamp
from videoswin_cli.engine.journal import Journal, read_journals
from videoswin_cli.io import remote
from videoswin_cli.io.storage import _describe, list_folder, look_up
from videoswin_cli.records import ListedVideo


def listed(*files: Path) -> list[ListedVideo]:
    return [ListedVideo(path=file.name, file=str(file), label=0, line=1) for file in files]


def test_size_and_time_tell_a_replaced_file(tmp_path: Path) -> None:
    same, longer, later = files = [tmp_path / name for name in ("same", "longer", "later")]
    for file in files:
        file.write_bytes(b"12")
        os.utime(file, ns=(5, 5))
    before = {file.name: read_stamp(str(file)) for file in files}
    assert before["same"] == "2-5"
    longer.write_bytes(b"123")
    os.utime(longer, ns=(5, 5))
    os.utime(later, ns=(5, 6))
    stamps = FileStamps(listed(*files))
    current = [name for name, stamp in before.items() if stamps.is_current(name, stamp)]
    assert current == ["same"]
    assert stamps.describe(before) == ["2 files changed since: computed again"]
    assert same.exists()


def test_pictures_that_are_written_anew_change_the_stamp_of_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    for name in ("1.png", "2.png", "notes.txt"):
        (folder / name).write_bytes(b"12")
        os.utime(folder / name, ns=(5, 5))
    first = read_stamp(str(folder))
    (folder / "notes.txt").write_bytes(b"123")
    assert read_stamp(str(folder)) == first
    (folder / "1.png").write_bytes(b"34")  # the time of the folder stays
    changed = read_stamp(str(folder))
    os.utime(folder / "1.png", ns=(5, 5))
    assert changed != first == read_stamp(str(folder))
    (folder / "1.png").rename(folder / "3.png")
    assert read_stamp(str(folder)) != first


def test_what_has_no_stamp_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.touch()
    stamps = FileStamps(listed(file))
    assert stamps.is_current("a", "")
    (text,) = stamps.describe({"a": "", "b": "1-2"})
    assert text.startswith("1 results have no size and time")
    assert read_stamp("https://example.org/a.mp4") == read_stamp(None) == ""


def test_a_replaced_file_that_cannot_be_read_has_no_old_result(tmp_path: Path) -> None:
    with Journal(tmp_path / "run", {}, part="1-of-1") as journal:
        journal.append({"path": "a", "error": None, "file_stamp": "1-1"})
        journal.append({"path": "a", "error": "damaged", "file_stamp": "1-2"})
        journal.append({"path": "b", "error": None, "file_stamp": "1-1"})
        journal.append({"path": "b", "error": "damaged", "file_stamp": "1-1"})
    found = read_journals(tmp_path / "run", lambda part, entry: entry["error"])
    assert [found[path] for path in "ab"] == ["damaged", None]


def test_an_object_that_was_replaced_has_another_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    store = fsspec.filesystem("memory")
    address = "memory://stamps/a.mp4"
    store.pipe("/stamps/a.mp4", b"12")
    before = read_stamp(address)
    assert before.startswith("2-")
    assert read_stamp(address) == before
    store.pipe("/stamps/a.mp4", b"34")
    monkeypatch.setattr(remote, "_seen", {})  # another run
    assert before != read_stamp(address) != ""
    store.rm("/stamps", recursive=True)
    monkeypatch.setattr(remote, "_seen", {})
    assert read_stamp(address) == ""


def test_a_listing_that_does_not_identify_contents_gives_no_stamps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may write the time of an object otherwise than the object does."""
    store = fsspec.filesystem("memory")
    files = [f"memory://stamps/full/{number}.mp4" for number in range(100)]
    files += [f"memory://stamps/few/{number}.mp4" for number in range(3)]
    for file in files:
        store.pipe(file.removeprefix("memory:/"), file.encode())
    alone = {file: read_stamp(file) for file in files}
    monkeypatch.setattr(remote, "_seen", {})  # another run
    asked: list[str] = []
    monkeypatch.setattr(remote, "look_up", lambda a: asked.append(a) or look_up(a))
    monkeypatch.setattr(remote, "list_folder", lambda a: asked.append(a) or list_folder(a))
    videos = [ListedVideo(path=file, file=file, label=None, line=1) for file in files]
    stamps = FileStamps(videos)
    stamps.read(files)
    assert {file: stamps[file] for file in files} == alone
    assert sorted(asked) == sorted([*files, "memory://stamps/full"])
    store.rm("/stamps", recursive=True)


def test_what_identifies_the_content_alone_makes_a_version() -> None:
    """A listing has no version id, and other digits of the time."""
    asked = {"ETag": '"1"', "VersionId": "7", "LastModified": "2026-11-27 10:00:00", "size": 2}
    listed = {"ETag": '"1"', "LastModified": "2026-11-27 10:00:00.123", "size": 2}
    assert _describe(asked) == _describe(listed)
    assert _describe(asked) != _describe(asked | {"ETag": '"2"'})
    assert _describe({"LastModified": "1", "size": 2}) != _describe(
        {"LastModified": "2", "size": 2}
    )


@pytest.mark.parametrize(("seconds", "threads"), [(0.0, 1), (0.002, 2)])
def test_files_that_take_their_time_are_asked_for_by_several_threads(
    seconds: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[int] = set()

    def answer(file: str | None) -> str:
        asked.add(threading.get_ident())
        time.sleep(seconds)
        return str(file)

    monkeypatch.setattr(file_stamps, "read_stamp", answer)
    monkeypatch.setattr(file_stamps, "_AT_ONCE", 4)
    if not seconds:
        monkeypatch.setattr(file_stamps, "_QUICK_SECONDS", 60.0)
    videos = [ListedVideo(path=f"{n}", file=f"/{n}", label=None, line=n) for n in range(64)]
    stamps = FileStamps(videos)
    stamps.read(video.path for video in videos)
    assert len(asked) >= threads
    assert (len(asked) == 1) == (threads == 1)
    assert all(stamps[video.path] == video.file for video in videos)
