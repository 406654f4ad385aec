"""Walks over folders: once each, in one order."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from videoswin_cli.data.walking import (
    LeftOut,
    describe_left_out,
    merge_left_out,
    system_name_kind,
    walk,
)
from videoswin_cli.errors import UsageError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(folder: Path) -> list[str]:
    return [path.as_posix() for path in walk(folder, lambda path: path.suffix == ".x").files]


def test_files_are_sorted_by_the_parts_of_their_paths(tmp_path: Path) -> None:
    names = ["B.x", "a/b/1.x", "a/b.x", "a b/1.x", "a-b/1.x", "b.x"]
    touch(tmp_path, *names)
    assert found(tmp_path) == sorted(names, key=lambda name: Path(name).parts)


def test_the_order_of_the_file_system_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "r/1.x", "r/2.x", "s/3.x")
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path.parent / "elsewhere")
    touch(tmp_path.parent / "elsewhere", "e.x")
    before = found(tmp_path)
    assert before == ["a/e.x", "r/1.x", "r/2.x", "s/3.x"]
    scan = os.scandir

    class Backwards:
        def __init__(self, path: Path) -> None:
            self.entries = sorted(scan(path), key=lambda entry: entry.name, reverse=True)

        def __enter__(self) -> "list[os.DirEntry[str]]":
            return self.entries

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    assert found(tmp_path) == before


def test_links_that_double_are_walked_once(tmp_path: Path) -> None:
    for level in range(30):
        (tmp_path / f"{level}").mkdir()
        (tmp_path / f"{level}/1.x").touch()
    for level in range(29):
        for name in ("left", "right"):
            (tmp_path / f"{level}" / name).symlink_to(tmp_path / f"{level + 1}")
    result = walk(tmp_path, lambda path: path.suffix == ".x")
    assert len(result.files) == 30
    assert all(len(path.parts) == 2 for path in result.files), "each at its own place"
    assert result.left_out.repeated == 58
    assert [path.name for path in walk(tmp_path / "0", lambda path: True).files] == ["1.x"] * 30


def test_a_folder_has_its_own_name_where_a_link_of_an_earlier_one_leads_to_it(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "real/1.x")
    (tmp_path / "a").symlink_to("real")
    (tmp_path / "real/up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    assert found(tmp_path) == ["real/1.x"]
    assert found(tmp_path / "a") == ["1.x"], "the way up leads to a link to here"


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A tree of 2,000 levels, deeper than paths can name; removed again, as pytest could not."""
    levels = 2000
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("deeper", dir_fd=folder)
        folder = step(folder, "deeper")
    yield tmp_path
    for _ in range(levels):
        folder = step(folder, "..")
        os.rmdir("deeper", dir_fd=folder)
    os.close(folder)


def step(folder: int, name: str) -> int:
    there = os.open(name, os.O_RDONLY, dir_fd=folder)
    os.close(folder)
    return there


def test_deep_trees_end(deep: Path) -> None:
    (deep / "1.x").touch()
    result = walk(deep, lambda path: path.suffix == ".x")
    assert [path.name for path in result.files] == ["1.x"]
    (unreadable,) = result.left_out.unreadable
    assert unreadable.endswith("deeper: File name too long")
    assert len(describe_left_out(result.left_out, what="video")) < 300


def test_a_folder_that_cannot_be_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "open/1.x", "shut/2.x")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if path.name == "shut":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = walk(tmp_path, lambda path: True)
    assert [path.as_posix() for path in result.files] == ["open/1.x"]
    assert result.left_out.unreadable == (f"{tmp_path / 'shut'}: Permission denied",)
    with pytest.raises(UsageError, match=r"cannot read the folder .*shut: Permission denied"):
        walk(tmp_path / "shut", lambda path: True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("._a.mp4", "._*"),
        (".Trash-1000", ".Trash*"),
        (".Trashes", ".Trash*"),
        (".ipynb_checkpoints", ".ipynb_checkpoints"),
        (".DS_Store", ".DS_Store"),
        (".cache", "other hidden"),
        ("__MACOSX", "__MACOSX"),
        ("__macosx", "__MACOSX"),
        ("$RECYCLE.BIN", "$RECYCLE.BIN"),
        ("$Recycle.Bin", "$RECYCLE.BIN"),
        ("System Volume Information", "System Volume Information"),
        ("@eaDir", "@eaDir"),
        ("#recycle", "#recycle"),
        ("lost+found", "lost+found"),
        ("thumbs.db", "Thumbs.db"),
        ("desktop.ini", "desktop.ini"),
        ("a.mp4", None),
        ("_a.mp4", None),
        ("#1.mp4", None),
        ("@home", None),
        ("macosx", None),
    ],
)
def test_names_that_no_user_gave(name: str, kind: str | None) -> None:
    assert system_name_kind(name) == kind


def test_what_was_left_out_in_a_sentence() -> None:
    assert describe_left_out(LeftOut(), what="video") == ""
    one = LeftOut(files=Counter({".txt": 1}))
    assert describe_left_out(one, what="video", advice="look") == (
        "left out: 1 file that is no video (.txt 1); look"
    )
    many = LeftOut(
        names={"._*": 2},
        files={f".{letter}": number for number, letter in enumerate("abcdefg", start=1)},
        unreadable=("a: no", "b: no"),
        repeated=2,
    )
    assert describe_left_out(merge_left_out([one, many]), what="video") == (
        "left out: 2 hidden or system names (._* 2); 29 files that are no videos "
        "(.g 7, .f 6, .e 5, .d 4, .c 3, others 4); 2 folders that cannot be read (a: no, b: no); "
        "2 links to folders that are read already"
    )


def test_a_suffix_that_is_no_kind_is_not_printed(tmp_path: Path) -> None:
    touch(tmp_path, "a.\x1b[31m", "b.and so on and so on", "c", "d.TXT", "e.txt")
    left_out = walk(tmp_path, lambda path: False).left_out
    assert left_out.files == {"other": 2, "no extension": 1, ".txt": 2}
