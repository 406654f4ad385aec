"""Which file a row of a list means."""

import os
from pathlib import Path

import pytest

from videoswin_cli.data.class_folders import read_class_folder
from videoswin_cli.data.lists import number_labels, read_list
from videoswin_cli.data.locating import locate
from videoswin_cli.errors import UsageError

CLASSES = ("abseiling", "air drumming", "archery")
FILES = (
    "flat.mp4",
    "other.webm",
    "archery/in_class.mkv",
    "air_drumming/twice.mp4",
    "archery/twice.mp4",
    "archery/abc_000007_000017.mp4",
    "deep/er/deepest.avi",
    "deep/er/notes.txt",
    "dotted.name.mp4",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "videos"


def find(root: Path, text: str, *, given: bool = True) -> list[tuple[str, bool, int | None]]:
    path = (root.parent if given else root) / "list.txt"
    path.write_text(text)
    videos = read_list(path)
    listed, _ = locate(videos, number_labels(videos, CLASSES), root=root if given else None)
    for video in listed:
        assert video.file is None or Path(video.file) == root / video.path.partition("#")[0]
        assert video.file is None or Path(video.file).is_file()
    return [(video.path, video.file is not None, video.label) for video in listed]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("flat.mp4 0", "flat.mp4"),
        ("flat 0", "flat.mp4"),
        ("flat 300 0", "flat.mp4"),
        ("other.mp4 0", "other.webm"),  # fetched in another container
        ("dotted.name 0", "dotted.name.mp4"),
        ("in_class 300 2", "archery/in_class.mkv"),
        ("archery/in_class 300 2", "archery/in_class.mkv"),
        ("deepest 0", "deep/er/deepest.avi"),
        ("twice archery", "archery/twice.mp4"),
        ("twice air_drumming", "air_drumming/twice.mp4"),
        ("label,youtube_id,time_start,time_end\narchery,abc,7,17", "archery/abc_000007_000017.mp4"),
        ("label,youtube_id,time_start,time_end\nabseiling,flat,7,17", "flat.mp4#t=7,17"),
    ],
)
def test_rows_find_their_files(text: str, path: str, root: Path) -> None:
    ((found, exists, _),) = find(root, text + "\n")
    assert exists
    assert found == path


@pytest.mark.parametrize(
    "text",
    ["gone.mp4 0", "gone 300 0", "abseiling/in_class.mkv 0", "twice 300 0", "notes 0", "archery 0"],
)
def test_other_rows_are_missing_under_their_own_name(text: str, root: Path) -> None:
    assert find(root, text + "\n") == [(text.split()[0], False, 0)]


def test_the_folder_of_the_list_is_the_default_root(root: Path) -> None:
    assert find(root, "flat.mp4 1\n", given=False) == [("flat.mp4", True, 1)]
    videos = read_class_folder(root.parent)
    listed, _ = locate(videos, [None] * len(videos.rows), root=None)
    assert all(video.file for video in listed)


def test_each_video_is_scored_once(root: Path) -> None:
    path = root / "list.txt"
    path.write_text("flat.mp4 0\nother.webm 1\nflat 0\nother.mp4 1\ngone 2\ngone 2\n")
    videos = read_list(path)
    listed, notices = locate(videos, number_labels(videos, CLASSES), root=None)
    assert [(video.path, video.line) for video in listed] == [
        ("flat.mp4", 1),
        ("other.webm", 2),
        ("gone", 5),
    ]
    assert notices == ["3 rows name a video again; each is scored once"]


def test_one_video_with_two_labels_is_an_error(root: Path) -> None:
    with pytest.raises(UsageError, match=r"list.txt:3: flat.mp4 has label 2 here and 0 in line 1"):
        find(root, "flat.mp4 0\nother 1\nflat 2\n")


def test_the_root_must_be_a_folder(root: Path) -> None:
    (root / "list.txt").write_text("flat.mp4 0\n")
    with pytest.raises(UsageError, match="no such folder"):
        locate(read_list(root / "list.txt"), [0], root=root / "gone")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_links_are_followed_but_not_in_a_circle(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "linked.mp4").touch()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "circle").symlink_to(root)
    assert find(root, "linked 0\n") == [("link/linked.mp4", True, 0)]


def test_a_video_may_have_several_classes_where_that_is_wanted(root: Path) -> None:
    path = root / "list.txt"
    path.write_text("flat.mp4 2\nother.webm 1\nflat.mp4 0\nflat.mp4 2\n")
    videos = read_list(path)
    listed, notices = locate(videos, number_labels(videos, CLASSES), root=None, multi_label=True)
    assert [(video.path, video.labels) for video in listed] == [
        ("flat.mp4", (0, 2)),
        ("other.webm", (1,)),
    ]
    assert notices == []
