"""Tables of any text. `csv_text` needs no other module of ours, so that any Python can try it."""

import csv
import io
import sys

import pytest

from videoswin_cli.io.csv_text import from_csv, join_notes, split_notes, to_csv

CONTROLS = [chr(code) for code in (*range(32), 127, *range(128, 160), 0x2028, 0x2029, 0xFEFF)]
TEXTS = [
    *("", " ", "a", " a ", "\ta\t", "a b", "ü", "走る", "🎬", "\udcff\udc80", "=1+1", "1e5"),
    *('"', '""', 'say "hi"', ",", "sit, stand", '","', "a;b", "'", "\\", "\\n", "#", "a\r\nb"),
    *CONTROLS,
    *(f"a{control}b" for control in CONTROLS),
    *(f"a{control}" for control in CONTROLS),
]  # fmt: skip


@pytest.mark.parametrize("width", [1, 2, 7])
def test_any_text_is_read_as_it_was_written(width: int) -> None:
    rows = [[text, "x", *TEXTS[n : n + 5]][:width] for n, text in enumerate(TEXTS[:-5])]
    assert from_csv(to_csv(rows)) == rows
    assert from_csv(to_csv(rows)[:-1]) == rows  # an editor took the last line feed


@pytest.mark.skipif(sys.version_info < (3, 11), reason="its csv takes no NUL")
def test_python_reads_it_too() -> None:
    rows = [[text, "x"] for text in TEXTS]
    assert list(csv.reader(io.StringIO(to_csv(rows), newline=""))) == rows


def test_ordinary_rows_look_as_python_writes_them() -> None:
    rows = [
        ("path", "n", None, 1, 2.5, "ok"),
        ("a b.mp4", "ü", "", 0, 1e-7, "sit, stand"),
        ('say "hi"', " ", "\t", True, "x\ny", "'"),
        ("",),
    ]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    assert to_csv(rows) == stream.getvalue()


def test_tables_of_other_programs() -> None:
    assert from_csv('a,b\r\n"1","2 ""x"""\r\n\r\n3,\r\n') == [["a", "b"], ["1", '2 "x"'], ["3", ""]]
    assert from_csv("in/a\rb.mp4,ok\n") == [["in/a\rb.mp4", "ok"]]  # as we wrote it before
    assert from_csv("") == from_csv("\n\n") == []


@pytest.mark.parametrize("text", ['"a', '"a"b,c\n', 'a,"b\n', '"a" ,b'])
def test_quotes_that_do_not_match(text: str) -> None:
    with pytest.raises(ValueError, match="quotes that do not match"):
        from_csv(text)


def test_long_fields_take_no_time() -> None:
    rows = [["x" * 2_000_000, '"' * 500_000], [" " * 1_000_000, "\r" * 500_000]]
    assert from_csv(to_csv(rows)) == rows


def test_notes_in_one_field() -> None:
    assert split_notes(join_notes(("a", "b c"))) == ("a", "b c")
    assert split_notes(join_notes(())) == ()
