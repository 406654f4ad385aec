import os
from pathlib import Path

import pytest
import yaml

from videoswin_cli.errors import UsageError
from videoswin_cli.io.yaml_text import parse_value, read_yaml, write_yaml

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_read_yaml(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "name: Flügel\nsizes: [1, 2]  # px\nnothing: null\n")
    assert read_yaml(path) == {"name": "Flügel", "sizes": [1, 2], "nothing": None}


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: -2.5\nc: 1.5e+3\nd: 0\ne: 0x1f\nf: .inf\ng: 1_000\n",
        "a: yes\nb: 'yes'\nc: ~\nd:\ne: !!str 12\nf: ! 12\n",
        "a: {b: [1, {c: d}], e: {}}\nf: []\n",
        "a: &x [1, 2]\nb: *x\nc: &y text\nd: [*y, *y]\n",
        "a: |\n  two\n  lines\nb: >\n  one\n  line\n",
        "a: 2020-01-02\nb: 2020-01-02 03:04:05\nc: !!binary aGk=\n",
        "1: a\n2.5: b\nnull: c\n",
        "%YAML 1.1\n---\na: 1\n...\n",
    ],
)
def test_values_are_those_of_pyyaml(tmp_path: Path, text: str) -> None:
    expected = yaml.safe_load(text)
    assert read_yaml(write(tmp_path / "a.yaml", text)) == expected
    for encoding in ("utf-8-sig", "utf-16"):  # told by their marks, as YAML wants it
        assert read_yaml(write(tmp_path / "a.yaml", text.encode(encoding))) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1e-3", 1e-3), ("5E+2", 500.0), ("1e3", 1000.0), ("-.5e1", -5.0), ("2.e-1", 0.2)),
        *(("'1e-3'", "1e-3"), ("1e-3x", "1e-3x"), ("e3", "e3"), ("1e", "1e")),
        ("[1e-3, 2]", [1e-3, 2]),
    ],
)
def test_numbers_with_exponents_are_numbers(text: str, value: object, tmp_path: Path) -> None:
    """As YAML 1.2 has them; PyYAML, which reads 1.1, wants 1.0e-3."""
    for found in (
        parse_value(text, source="--set"),
        read_yaml(write(tmp_path / "a.yaml", f"a: {text}\n"))["a"],
    ):
        assert found == value
        assert type(found) is type(value)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    data = {
        "name": "größer: 1",
        "number": 1e-5,
        "text of a number": "1e-5",
        "sizes": [1, 2],
        "none": None,
        "on": True,
        "text": "yes",
        "x": 1.5,
    }
    assert read_yaml(write(tmp_path / "a.yaml", write_yaml(data))) == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2", "is not valid YAML: .*line 1"),
        ("a: 1\n b: 2\n", "is not valid YAML: .*line 2"),
        ("a: \0\n", "is not valid YAML: .*#x0000"),
        (b"name: \xff\xfe\x00", "is not valid YAML"),
        ("a: !!python/object/apply:os.getpid []", "line 1, key 'a': the tag .*python/object"),
        ("a: !!python/name:os.getpid ''", "line 1, key 'a': .*python/name"),
        ("a: !!set {x, y}", "line 1, key 'a': the tag .*set' is not read"),
        ("- a\n- b\n", "expected keys and values, found list"),
        ("just words", "expected keys and values, found str"),
        ("", "expected keys and values, found NoneType"),
        ("a: 1\n---\nb: 2\n", "line 2: expected one document, found another"),
        ("clips: 4\ncrops: 3\nclips: 1\n", "key 'clips' is there twice, again in line 3"),
        ("a: 1\nb: {c: 1, d: 2, c: 3}\n", "key 'c' is there twice, again in line 2"),
        ("? [a, b]\n: 1\n", "line 1: expected a key, found a list"),
        ("a: &x [*x]\n", r"line 1, key 'a': the alias \*x stands before its value ends"),
        ("a: *x\n", r"the alias \*x stands before"),
        ("a: 1\nb: 2020-99-99\n", "line 2, key 'b': '2020-99-99' is no valid timestamp"),
        ("a: 2020-02-31", "line 1, key 'a': '2020-02-31' is no valid timestamp"),
        ("a: !!timestamp x", "'x' is no valid timestamp"),
        ("a: !!int abc", "'abc' is no valid int"),
        ("a: !!int ''", "'' is no valid int"),
        ("a: [!!float abc]", "key 'a': 'abc' is no valid float"),
        ("a: !!bool maybe", "'maybe' is no valid bool"),
        ("a: !!binary aGk", "key 'a': .*base64"),
        ("a: !!int [1]", "the tag .*int' is not read"),
        ("a: " + "9" * 5000, "line 1, key 'a': a number of 5000 characters"),
        ("a: 0x" + "f" * 5000, "a number of 5002 characters"),
        ("epochs: 1:30", "1:30 is a number to the base 60"),
        ("epochs: 010", "010 is a number to the base 8"),
        ("a: " + "[" * 30_000, "line 1, key 'a': expected at most 20 levels"),
        ("{a: " * 30_000, "expected at most 20 levels"),
        ("".join(f"{'  ' * n}a{n}:\n" for n in range(30)), "expected at most 20 levels"),
        (LAUGHS, "expected at most 10000 values"),
        ("".join(f"k{n}: 1\n" for n in range(20_000)), "expected at most 10000 values"),
        ("a: '" + "x" * (1 << 20), "expected at most 262144 bytes of YAML"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = write(tmp_path / "mine.yaml", text)
    with pytest.raises(UsageError, match=rf"(?s)mine\.yaml:? .*{message}") as caught:
        read_yaml(path)
    assert len(caught.value.message) < 500 + len(str(path))


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.yaml: No such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match=r"cannot read .*: Is a directory"):
        read_yaml(tmp_path)
    with pytest.raises(UsageError, match=r"cannot read .*: embedded null"):
        read_yaml(tmp_path / "a\0.yaml")


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.yaml")
    with pytest.raises(UsageError, match="a pipe, socket or device"):
        read_yaml(tmp_path / "mine.yaml")


def test_a_large_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match="found more"):
        read_yaml(path)


@pytest.mark.parametrize(
    "text", ["[" * 30_000, "2020-99-99", "!!int x", "9" * 5000, "a\udcff", "["]
)
def test_a_value_that_is_none_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--set lr: "):
        parse_value(text, source="--set lr")


def test_it_reads_without_the_parser_in_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert parse_value("{a: [1, x]}", source="x") == {"a": [1, "x"]}
    with pytest.raises(UsageError, match="20 levels"):
        parse_value("[" * 30_000, source="x")
