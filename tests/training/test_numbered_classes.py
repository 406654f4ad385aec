"""Classes called by numbers: what is trained as X is saved, predicted and evaluated as X."""

from pathlib import Path

import pytest
from tiny import write_model

from videoswin_cli.class_names import fold_name, sort_names, whole_number
from videoswin_cli.data.class_folders import match_classes, read_class_folder
from videoswin_cli.data.found_clips import Found
from videoswin_cli.data.lists import VideoList, number_labels, question_labels, read_list
from videoswin_cli.errors import UsageError
from videoswin_cli.model.loading import find_model
from videoswin_cli.training.clip_source import Source
from videoswin_cli.training.examples import find_clips

NAMES = (
    tuple(str(n) for n in range(11)),
    tuple(str(n) for n in range(1, 13)),
    ("1", "2", "10"),
    ("1", "3"),
    ("0", "2", "1"),
    ("5", "6", "7"),
    ("007", "7", "70"),
    ("00", "01", "02", "10"),
    ("01", "1"),
    ("-1", "0", "1"),
    ("-10", "-9", "9"),
    ("+1", "1"),
    ("1", "2", "two"),
    ("2", "1", "10 m"),
    ("1.0", "2.0", "10.0"),
    ("1.5", "1.25", "2"),
    ("1e3", "1000", "1_000"),
    ("0x10", "16", "10"),
    ("true", "false", "null", "~", "yes", "no", "nan", "None", "inf"),
    ("\u0661", "\u0662", "\u0661\u0660"),
    ("\uff11", "1", "2"),
    ("\u00b2", "2", "x"),
    ("20260101", "20251231"),
    ("123456789012345678901234567890", "2", "1"),
    ("class 0", "class 1", "class 10", "class 2"),
)


