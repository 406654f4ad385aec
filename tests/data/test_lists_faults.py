"""What hostile lists may do: be read or be refused with a sentence, soon."""

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from videoswin_cli.data.lists import (
    LIST_FORMATS,
    check_list,
    number_labels,
    question_labels,
    read_list,
)
from videoswin_cli.errors import UsageError
from videoswin_cli.model.label_files import list_labels

LISTS = Path(__file__).parents[1] / "field" / "lists"
CLASSES = ("pan-left", "zoom-in", "static")


def answer(path: Path, **options: Any) -> str:
    """What eval would say of the list: the number of rows, or the sentence."""
    try:
        videos = read_list(path, **options)
        question_labels(videos, number_labels(videos, CLASSES), CLASSES)
    except UsageError as error:
        return error.message
    return f"{len(videos.rows)} rows"


@pytest.mark.parametrize(("labelled", "multi_label"), [(True, False), (False, True)])
@pytest.mark.parametrize(
    "text",
    [
        "a" + " " * 30_000 + "b",
        "a" + "\t" * 30_000 + "b",
        "a" + " ,\t" * 30_000 + "b",
        ("a" + " " * 30_000 + "b.mp4 0\n") * 5,
        "a.mp4" + " " * 200_000 + "0",
        "a.mp4" + " 1" * 100_000,
        ".mp4 " * 100_000,
        "a," * 200_000,
        "a;" * 50_000,
        "Class/v_" * 100_000,
        "Class/v_Class_g1_c1." + "a" * 100_000 + " " * 100_000 + "b",
        '"' * 500_000,
        '"a" ' * 200_000,
        "path,label\n" + '"a""' * 200_000,
        "path,label\n" + '"\n' * 200_000 + "x",
        "path,label\n" + "a" * 200_000 + ",0\n",
        "label,path," * 50_000 + "\n1,2",
        "# \n" * 100_000,
        "#a 0\n" * 20_000 + "# b\n",
        "#" * 500_000,
        "[" * 100_000,
        '{"a":' * 100_000,
        "[{" + '"a":[' * 100_000,
        '{"id": "a"}\n' + '{"id":' * 100_000 + "\n" + '{"id": "b"}\n',
        "a.mp4 " + "9" * 5000,
        "path,label\na," + "9" * 5000,
        '[{"id": ' + "9" * 5000 + "}]",
        '[{"id": "a", "label": 1' + "0" * 4000 + "}]",
        '[{"id": "a", "label": ' + "[" * 900 + "]" * 900 + "}]",
    ],
    ids=lambda text: f"{text[:12]!r}x{len(text)}",
)
def test_long_and_deep_lists_are_answered(
    text: str, labelled: bool, multi_label: bool, tmp_path: Path
) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    assert answer(path, labelled=labelled, multi_label=multi_label)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 " + "9" * 5000 + "\n", ":1: a label of 5000 digits"),
        ("[" * 100_000, "JSON nested too deeply"),
        ('[{"id": ' + "9" * 5000 + "}]", "a number of thousands of digits"),
        ("a.mp4 0\n. 1\n", ":2: '.' names no video"),
        ("a.mp4 0\n.. 1\n", ":2: '..' names no video"),
        ("a.mp4 0\n/ 1\n", ":2: '/' names no video"),
        ("a.mp4 0\nx/.. 1\n", ":2: 'x/..' names no video"),
        ("a.mp4 0\n\\ 1\n", r":2: '\\\\' names no video"),
        ('a.mp4 0\n"" 1\n', ":2: '' names no video"),
        ("path,label\n./,x\n", ":2: './' names no video"),
        ('[{"id": ""}]', ":1: no video named in"),
        ('[{"id": " "}]', ":1: '' names no video"),
        (r'[{"id": "\ud800"}]', ":1: .* holds characters that no file name can have"),
        (r'[{"id": "a\u0000"}]', ":1: .* holds characters that no file name can have"),
        ("a.mp4 0\nb\0.mp4 1\n", "it is not text: it contains zero bytes"),
    ],
)
def test_the_reason_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        read_list(path)


def test_a_cell_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("path,label\n" + "a" * 200_000 + ",0\n")
    (row,) = read_list(path).rows
    assert (len(row.name), row.label) == (200_000, 0)


@pytest.mark.parametrize("name", ["n" * 5000, "a**b", "[", "x/[a-", "gone/*.txt"])
def test_odd_names_of_lists_are_lists_that_are_not_there(name: str) -> None:
    with pytest.raises(UsageError, match=r"cannot read the list|found none"):
        read_list(name)
    with pytest.raises(UsageError, match="cannot read the list"):
        check_list(Path(name))


def test_long_lists_are_read_whole(tmp_path: Path) -> None:
    """No time is asserted, but what is quadratic in the rows would not end."""
    path = tmp_path / "list"
    count = 20_000
    numbered = "".join(f"class {n % 400}/video {n}.mp4 {n % 400}\n" for n in range(count))
    table = "".join(f"class {n % 400}/{n}.mp4,name {n % 400},{n},{n + 10}\n" for n in range(count))
    entries = json.dumps({f"id{n}": {"annotations": {"label": "x"}} for n in range(count)})
    for text in (numbered, f"path,label,start,end\n{table}", entries):
        path.write_text(text)
        assert len(read_list(path).rows) == count


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A copy with a few bytes, pieces or lines changed, doubled, joined or left out."""
    odd: tuple[bytes, ...] = (
        b"\0",
        b"\r",
        b"\n",
        b'"',
        b"#",
        b";",
        b",",
        b"\t",
        b" ",
        b"[",
        b"{",
        b"}",
        b"]",
        b":",
    )
    odd += (b"\xff", b"\xe2\x80\xa8", b"nan", b"-1", b"1e999", b"9" * 4400, b"\\ud800", b"..", b"/")
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.choice((0, 1, 1, 3, 10, 50)))
        piece = chance.choice((*odd, data[start:end] * chance.choice((0, 2, 40))))
        data = data[:start] + piece + data[end:]
    return data


@pytest.mark.parametrize("name", sorted(path.name for path in LISTS.iterdir()))
def test_damaged_lists_are_read_or_refused(name: str, tmp_path: Path) -> None:
    chance = random.Random(name)
    data = (LISTS / name).read_bytes()
    path = tmp_path / name
    for _ in range(30):
        path.write_bytes(mutate(data, chance))
        assert answer(path, labelled=chance.random() < 0.7, multi_label=chance.random() < 0.3)
        assert answer(path, format=chance.choice(LIST_FORMATS))
        with suppress(UsageError):
            assert all(list_labels(path))
