"""Folders of class folders."""

from pathlib import Path

import pytest

from videoswin_cli.data.class_folders import find_parts, match_classes, read_class_folder
from videoswin_cli.data.lists import number_labels
from videoswin_cli.errors import DatasetError, MissingInputError, UsageError

CLASSES = ("abseiling", "air drumming", "archery")


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def refusal(folder: Path) -> UsageError:
    with pytest.raises(UsageError) as caught:
        read_class_folder(folder)
    return caught.value


def test_subfolders_are_classes(tmp_path: Path) -> None:
    for name in ("archery/b.MP4", "archery/deep/a.mkv", "air_drumming/c d.avi", "archery/note.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    videos = read_class_folder(tmp_path)
    assert [(row.name, row.label) for row in videos.rows] == [
        ("air_drumming/c d.avi", "air_drumming"),
        ("archery/b.MP4", "archery"),
        ("archery/deep/a.mkv", "archery"),
    ]
    assert number_labels(videos, CLASSES) == [1, 2, 2]


def test_numbered_class_folders(tmp_path: Path) -> None:
    for name in ("0/a.mp4", "10/b.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert number_labels(read_class_folder(tmp_path), ["x"] * 11) == [0, 10]


def test_folders_without_classes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no video in the class folders"):
        read_class_folder(tmp_path)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UsageError, match=r"a.mp4 is in no class folder \(1 such videos\)"):
        read_class_folder(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        read_class_folder(tmp_path / "gone")


def test_hidden_and_system_folders_are_no_classes(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "a/._1.mp4", "b/1.mp4", ".ipynb_checkpoints/1.mp4")
    touch(tmp_path, ".Trash-1000/1.mp4", "__MACOSX/a/._1.mp4", "a/@eaDir/1.mp4", ".git/x.mp4")
    videos = read_class_folder(tmp_path)
    assert [row.name for row in videos.rows] == ["a/1.mp4", "b/1.mp4"]
    (text,) = videos.notices
    assert text.startswith("left out: 6 hidden or system names (")
    for kind in ("._* 1", ".Trash* 1", ".ipynb_checkpoints 1", "@eaDir 1", "__MACOSX 1"):
        assert kind in text or "others" in text


def test_a_hidden_folder_that_is_named_counts(tmp_path: Path) -> None:
    touch(tmp_path, ".cache/a/1.mp4", ".cache/b/1.mp4")
    videos = read_class_folder(tmp_path / ".cache")
    assert [row.label for row in videos.rows] == ["a", "b"]
    assert videos.notices == ()


def test_what_is_no_class_is_noticed(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp4", "b/1.mp4", "empty/notes.txt")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "twin").symlink_to(tmp_path / "a")
    assert read_class_folder(tmp_path).notices == (
        f"{tmp_path / 'empty'} is a folder without a video: no class",
        f"{tmp_path / 'gone'} is a broken link, so no class",
        f"{tmp_path / 'twin'} is a link to a folder that is read already or has no video: no class",
        "left out: 2 files that are no videos (.txt 1, broken links 1); --all-files looks "
        "into them; 1 link to folders that are read already",
    )


# --- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *(("train", "train"), ("Train", "train"), ("TRAINING", "train"), ("train_set", "train")),
        *(("val", "val"), ("Valid", "val"), ("validation", "val"), ("Validation-Set", "val")),
        *(("test", "test"), ("Testing", "test"), ("TEST_SET", "test")),
    ],
)
def test_parts_have_usual_spellings(name: str, part: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{name}/a/1.mp4", "other/a/1.mp4", ".hidden/a/1.mp4")
    parts = find_parts(tmp_path)
    assert dict(parts.folders) == {part: tmp_path / name}
    assert parts.others == ("other",)


def test_a_class_called_train_is_no_part(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.mp4", "car/1.mp4", "bus/1.mp4")
    assert find_parts(tmp_path).folders == {}
    assert [row.label for row in read_class_folder(tmp_path).rows] == ["bus", "car", "train"]


def test_two_spellings_of_one_part_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "val/a/1.mp4", "validation/a/1.mp4")
    with pytest.raises(UsageError, match="val and validation: which of them is the val part"):
        find_parts(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/a/1.mp4", "train/b/1.mp4", "val/a/1.mp4"), "parts of a data set, 'train', 'val'"),
        (("Training/a/1.mp4", "Validation/a/1.mp4"), "'Training', 'Validation'"),
        (("test/a/1.mp4", "test/b/1.mp4"), "parts of a data set, 'test'"),
        (("train/1.mp4", "val/1.mp4"), "'train', 'val'"),
        (("train/a/1.mp4", "val/a/1.mp4", "extra/1.mp4"), "'train', 'val'"),
        (("one/a/1.mp4", "one/b/1.mp4", "two/A/1.mp4", "two/b/1.mp4"), "hold the same folders"),
        (
            ("one/Pan_Left/1.mp4", "one/Zoom-In/1.mp4", "two/Pan_Left/1.mp4", "two/Zoom-In/1.mp4"),
            "hold the same folders, 'Pan_Left', 'Zoom-In'",
        ),
        (
            ("one/a/1.mp4", "one/b/1.mp4", "one/c/1.mp4", "two/a/1.mp4", "two/b/1.mp4"),
            "hold the same folders, 'a', 'b'",
        ),
        (
            ("one/a/1.mp4", "one/b/1.mp4", "test/a/1.mp4", "two/a/1.mp4", "two/b/1.mp4"),
            "'one', 'test', 'two', hold the same folders",
        ),
    ],
)
def test_parts_are_no_classes(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    error = refusal(touch(tmp_path, *names))
    assert message in error.message
    assert "give" in error.hint


def test_the_part_to_evaluate_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "Train/a/1.mp4", "Testing/a/1.mp4")
    assert f"such as {tmp_path / 'Testing'};" in refusal(tmp_path).hint
    touch(tmp_path, "valid/a/1.mp4")
    assert f"such as {tmp_path / 'valid'};" in refusal(tmp_path).hint


@pytest.mark.parametrize(
    "names",
    [
        ("run/clips/1.mp4", "walk/clips/1.mp4"),
        ("run/a/1.mp4", "run/b/1.mp4", "walk/c/1.mp4", "walk/d/1.mp4"),
        ("run/a/1.mp4", "run/b/1.mp4", "walk/a/1.mp4", "walk/b/1.mp4", "walk/2.mp4"),
        ("test/1.mp4", "walk/1.mp4"),
        ("test/x/1.mp4", "walk/1.mp4"),
    ],
)
def test_classes_with_folders_in_them_are_classes(names: tuple[str, ...], tmp_path: Path) -> None:
    videos = read_class_folder(touch(tmp_path, *names))
    assert [row.name for row in videos.rows] == sorted(names)
    assert {row.label for row in videos.rows} == {name.split("/")[0] for name in names}


# --- class names of two parts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("pan_left", "Pan Left"), ("Pan-Left", "pan_left"), ("PAN LEFT", "pan  left"),
        ("caf\u00e9", "cafe\u0301"), ("Stra\u00dfe", "STRASSE"),
    ],
)  # fmt: skip
def test_two_spellings_between_parts_are_one_class(train: str, val: str) -> None:
    names, (text,) = match_classes([train, "zoom"], [val, "zoom"])
    assert names == {val: train, "zoom": "zoom"}
    assert text.startswith("1 class names are spelled differently in the validation part")


