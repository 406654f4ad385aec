"""Which file a row of a list means."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from videoswin_cli.data import name_search
from videoswin_cli.data.class_folders import read_class_folder
from videoswin_cli.data.lists import ListRow, VideoList, number_labels, read_list
from videoswin_cli.data.locating import locate, name_missing
from videoswin_cli.errors import UsageError
from videoswin_cli.records import ListedVideo

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
    assert notices == ["3 repeated rows, 2 of them in another spelling; each is scored once"]


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


# --- spellings ------------------------------------------------------------------------------------


def look(
    root: Path, *names: str, labels: Sequence[int] = ()
) -> tuple[list[ListedVideo], list[str]]:
    """What a list of just these names finds."""
    rows = tuple(ListRow(line=n, name=name, label=None) for n, name in enumerate(names, start=1))
    videos = VideoList(source=str(root.parent / "list.txt"), format="paths", rows=rows)
    return locate(videos, labels or [None] * len(rows), root=root)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("hash/0123abcd", "hash/0123abcd"),
        ("hash/old.divx", "hash/old.divx"),
        ("hash/notes.bin", "hash/notes.bin"),
        ("hash/clip.mp4", "hash/clip.vob"),
        ("hash/clip", "hash/clip.vob"),
        ("hash/view.360", "hash/view.360.mp4"),  # what looks like an extension may be none
        ("hash/view", None),
        ("flat.MP4", "flat.mp4"),
        ("OTHER.webm", None),  # another name: ids of YouTube differ in case alone
        ("archery\\in_class.mkv", "archery/in_class.mkv"),
        ("deep\\er\\deepest.mp4", "deep/er/deepest.avi"),
        (".\\flat.mp4", "flat.mp4"),
        ("back\\slash.mp4", "back\\slash.mp4"),  # there is such a name
        ("./flat.mp4", "flat.mp4"),
        ("deep//er/./deepest.avi", "deep/er/deepest.avi"),
        ("deep/../flat.mp4", "flat.mp4"),
        ("./flat", "flat.mp4"),
    ],
)
def test_names_as_people_write_them(name: str, path: str | None, root: Path) -> None:
    touch(root, "hash/0123abcd", "hash/old.divx", "hash/notes.bin", "hash/clip.vob")
    touch(root, "back\\slash.mp4", "hash/view.360.mp4")
    ((video,), _) = look(root, name)
    assert (video.path if video.file else None) == path
    assert video.file is None or Path(video.file).is_file()


@pytest.mark.parametrize("suffix", [".mp4", ".xyz", ""])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_match_across_unicode_forms(
    form: Literal["NFC", "NFD"], suffix: str, root: Path
) -> None:
    there = unicodedata.normalize(form, f"caf\u00e9/\u30ac\u0439{suffix}")
    touch(root, there)
    for other in ("NFC", "NFD"):
        ((video,), _) = look(root, unicodedata.normalize(other, there))
        assert video.file == str(root / there)
        assert video.path == there


def test_a_name_that_is_there_goes_before_its_other_unicode_form(root: Path) -> None:
    names = [unicodedata.normalize(form, "caf\u00e9.mp4") for form in ("NFC", "NFD")]
    touch(root, *names)
    listed, notices = look(root, *names)
    assert [video.path for video in listed] == names
    assert notices == []
    ((video,), _) = look(root, "caf\u00e9.avi")
    assert video.missing.startswith("ambiguous: 2 files are meant: ")


def test_compatibility_forms_are_other_names(root: Path) -> None:
    touch(root, "x2.mp4")
    ((video,), _) = look(root, "x\u00b2.mp4")
    assert video.file is None


def test_one_file_in_four_spellings_is_one_video(root: Path) -> None:
    names = ["deep/er/deepest.avi", "./deep/er/deepest.avi", "deep//er/../er/deepest.avi",
             str(root / "deep/er/deepest.avi")]  # fmt: skip
    (video,), notices = look(root, *names)
    assert video.path == "deep/er/deepest.avi"
    assert notices == ["3 repeated rows, 3 of them in another spelling; each is scored once"]
    with pytest.raises(UsageError, match=r"list.txt:2: deep/er/deepest.avi has label 1 here"):
        look(root, *names, labels=[0, 1, 0, 0])


def test_absolute_paths_through_a_link_to_the_root(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    for given, named in ((root, tmp_path / "alias"), (tmp_path / "alias", root)):
        (video,), _ = look(given, str(named / "flat.mp4"), "flat.mp4")
        assert video.path == "flat.mp4"


def test_links_of_other_names_are_other_videos(root: Path) -> None:
    (root / "twin.mp4").symlink_to("flat.mp4")
    (root / "hard.mp4").hardlink_to(root / "flat.mp4")
    listed, notices = look(root, "flat.mp4", "twin.mp4", "hard.mp4")
    assert [video.path for video in listed] == ["flat.mp4", "twin.mp4", "hard.mp4"]
    assert notices == []


def test_files_outside_the_root_keep_their_names(root: Path, tmp_path: Path) -> None:
    touch(tmp_path, "out.mp4")
    listed, _ = look(root, "../out.mp4", str(tmp_path / "out.mp4"), "./../out.mp4")
    assert [video.path for video in listed] == ["../out.mp4", str(tmp_path / "out.mp4")]
    assert all(video.file is not None for video in listed)


# --- absolute paths of other machines -------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("C:\\data\\archery\\in_class.mkv", "C:/data/"),
        ("D:/x/archery/in_class.mkv", "D:/x/"),
        ("\\\\server\\share\\archery\\in_class.mkv", "//server/share/"),
        ("/mnt/nowhere/archery/in_class.mkv", "/mnt/nowhere/"),
        ("/archery/in_class.mp4", "/"),
    ],
)
def test_an_absolute_path_is_found_by_its_longest_tail(name: str, start: str, root: Path) -> None:
    touch(root, "in_class.mkv")
    (video,), notices = look(root, name)
    assert video.path == "archery/in_class.mkv"
    assert video.file == str(root / "archery/in_class.mkv")
    assert notices == [
        "1 row with absolute paths that are not there; their files were found under the root "
        f"without {start} (1)"
    ]


def test_a_tail_that_two_paths_share_is_taken_by_neither(root: Path) -> None:
    listed, notices = look(root, "/x/a/flat.mp4", "/x/b/flat.mp4", "/x/archery/twice.mp4")
    assert [video.file for video in listed] == [None, None, str(root / "archery/twice.mp4")]
    assert listed[0].missing == "ambiguous: paths of several folders end in flat.mp4"
    assert notices[0].endswith("without /x/ (1)")


# --- what is not found ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.mp4", "no such file"),
        ("Flat.mp4", "no such file; flat.mp4 differs in letter case"),
        (
            "er/deepest.avi",
            "no such file; deep/er/deepest.avi exists: should --root be another folder?",
        ),
        ("videos/flat.mp4", "no such file; flat.mp4 exists: should --root be another folder?"),
        ("archery", "a folder without numbered pictures"),
        ("..", "a folder without numbered pictures"),
        ("x" * 300 + ".mp4", "File name too long"),
        ("a\0b.mp4", "no file can have this name (embedded null byte)"),
        ("twice", "ambiguous: 2 files are meant: air_drumming/twice.mp4, archery/twice.mp4"),
        ("two", "ambiguous: 2 files are meant: two.avi, two.mkv"),
        ("two.mp4", "ambiguous: 2 files are meant: two.avi, two.mkv"),
        ("loop.mp4", "Too many levels of symbolic links"),
    ],
)
def test_what_is_missing_says_why(name: str, reason: str, root: Path) -> None:
    touch(root, "two.mkv", "two.avi")
    (root / "loop.mp4").symlink_to("loop.mp4")
    (video, other), _ = look(root, name, "flat.mp4")
    assert (video.path, video.file, video.missing) == (name, None, reason)
    assert other.file is not None
    assert name_missing([video, other]) == (
        name[:200] if reason == "no such file" else f"{name[:200]} ({reason})"
    )


def test_a_folder_that_may_not_be_entered_is_a_reason(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(root, "shut/a.mp4")
    stat = os.stat

    def refuse(path: Any, **options: Any) -> os.stat_result:
        if "shut" in Path(path).parts:
            raise PermissionError(13, "Permission denied")
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", refuse)
    (video, found, lost), notices = look(root, "shut/a.mp4", "/shut/flat.mp4", "lost.mp4")
    assert (video.file, video.missing) == (None, "Permission denied")
    assert found.path == "flat.mp4", "of another user: it may be here under another root"
    assert lost.missing == "no such file"
    assert notices[1:] == [
        f"left out: 1 folder that cannot be read ({root / 'shut'}: Permission denied)"
    ]


def test_a_root_that_cannot_be_listed_still_has_its_files(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    (found, lost), _ = look(root, "flat.mp4", "lost")
    assert found.file is not None
    assert lost.missing == f"cannot read the folder {root}: Permission denied"


def test_an_empty_root_is_noticed(tmp_path: Path, root: Path) -> None:
    (tmp_path / "empty").mkdir()
    _, notices = look(tmp_path / "empty", "a.mp4")
    assert notices == [f"no video under {tmp_path / 'empty'}"]
    outside = str(root / "flat.mp4")  # as in lists of ELAN
    row = ListRow(line=1, name=outside, label=None, trimmed_names=("flat_0_1.mp4",))
    listed, notices = locate(
        VideoList(source="list", format="elan", rows=(row,)), [None], root=tmp_path / "empty"
    )
    assert (listed[0].file, notices) == (outside, [])


def test_hidden_and_still_files_are_not_meant_by_an_id(root: Path) -> None:
    touch(root, "x/idea.mp4", "__MACOSX/idea.mp4", ".trash/idea.mkv", "x/._idea.mp4")
    (root / "x/idea.webp").write_bytes(b"RIFF\x1a\0\0\0WEBPVP8 \x0e\0\0\0" + bytes(14))
    ((video,), _) = look(root, "idea")
    assert video.path == "x/idea.mp4"
    ((video,), _) = look(root, ".trash/idea.mkv")
    assert video.path == ".trash/idea.mkv", "what is named counts"


def test_the_files_of_activitynet_begin_with_v(root: Path) -> None:
    (root / "v_abc.mp4").touch()
    text = '{"database": {"abc": {"annotations": [{"label": "archery", "segment": [1, 2]}]}}}'
    assert find(root, text) == [("v_abc.mp4#t=1,2", True, 2)]
    assert find(root, "abc archery\n") == [("abc", False, 2)]


def test_a_file_is_asked_for_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"many/{number}.mp4" for number in range(20)]
    touch(root, *names)
    asked: list[str] = []
    stat = os.stat

    def ask(path: Any, **options: Any) -> os.stat_result:
        asked.append(os.fspath(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", ask)
    found, _ = look(root, *names)
    assert [video.file for video in found] == [str(root / name) for name in names]
    assert sorted(path for path in asked if "many" in path) == sorted(str(root / n) for n in names)


def test_a_missing_name_is_compared_with_few_files_of_that_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(root, *(f"{number:03d}/clip.mp4" for number in range(150)))
    compared: list[str] = []
    split = name_search._split_suffix

    def compare(path: str) -> tuple[str, str]:
        compared.append(path)
        return split(path)

    look(root, "gone/flat.mp4")
    monkeypatch.setattr(name_search, "_split_suffix", compare)
    (lost, _), _ = look(root, "gone/clip.mp4", "flat.mp4")
    assert lost.missing == "no such file"
    assert len(compared) < 2 * 150 + 50, "once for the index, and then not all of them again"