def tree(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(2):
            (folder / name / f"{number}.mp4").touch()
    return folder


def find(said: list[str] | None = None, **source: object) -> Found:
    notice = said.append if said is not None else lambda text: None
    return find_clips(Source(**source), notice=notice)  # type: ignore[arg-type]


def saved_labels(path: Path, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Class names of a weight file that was saved with these."""
    write_model(path, labels=classes)
    return find_model(str(path)).labels


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_a_class_folder_keeps_its_name(names: tuple[str, ...], tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", *names)
    found = find(folder=folder)
    assert sorted(found.classes) == sorted(names)
    assert all(found.classes[clip.label or 0] == clip.path.split("/")[0] for clip in found.train)
    labels = saved_labels(tmp_path / "model.safetensors", found.classes)
    assert labels == found.classes
    for part in (folder, tree(tmp_path / "fewer", names[-1])):
        videos = read_class_folder(part)
        numbers = number_labels(videos, labels)
        assert [labels[number] for number in numbers] == [row.label for row in videos.rows]
        assert question_labels(videos, numbers, labels) == []


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_a_list_of_the_names_means_them_or_is_questioned(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    """`splits.csv` is such a list."""
    classes = sort_names(names)
    for count in (1, len(names)):
        path = tmp_path / "list.csv"
        path.write_text("path,label\n" + "".join(f"{n}.mp4,{n}\n" for n in names[-count:]))
        try:
            videos = read_list(path)
            numbers = number_labels(videos, classes)
        except UsageError:
            continue
        if not any("class indices" in text for text in question_labels(videos, numbers, classes)):
            assert [classes[number] for number in numbers] == list(names[-count:])


def test_whole_numbers_are_ordered_as_such() -> None:
    assert sort_names(["10", "2", "1", "2"]) == ("1", "2", "10")
    assert sort_names(["1", "-2", "-10"]) == ("-10", "-2", "1")
    assert sort_names(["7", "007", "10"]) == ("007", "7", "10")
    assert sort_names(["10", "2", "b"]) == ("10", "2", "b")
    assert sort_names(["10.0", "2.0"]) == ("10.0", "2.0")
    assert whole_number("1_0") is None, "int() takes it"
    assert whole_number("\u0661\u0660") == 10


def test_a_sign_is_no_dash() -> None:
    assert fold_name("-1") != fold_name("1")
    assert fold_name("-1.5") != fold_name("1.5")
    assert fold_name("1-2") == fold_name("1 2")


def rows(folder: Path, *labels: int) -> VideoList:
    path = folder / "list.txt"
    path.write_text("".join(f"{n}.mp4 {label}\n" for n, label in enumerate(labels)))
    return read_list(path)


def test_folders_are_indices_only_where_no_class_is_called_by_a_number(tmp_path: Path) -> None:
    videos = read_class_folder(tree(tmp_path, "0", "2"))
    texts = ("abseiling", "air drumming", "archery")
    assert number_labels(videos, texts) == [0, 0, 2, 2]
    assert question_labels(videos, [0, 0, 2, 2], texts) == [
        "the names of the class folders are read as class indices: 0 is 'abseiling'"
    ]
    with pytest.raises(UsageError, match="unknown class '0'"):
        number_labels(videos, ("1", "2", "10"))
    with pytest.raises(UsageError, match="unknown class '2'"):
        number_labels(videos, ("0", "run", "walk"))
    with pytest.raises(UsageError, match="has a class folder 2, the model 2 classes, 0 to 1"):
        number_labels(videos, ("run", "walk"))


def test_numbers_of_a_list_are_names_where_one_is_too_large_for_an_index(tmp_path: Path) -> None:
    classes = ("1", "2", "10")
    assert number_labels(rows(tmp_path, 1, 10, 2), classes) == [0, 2, 1]
    assert number_labels(rows(tmp_path, 1, 3), ("1", "2", "3")) == [0, 2]
    with pytest.raises(UsageError, match="1 is the name of class 0, and class 1 has another"):
        number_labels(rows(tmp_path, 2, 1), ("0x", "1", "3", "2")[1:])
    indices = rows(tmp_path, 0, 1, 2)
    assert number_labels(indices, classes) == [0, 1, 2]
    (text,) = question_labels(indices, [0, 1, 2], classes)
    assert text.endswith("list.txt are read as class indices: 0 is '1'")
    assert question_labels(rows(tmp_path, 0, 1), [0, 1], ("0", "1", "10")) == []
    assert question_labels(rows(tmp_path, 0, 0), [0, 0], classes) != []
    assert number_labels(rows(tmp_path, 7, 8), ("007", "008")) == [0, 1]
    with pytest.raises(UsageError, match="unknown class '7'") as caught:
        number_labels(rows(tmp_path, 7, 70), ("007", "7", "70"))
    assert caught.value.hint == "it could be '007' or '7': write it as one of them"


@pytest.mark.parametrize("labels", [(1, 2, 10), (1, 2, 3), (5, 300)])
def test_numbers_that_do_not_count_from_0_are_names(
    labels: tuple[int, ...], tmp_path: Path
) -> None:
    for number in range(10):
        (tmp_path / f"{number}.mp4").touch()
    rows(tmp_path, *labels, *labels)
    (tmp_path / "val.txt").write_text(f"8.mp4 {labels[0]}\n9.mp4 {labels[1]}\n")
    said: list[str] = []
    found = find(said, train_list=tmp_path / "list.txt", val_list=tmp_path / "val.txt")
    assert found.classes == tuple(map(str, labels))
    assert [clip.label for clip in found.train] == [*range(len(labels))] * 2
    assert [clip.label for clip in found.val or ()] == [0, 1]
    (text,) = [text for text in said if "class names" in text]
    assert text.startswith(f"the {len(labels)} labels, from {labels[0]} to {labels[-1]}, do not")


def test_a_folder_of_the_validation_part_may_write_no_number_otherwise(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the validation part has '01', the training part '1'"):
        match_classes(["1", "2"], ["01", "2"])
    assert match_classes(["1", "01"], ["01"])[0] == {"01": "01"}
    assert match_classes(["1", "2"], ["2", "3"])[0] == {"2": "2", "3": "3"}
    assert match_classes(["-1", "1"], ["1"]) == ({"1": "1"}, [])
