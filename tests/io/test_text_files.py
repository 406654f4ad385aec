"""Bytes that users call text: encodings, line ends, JSON."""

from pathlib import Path

import pytest

from videoswin_cli.errors import UsageError
from videoswin_cli.io.encodings import guess_encoding
from videoswin_cli.io.text_files import parse_json, read_text, shorten, split_lines, unquote

TEXT = "pan-left/\u00fcben.mp4 0\n\u89c6\u9891/b.mp4 8\n"


def read(folder: Path, data: bytes) -> str:
    path = folder / "my list.txt"
    path.write_bytes(data)
    return read_text(path, what="list")


def refused(folder: Path, data: bytes) -> UsageError:
    with pytest.raises(UsageError, match="cannot read the list ") as failure:
        read(folder, data)
    return failure.value


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"\0\0\xfe\xff", "utf-32-be"),
    ],
)
def test_a_mark_says_the_encoding(mark: bytes, encoding: str, tmp_path: Path) -> None:
    assert read(tmp_path, mark + TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        ("# 视频\n", "gbk", "GBK"),
        ("视频/跑步.mp4 0\n跳舞/一.mp4 1\n", "gbk", "GBK"),
        ("動画/走る.mp4 0\n", "shift_jis", "SHIFT_JIS"),
        ("ビデオ.mp4 1\n", "shift_jis", "SHIFT_JIS"),
        ("ビデオを見る.mp4 1\n", "euc_jp", "EUC-JP"),
        ("축구 농구 수영 요리하기\n", "euc_kr", "EUC-KR"),
        ("視頻/跑步.mp4 0\n跳舞 籃球 游泳\n", "big5", "BIG5"),
        ("\u0432\u0438\u0434\u0435\u043e/a.mp4 0\n", "cp1251", "WINDOWS-1251"),
        ("\u0432\u0438\u0434\u0435\u043e/a.mp4 0\n", "koi8_r", "KOI8-R"),
        ("Mélange/é.mp4 0\n", "latin-1", "ISO-8859-1"),
        ("für das Spiel größer\n", "latin-1", "ISO-8859-1"),
        ("l\u2019été\n", "cp1252", "WINDOWS-1252"),
        ("pan-left/a.mp4 0\n", "utf-16-le", "UTF-16LE"),
        ("视频/a.mp4 0\n", "utf-16-be", "UTF-16BE"),
    ],
)
def test_another_encoding_is_named_with_the_line_to_convert_it(
    text: str, codec: str, name: str, tmp_path: Path
) -> None:
    assert guess_encoding(text.encode(codec)) == name
    error = refused(tmp_path, text.encode(codec))
    assert error.message.endswith(f"it is not UTF-8 text but probably {name}")
    path = tmp_path / "my list.txt"
    assert error.hint == f"iconv -f {name} -t UTF-8 '{path}' > '{path}.utf8' converts it"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x81\xff\xfe", "it is not UTF-8 text"),
        (b"a.mp4\0 0\n", "it is not text: it contains zero bytes"),
        (b"\xff\xfea", "it is damaged: its mark says UTF-16, its bytes do not"),
        (b"\xff\xfe\x00\xd8", "it is damaged: its mark says UTF-16"),
    ],
)
def test_no_text_at_all(data: bytes, message: str, tmp_path: Path) -> None:
    assert message in refused(tmp_path, data).message


def test_lines_end_with_line_feeds_only() -> None:
    text = "a\u2028b\n\x0bc\x0c\r\n\n  d\re \t\nf\x85\x1cg"
    expected = [(1, "a\u2028b"), (2, "\x0bc\x0c"), (4, "d\re"), (5, "f\x85\x1cg")]
    assert split_lines(text, source="list") == expected
    with pytest.raises(UsageError, match="its lines end with carriage returns") as failure:
        split_lines("a\rb\r", source="my list")
    assert failure.value.hint.startswith("tr ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "l.json: JSON nested too deeply"),
        ("9" * 5000, "l.json: not usable JSON: a number of thousands of digits"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "l.json: duplicate key 'c' in a JSON object"),
        ("{", "l.json: not valid JSON: "),
        ("", "l.json: not valid JSON: "),
    ],
)
def test_json_that_cannot_be_used(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_json(text, source="l.json")


def test_values_in_messages_are_short() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert len(shorten(deep)) < 50
    assert len(shorten("x" * 10**6)) <= 100
    assert len(shorten({"a": {str(n): "x" * 1000 for n in range(1000)}})) < 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"a b"', "a b"),
        ("'a b'", "a b"),
        ('"say ""hi"""', 'say "hi"'),
        ('"a" or "b"', '"a" or "b"'),
        ('"', '"'),
        ('""', ""),
        ("\"a'", "\"a'"),
    ],
)
def test_quotes_around_are_no_part_of_a_text(text: str, expected: str) -> None:
    assert unquote(text) == expected
