"""Class names in every form that data sets and frameworks give them."""

import json
from pathlib import Path

import pytest

from videoswin_cli.errors import UsageError
from videoswin_cli.model.label_files import list_labels, read_labels

NAMES = ("abseiling", "air drumming", "sit, stand")


def read(folder: Path, content: object, name: str = "labels.txt") -> tuple[str, ...]:
    path = folder / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8", newline="")
    return list_labels(path)


@pytest.mark.parametrize(
    "text",
    [
        "abseiling\nair drumming\nsit, stand\n",
        "\ufeffabseiling\r\n\r\n  air drumming \r\nsit, stand",
        "# my classes\nabseiling\nair drumming\nsit, stand\n",
        '"abseiling"\n"air drumming"\n"sit, stand"\n',
        "0 abseiling\n1 air drumming\n2 sit, stand\n",
        "1 abseiling\n2 air drumming\n3 sit, stand\n",
        "2 sit, stand\n0 abseiling\n1 air drumming\n",
        "0,abseiling\n1,air drumming\n2,sit, stand\n",
        "0, abseiling\n1 ,air drumming\n2 , sit, stand\n",
        "0\tabseiling\n1\tair drumming\n2\tsit, stand\n",
        "0;abseiling\n1;air drumming\n2;sit, stand\n",
        "0: abseiling\n1: air drumming\n2: sit, stand\n",
        '0,"abseiling"\n1,"air drumming"\n2,"sit, stand"\n',
        "000 abseiling\n001 air drumming\n002 sit, stand\n",
        "abseiling,0\nair drumming,1\nsit, stand,2\n",
        "abseiling , 0\nair drumming , 1\nsit, stand , 2\n",
        "abseiling\t0\nair drumming\t1\nsit, stand\t2\n",
        "abseiling 0\nair drumming 1\nsit, stand 2\n",
        'id,name\n0,abseiling\n1,air drumming\n2,"sit, stand"\n',
        'name,id\nabseiling,0\nair drumming,1\n"sit, stand",2\n',
        'class_id,class_name,parent\n1,abseiling,x\n0,air drumming,y\n2,"sit, stand",z\n'.replace(
            "1,abs", "0,abs").replace("0,air", "1,air"),
        'label,name\n0,abseiling\n1,air drumming\n2,"sit, stand"\n',
        "Index;Label\n0;abseiling\n1;air drumming\n2;sit, stand\n",
        "name\nabseiling\nair drumming\nsit, stand\n",
    ],
)  # fmt: skip
def test_lines(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text) == NAMES


@pytest.mark.parametrize("name", ["labels.json", "labels.txt", "config.json"])
@pytest.mark.parametrize(
    "content",
    [
        list(NAMES),
        {name: place for place, name in enumerate(NAMES)},
        {name: str(place) for place, name in enumerate(NAMES)},
        {f'"{name}"': place for place, name in enumerate(NAMES)},
        {str(place): name for place, name in enumerate(NAMES)},
        {str(place): name for place, name in enumerate(NAMES, start=1)},
        {"id2label": {str(p): n for p, n in enumerate(NAMES)}, "hidden_size": 768},
        {"label2id": {n: p for p, n in enumerate(NAMES)}},
        {"classes": list(NAMES)},
        [{"id": place, "name": name} for place, name in enumerate(NAMES)],
        {"categories": [{"id": p, "name": n} for p, n in enumerate(NAMES, start=1)]},
    ],
)
def test_json(content: object, name: str, tmp_path: Path) -> None:
    assert read(tmp_path, content, name) == NAMES


@pytest.mark.parametrize(
    "names",
    [
        ("2 point", "dunk", "3 point"),
        ("class 0", "class 1", "class 2"),
        ("step 1", "step 2"),
        ("50 m", "100 m", "200 m"),
        ("catch 22", "run"),
        ("[something] falls", "x"),
        ("Laying something on its side, not upright", "x"),
        ("'rock' or 'roll'", "x"),
        ("360 flip", "180 flip"),
    ],
)
def test_numbers_that_belong_to_names_stay(names: tuple[str, ...], tmp_path: Path) -> None:
    assert read(tmp_path, "\n".join(names)) == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it holds no name"),
        ("id,name\n", "it holds no name"),
        ("{}", "it holds no name"),
        ("0 a\n1 b\n3 c\n", "the indices of 3 names are not 0 to 2: 2 is missing"),
        ("0 a\n1 b\n1 c\n", "the indices of 3 names are not 0 to 2: 1 occurs twice"),
        ("5,a\n6,b\n", "the indices of 2 names are not 0 to 1: 1 is missing"),
        ("0 a\n1 b\nc\n3 d\n", "the lines have indices, but not 'c'"),
        ("id,name\n0,a\n7,b\n", "the indices of 2 names are not 0 to 1: 1 is missing"),
        ("id,name\n0,a\nx,b\n", "expected an index, found 'x'"),
        ("id,name\n0,a\n1\n", "line 3 has fewer cells than the header"),
        ("0 a\n1 a\n", "the name 'a' occurs 2 times"),
        ("a\nb\na\n", "the name 'a' occurs 2 times"),
        ('a\n""\n', "class 1 has no name"),
        ({"a": 0, "b": 2}, "the indices of 2 names are not 0 to 1: 1 is missing"),
        ({"a": 0, "b": "x"}, r"expected names and their indices, found \{'b': 'x'\}"),
        ({"0": "1", "1": "0"}, "both keys and values are numbers"),
        ({"a": 999999999, "b": 0}, "the indices of 2 names are not 0 to 1"),
        ([1, 2], "expected a name, found 1"),
        ([{"id": 0}], "expected objects with id and name"),
        ([{"id": [], "name": "a"}], "expected objects with id and name"),
        ("3", None),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "a number of thousands of digits"),
        ('["a", "b"', "not valid JSON"),
    ],
)
def test_what_numbers_no_classes_is_refused(
    content: object, message: str | None, tmp_path: Path
) -> None:
    if message is None:
        assert read(tmp_path, content) == ("3",), "one class may be called so"
        return
    with pytest.raises(UsageError, match=message):
        read(tmp_path, content)


def test_json_is_meant_by_its_suffix(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected names and their indices, found int"):
        read(tmp_path, "3", "labels.json")
    with pytest.raises(UsageError, match="not valid JSON"):
        read(tmp_path, "abseiling\n", "labels.json")


def test_utf16_is_read_and_gbk_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeff0,a\r\n1,b\r\n".encode("utf-16-le"))
    assert list_labels(path) == ("a", "b")
    path.write_bytes("\u89c6\u9891\n".encode("gbk"))
    with pytest.raises(UsageError, match=r"cannot read the labels .* probably GBK"):
        list_labels(path)


def test_a_model_has_as_many_classes_as_the_file_names(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("0 a\n1 b\n")
    assert read_labels(path, num_classes=2) == ("a", "b")
    with pytest.raises(UsageError, match="holds 2 class names, the model has 3 classes"):
        read_labels(path, num_classes=3)


@pytest.mark.parametrize(
    "line", ["1" * 10**6, "1 " * 10**5, "a," * 10**5, '"' * 10**6, " ;" * 10**5]
)
def test_long_lines_end(line: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(f"{line}\nb\n")
    try:
        assert len(list_labels(path)) == 2
    except UsageError as error:
        assert str(path) in error.message  # noqa: PT017 - either is right
