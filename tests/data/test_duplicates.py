"""One file under several names, and copies."""

import os
from pathlib import Path

import pytest

from videoswin_cli.data import duplicates
from videoswin_cli.data.duplicates import find_equal, find_same


def test_links_and_spellings_are_one_file(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_text("a")
    two.write_text("a")
    os.link(one, tmp_path / "hard")
    (tmp_path / "soft").symlink_to(one)
    (tmp_path / "sub").mkdir()
    names = [f"{tmp_path}/{name}" for name in ("1", "2", "hard", "soft", "sub/../1", "gone")]
    assert find_same([*names, names[0], "http://x/1.mp4", "\0"]) == [
        [names[n] for n in (0, 2, 3, 4)]
    ]


def test_copies_are_found_by_size_then_ends_then_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "_END_BYTES", 4)
    contents = {
        "a": b"0123456789ab",
        "copy": b"0123456789ab",
        "size": b"0123456789abc",
        "start": b"1123456789ab",
        "end": b"0123456789ac",
        "middle": b"01234X6789ab",
        "short": b"01",
        "short2": b"01",
        "empty": b"",
        "empty2": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    read: list[str] = []
    whole = duplicates._hash_whole
    monkeypatch.setattr(duplicates, "_hash_whole", lambda file: (read.append(file), whole(file))[1])
    paths = {name: str(tmp_path / name) for name in contents}
    found = find_equal([*paths.values(), str(tmp_path / "gone")])
    assert found == [[paths["a"], paths["copy"]], [paths["short"], paths["short2"]]]
    assert {Path(file).name for file in read} == {"a", "copy", "middle", "short", "short2"}


def test_copies_of_frame_folders_have_the_same_pictures_in_order(tmp_path: Path) -> None:
    folders = {
        "a": ("img_{}.png", ["one", "two", "six"]),
        "copy": ("{:05}.png", ["one", "two", "six"]),
        "order": ("{}.png", ["two", "one", "six"]),
        "middle": ("{}.png", ["one", "tvo", "six"]),
        "shifted": ("{}.png", ["on", "etwo", "six"]),
        "fewer": ("{}.png", ["one", "two"]),
        "empty": ("{}.png", []),
    }
    for name, (template, contents) in folders.items():
        (tmp_path / name).mkdir()
        for number, content in enumerate(contents, start=9):
            (tmp_path / name / template.format(number)).write_text(content)
    found = find_equal(str(tmp_path / name) for name in folders)
    assert found == [[str(tmp_path / "a"), str(tmp_path / "copy")]]