def test_equal_names_are_not_noticed() -> None:
    assert match_classes(["a", "b"], ["a", "c"]) == ({"a": "a", "c": "c"}, [])


def test_two_spellings_within_a_part_are_two_classes_where_both_parts_have_them() -> None:
    names, notices = match_classes(["pan_left", "Pan Left"], ["pan_left", "Pan Left"])
    assert names == {"pan_left": "pan_left", "Pan Left": "Pan Left"}
    assert notices == [
        "'Pan Left', 'pan_left' are read as 2 classes, though they differ in spelling only"
    ]
    assert match_classes(["pan_left", "Pan Left"], ["pan_left"]) == (
        {"pan_left": "pan_left"},
        notices,
    )


@pytest.mark.parametrize(
    ("train", "val"),
    [
        (("pan_left", "Pan Left"), ("pan-left",)),
        (("pan-left",), ("pan_left", "Pan Left")),
        (("pan_left",), ("pan_left", "Pan Left")),
    ],
)
def test_a_class_that_could_be_any_of_several_is_refused(
    train: tuple[str, ...], val: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError, match="which of them are one class"):
        match_classes(train, val)


def test_class_folders_behind_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    store = MemoryFileSystem()
    for name in ("train/run/a.mp4", "train/sit/b.mp4", "val/run/c.mp4", "val/notes.txt"):
        store.pipe_file(f"/data/{name}", b"12")
    parts = find_parts("memory://data")
    assert parts.folders == {"train": "memory://data/train", "val": "memory://data/val"}
    found = read_class_folder("memory://data/train")
    assert [(row.name, row.label) for row in found.rows] == [
        ("run/a.mp4", "run"),
        ("sit/b.mp4", "sit"),
    ]
    assert found.root == "memory://data/train"
    with pytest.raises(DatasetError, match="holds parts of a data set"):
        read_class_folder("memory://data")
    store.pipe_file("/data/val/d.mp4", b"12")
    with pytest.raises(DatasetError, match=r"memory://data/val/d\.mp4 is in no class folder"):
        read_class_folder("memory://data/val")
    with pytest.raises(MissingInputError, match="no video in the class folders of memory://data/x"):
        read_class_folder("memory://data/x")
