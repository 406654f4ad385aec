import io
import os
from pathlib import Path

import pytest

from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.data.video_files import VIDEO_SUFFIXES
from videoswin_cli.errors import UsageError
from videoswin_cli.io.addresses import is_url

URL = "https://example.org/clips/a.mp4?key=1"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: names are given relative to it, as people do."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def expand(*inputs: str, stdin: str = "") -> list[str]:
    return list(expand_inputs(inputs, stdin=io.StringIO(stdin)).videos)


def noticed(*inputs: str) -> tuple[str, ...]:
    return expand_inputs(inputs).notices


def refused(*inputs: str, stdin: str = "") -> str:
    with pytest.raises(UsageError) as caught:
        expand(*inputs, stdin=stdin)
    return caught.value.message


# --- files and URLs -------------------------------------------------------------------------------


def test_files_stay_in_the_order_given_each_once(folder: Path) -> None:
    touch("b.mp4", "a.mp4", "no-suffix", "notes.txt")
    # Any file that is named is taken at the user's word, and told as it was named.
    assert expand("b.mp4", "notes.txt", "a.mp4", "b.mp4", "no-suffix") == [
        "b.mp4", "notes.txt", "a.mp4", "no-suffix",
    ]  # fmt: skip


def test_a_file_in_several_spellings_is_read_once(folder: Path) -> None:
    touch("v/a.mp4", "v/b.mp4")
    spellings = ("v/a.mp4", "./v/a.mp4", "v//a.mp4", "v/../v/a.mp4", str(folder / "v/a.mp4"))
    assert expand(*spellings) == ["v/a.mp4"]
    assert noticed(*spellings) == (
        "4 paths to a file again in another spelling: each is read once",
    )
    assert expand(str(folder / "v"), "v") == [str(folder / "v/a.mp4"), str(folder / "v/b.mp4")]
    assert noticed("v/a.mp4", "v/a.mp4") == ("1 path named again: each is read once",)


def test_links_of_other_names_are_other_files(folder: Path) -> None:
    touch("v/a.mp4", "w/a.mp4")
    (folder / "v/b.mp4").symlink_to("a.mp4")
    (folder / "w/x").symlink_to(folder / "v")
    # Behind a link `..` is the folder above its target.
    assert expand("v/a.mp4", "v/b.mp4", "w/a.mp4", "w/x/../w/a.mp4") == [
        "v/a.mp4", "v/b.mp4", "w/a.mp4",
    ]  # fmt: skip
    touch("a.mp4")
    assert expand("w/a.mp4", "w/x/../a.mp4") == ["w/a.mp4", "w/x/../a.mp4"]


@pytest.mark.parametrize(
    "name", ["@home.mp4", "clip [1080p].mp4", "what?.mp4", "a*.mp4", "-.mp4", " .mp4", "日本.mp4"]
)
def test_a_file_with_an_odd_name_is_a_file(name: str) -> None:
    touch(name, "clip 1.mp4", "ab.mp4", "whatX.mp4", "home.mp4")
    assert expand(name) == [name]


def test_a_folder_with_brackets_is_a_folder() -> None:
    touch("run [1]/a.mp4", "run 1/b.mp4")
    assert expand("run [1]") == [os.path.join("run [1]", "a.mp4")]  # noqa: PTH118


def test_a_missing_file_is_told() -> None:
    assert refused("none.mp4") == "no such file: none.mp4"
    touch("a.mp4")
    assert refused("a.mp4", "none.mp4") == "no such file: none.mp4"


def test_nothing_at_all_is_told() -> None:
    assert refused().startswith("no input")
    # As from `predict "$CLIP"` without a CLIP: that is not the working folder.
    touch("a.mp4")
    assert refused("") == "no such file: "


def test_a_name_that_the_system_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused("x" * 5000).startswith(("cannot read xxx", "no such file: xxx"))

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    assert refused("/home/other/a.mp4") == "cannot read /home/other/a.mp4: Permission denied"


@pytest.mark.parametrize("url", [URL, "http://localhost/x", "HTTPS://EXAMPLE.ORG/A.MP4"])
def test_a_url_stays_as_it_is(url: str) -> None:
    assert is_url(url)
    assert expand(url, url) == [url]


@pytest.mark.parametrize("text", ["ftp://example.org/a.mp4", "file:///a.mp4", "https:/a", "http"])
def test_what_is_no_url(text: str) -> None:
    assert not is_url(text)
    scheme = text.partition("://")[0]
    known = f"{scheme}:// cannot be read" if "://" in text else "no such file"
    assert refused(text) == f"{known}: {text}"


