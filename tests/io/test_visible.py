import io

import pytest

from videoswin_cli.io.visible import counted, for_stream, name_some, visible


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain größer 走る 🎬.mp4", "plain größer 走る 🎬.mp4"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("a\x9b31m\x7f\x00", r"a\x9b31m\x7f\x00"),
        ("a\nerror: b\r\tc", r"a\nerror: b\r\tc"),
        ("a\u202egpj.exe\u2066\u2069\u200f", r"a\u202egpj.exe\u2066\u2069\u200f"),
        ("a\u2028b\u2029\x85", r"a\u2028b\u2029\x85"),
        ("bytes \udcff", "bytes \udcff"),  # the stream shows these
    ],
)
def test_what_would_steer_a_terminal_is_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown


def test_results_keep_their_lines_on_a_terminal_and_all_else_in_a_pipe() -> None:
    text = "a\x1b[31m,\tb\n"
    assert for_stream(text, Terminal()) == "a\\x1b[31m,\tb\n"
    assert for_stream(text, io.StringIO()) == text


def test_long_lists_of_names_are_cut_and_counted() -> None:
    assert name_some([]) == ""
    assert name_some(["a", "b"]) == "a, b"
    assert name_some(list("abcde")) == "a, b, c, d, e"
    assert name_some(list("abcdef")) == "a, b, c, d, e and 1 more"
    assert name_some(list("abcdef"), 2) == "a, b and 4 more"


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        *((0, "video", "0 videos"), (1, "video", "1 video"), (2, "video", "2 videos")),
        *((1, "class", "1 class"), (2, "class", "2 classes")),
    ],
)
def test_one_thing_is_no_plural(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
