import json
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.io.atomic import (
    atomic_write,
    check_no_stream,
    check_writable,
    read_csv,
    to_json,
    write_csv,
)


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [False, True])
def test_a_failure_leaves_the_old_file(keep: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with suppress(KeyboardInterrupt), atomic_write(path, keep=keep) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    left = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert left == {"a.txt": "old"} | ({f"a.txt.{os.getpid()}.part": "half"} if keep else {})


def test_an_error_of_the_disk_is_one_of_ours(tmp_path: Path) -> None:
    with (
        pytest.raises(VideoSwinError, match=r"cannot write .*a\.txt: No space left"),
        atomic_write(tmp_path / "a.txt"),
    ):
        raise OSError(28, "No space left on device")


def test_links_stay_and_devices_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    with atomic_write(tmp_path / "link") as part:
        part.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"
    with atomic_write(Path(os.devnull)) as part:
        part.write_text("gone")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_what_cannot_be_written_is_noticed_early(tmp_path: Path) -> None:
    (tmp_path / "input").touch()
    check_writable(tmp_path / "new", inputs=[tmp_path / "input", None, "x" * 5000])
    check_writable(Path(os.devnull), inputs=[os.devnull])
    for path in (tmp_path, tmp_path / "none" / "a", tmp_path / "input"):
        with pytest.raises(UsageError, match="cannot write"):
            check_writable(path, inputs=[tmp_path / "input"])
    assert [file.name for file in tmp_path.iterdir()] == ["input"]


def test_json_takes_any_file_name() -> None:
    name = os.fsdecode(b"\xff \xc3\xbc.mp4")
    text = to_json({"path": name})
    assert text == '{"path": "\\udcff ü.mp4"}'
    assert json.loads(text)["path"] == name


def test_any_text_is_read_back_from_a_table(tmp_path: Path) -> None:
    texts = [*map(chr, range(160)), "\u2028", os.fsdecode(b"\xff\xc3"), " a ", "", "a,b", 'a"b']
    write_csv(tmp_path / "t.csv", ("path", "status"), [(text, f"x{text}") for text in texts])
    rows = read_csv(tmp_path / "t.csv")
    assert [row["path"] for row in rows] == texts
    assert [row["status"] for row in rows] == [f"x{text}" for text in texts]
    write_csv(tmp_path / "t.csv", ("path",), [("half a character \ud800",)])  # as JSON may have
    assert read_csv(tmp_path / "t.csv") == [{"path": "half a character \\ud800"}]


def test_a_table_that_is_damaged_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2,3\n")
    for name in ("t.csv", "none.csv"):
        with pytest.raises(UsageError, match="cannot read"):
            read_csv(tmp_path / name)


# --- drafts ---------------------------------------------------------------------------------------


@pytest.fixture
def dead(tmp_path: Path) -> Path:
    """A draft that a killed process left, by the number of this one: numbers come again."""
    path = tmp_path / f"a.txt.{os.getpid()}.part"
    path.write_text("kept rows")
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_drafts_of_killed_processes_go(tmp_path: Path, dead: Path) -> None:
    others = {"a.txt.part", "a.txt.12.part.gz", "b.txt.12.part", "a.txt.x.part"}
    for name in (*others, "a.txt.1.part", "a.txt.77-1.part"):
        (tmp_path / name).touch()
    with atomic_write(tmp_path / "a.txt") as part:
        assert names(tmp_path) == others | {part.name}
        part.write_text("new")
    assert names(tmp_path) == others | {"a.txt"}


def test_drafts_of_living_processes_stay(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a.txt") as first, atomic_write(tmp_path / "a.txt") as second:
        assert first != second
        assert first.exists()
    assert names(tmp_path) == {"a.txt"}


def test_kept_rows_stay_until_the_file_is_whole(tmp_path: Path, dead: Path) -> None:
    """Also where a new process has the number of the old one."""
    check_writable(tmp_path / "a.txt")
    with suppress(KeyboardInterrupt), atomic_write(tmp_path / "a.txt", keep=True):
        raise KeyboardInterrupt  # before a row: an empty draft is not kept
    assert names(tmp_path) == {dead.name}
    with suppress(KeyboardInterrupt), atomic_write(tmp_path / "a.txt", keep=True) as part:
        part.write_text("more rows")
        raise KeyboardInterrupt
    assert dead.read_text() == "kept rows"
    assert names(tmp_path) == {dead.name, part.name}
    with atomic_write(tmp_path / "a.txt", keep=True) as part:
        part.write_text("all")
    assert names(tmp_path) == {"a.txt"}


def test_where_there_are_no_locks_only_old_drafts_go(
    tmp_path: Path, dead: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videoswin_cli.io.atomic.lock_descriptor", lambda descriptor: None)
    for old in (False, True):
        if old:
            os.utime(dead, (0, 0))
        with atomic_write(tmp_path / "a.txt"):
            assert (dead.read_text() == "kept rows") != old


@pytest.mark.parametrize(
    ("number", "kind"),
    [(13, UsageError), (30, UsageError), (36, UsageError), (28, VideoSwinError)],
)
def test_what_refuses_a_file_is_wrong_usage_and_a_full_disk_is_not(
    number: int, kind: type[VideoSwinError], tmp_path: Path
) -> None:
    with pytest.raises(VideoSwinError) as caught, atomic_write(tmp_path / "a.txt"):
        raise OSError(number, os.strerror(number))
    assert type(caught.value) is kind
    assert caught.value.message == f"cannot write {tmp_path / 'a.txt'}: {os.strerror(number)}"


def test_a_line_of_json_is_one_line_for_every_reader() -> None:
    name = "a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029.mp4"
    text = to_json({"path": name})
    assert len(text.splitlines()) == 1
    assert json.loads(text) == {"path": name}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_a_pipe_is_refused_but_one_of_the_shell(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="a pipe, socket or device"):
        check_no_stream(tmp_path / "pipe", from_shell=True)
    read, write = os.pipe()
    try:
        check_no_stream(Path(f"/dev/fd/{read}"), from_shell=True)
        with pytest.raises(UsageError):
            check_no_stream(Path(f"/dev/fd/{read}"))
    finally:
        os.close(read)
        os.close(write)