# --- folders --------------------------------------------------------------------------------------


def test_a_folder_is_searched_for_videos_in_order() -> None:
    touch("v/b.mp4", "v/a/z.MKV", "v/a/deep/er/y.webm", "v/A.avi", "v/c.mov")
    touch("v/notes.txt", "v/a.jpg", "v/mp4", "v/a/b.mp4.part", "other.mp4")
    Path("v/folder.mp4").mkdir()
    names = ["A.avi", "a/deep/er/y.webm", "a/z.MKV", "b.mp4", "c.mov"]
    assert expand("v") == [str(Path("v") / name) for name in names]
    assert expand("v/") == expand("v")
    assert expand("v", "v/a") == expand("v")  # each once
    assert set(expand(".")) == {*expand("v"), "other.mp4"}


def test_every_video_suffix_is_found() -> None:
    touch(*(f"v/clip{suffix}" for suffix in VIDEO_SUFFIXES))
    assert len(expand("v")) == len(VIDEO_SUFFIXES)
    assert {".mp4", ".avi", ".mkv", ".webm", ".mov"} <= VIDEO_SUFFIXES


def test_a_folder_without_videos_is_told() -> None:
    touch("v/notes.txt")
    assert refused("v") == "no video in the folder v"
    assert expand_hint("v") == (
        "left out: 1 file that is no video (.txt 1); --all-files looks into them"
    )
    Path("empty").mkdir()
    assert expand_hint("empty") == "neither it nor its subfolders contain a file"


def test_what_was_left_out_is_counted_in_one_notice() -> None:
    touch("v/a.mp4", "v/._a.mp4", "v/.DS_Store", "v/__MACOSX/v/._a.mp4", "v/x.txt", "v/y.TXT")
    touch("w/b.mp4", "w/.hidden/c.mp4", "w/@eaDir/b.mp4/x.jpg", "w/n")
    assert expand("v", "w") == ["v/a.mp4", "w/b.mp4"]
    assert noticed("v", "w") == (
        "left out: 5 hidden or system names (.DS_Store 1, ._* 1, @eaDir 1, __MACOSX 1, other "
        "hidden 1); 3 files that are no videos (.txt 2, no extension 1); --all-files looks into "
        "them",
    )
    assert noticed("v/a.mp4") == ()
    assert expand("w/.hidden") == ["w/.hidden/c.mp4"], "what is named counts"
    assert expand("v/._a.mp4") == ["v/._a.mp4"]


def expand_hint(*inputs: str) -> str:
    with pytest.raises(UsageError) as caught:
        expand(*inputs)
    return caught.value.hint


# --- globs ----------------------------------------------------------------------------------------


def test_a_glob_is_expanded_in_order(folder: Path) -> None:
    touch("v/b.mp4", "v/a.mp4", "v/a.txt", "w/c.mp4", "v/deep/d.mp4")
    assert expand("v/*.mp4") == ["v/a.mp4", "v/b.mp4"]
    assert expand("?/[ab].mp4") == ["v/a.mp4", "v/b.mp4"]
    assert expand("**/d.mp4") == ["v/deep/d.mp4"]
    assert expand(f"{folder}/w/*") == [f"{folder}/w/c.mp4"]
    # A folder that matches is searched, as if it had been named.
    assert expand("[vw]") == ["v/a.mp4", "v/b.mp4", "v/deep/d.mp4", "w/c.mp4"]


def test_a_glob_leaves_out_what_its_pattern_does_not_name() -> None:
    touch("v/a.mp4", "v/__MACOSX/b.mp4", "v/.x/c.mp4", "v/empty/n.txt")
    assert expand("v/*") == ["v/a.mp4"]
    assert noticed("v/*") == (
        "left out: 1 hidden or system name (__MACOSX 1); 1 file that is no video (.txt 1); "
        "--all-files looks into them",
    )
    touch("w/deep/er/x.mp4", "w/deep/er/._x.mp4")
    assert noticed("w/**") == ("left out: 1 hidden or system name (._* 1)",), "counted once"
    assert expand("v/__MACOSX/*") == ["v/__MACOSX/b.mp4"]
    assert expand("v/.x*/*.mp4") == ["v/.x/c.mp4"]
    assert refused("v/__M*") == "nothing matches v/__M* but system names"


def test_a_glob_without_matches_is_told() -> None:
    assert refused("v/*.mp4") == "nothing matches v/*.mp4"
    touch("v/notes.txt")
    assert refused("v*") == "no video in the folder v"


# --- lists ----------------------------------------------------------------------------------------

LISTED = ["a.mp4", "my clips/b c.mp4", "missing.mp4", URL]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(LISTED).encode(),
        ("\n".join(LISTED) + "\n").encode("utf-8-sig"),
        ("\r\n".join(LISTED) + "\r\n\r\n").encode(),
        ("\n\n  " + "  \n \t\n".join(LISTED)).encode(),
        "\n".join([*LISTED, "a.mp4"]).encode(),
    ],
    ids=["plain", "bom", "crlf", "blank", "twice"],
)
def test_a_list_names_paths_a_line(content: bytes) -> None:
    Path("my list.txt").write_bytes(content)
    # One that is missing is kept: it becomes a row with its error, the others are done.
    assert expand("@my list.txt") == LISTED


def test_a_list_line_is_a_path_and_nothing_else() -> None:
    lines = ["x y 12", "#1.mp4", "@other.txt", "a\u2028b.mp4", "café\x0bx.mp4", "-"]
    Path("list.txt").write_text("\n".join(lines), encoding="utf-8")
    assert expand("@list.txt") == lines


def test_a_listed_path_is_found_in_another_spelling() -> None:
    touch("v/a.mp4", "v/caf\u00e9.mp4", "v/cafe\u0301.avi", "v\\b.mp4", "v/b.mp4")
    names = ["v\\a.mp4", "v/cafe\u0301.mp4", "v\\caf\u00e9.avi", "v\\b.mp4", "v\\gone.mp4"]
    Path("list.txt").write_text("\n".join(names), encoding="utf-8")
    assert expand("@list.txt") == [
        "v/a.mp4", "v/caf\u00e9.mp4", "v/cafe\u0301.avi", "v\\b.mp4", "v\\gone.mp4",
    ]  # fmt: skip
    assert expand("-", stdin="\n".join(names)) == expand("@list.txt")


@pytest.mark.parametrize("name", ["\ud800/../a.mp4", "../" + "x" * 5000 + "/a.mp4"])
def test_a_listed_name_that_no_file_can_have_is_kept(name: str) -> None:
    assert expand("-", stdin=f"{name}\n") == [name]


def test_an_empty_list_is_told() -> None:
    Path("list.txt").write_text("\n  \n")
    assert refused("@list.txt") == "list.txt names no video: expected a path or URL a line"


def test_a_list_that_cannot_be_read_is_told() -> None:
    assert refused("@none.txt").startswith("cannot read the list none.txt: ")
    assert refused("@").startswith("cannot read the list .: ")
    Path("v.txt").write_bytes(b"caf\xe9.mp4")
    message = "cannot read the list v.txt: it is not UTF-8 text but probably ISO-8859-1"
    assert refused("@v.txt") == message


def test_a_file_called_like_a_list_goes_before_the_list() -> None:
    touch("@list.txt")
    Path("list.txt").write_text("a.mp4")
    assert expand("@list.txt") == ["@list.txt"]
    assert expand("@./list.txt") == ["a.mp4"]


# --- standard input -------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_standard_input_names_paths_a_line(end: str) -> None:
    touch("z.mp4")
    stdin = f"a.mp4{end}{end}  b c.mp4{end}a.mp4{end}"
    assert expand("z.mp4", "-", stdin=stdin) == ["z.mp4", "a.mp4", "b c.mp4"]


def test_a_byte_order_mark_on_standard_input_is_dropped() -> None:
    assert expand("-", stdin="\ufeffa.mp4\nb.mp4\n") == ["a.mp4", "b.mp4"]


def test_empty_standard_input_is_told() -> None:
    assert refused("-", stdin="\n").startswith("standard input names no video")


def test_all_kinds_together() -> None:
    touch("v/a.mp4", "v/b.mp4", "c.mp4")
    Path("list.txt").write_text("v/b.mp4\nlisted.mp4\n")
    assert expand("c.mp4", "@list.txt", "v", "-", URL, stdin="piped.mp4\nc.mp4\n") == [
        "c.mp4", "v/b.mp4", "listed.mp4", "v/a.mp4", "piped.mp4", URL,
    ]  # fmt: skip
