import json
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.files import check_writable, to_json, write_whole


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with write_whole(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [False, True])
def test_a_failure_leaves_the_old_file(keep: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with suppress(KeyboardInterrupt), write_whole(path, keep=keep) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    left = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert left == {"a.txt": "old"} | ({f"a.txt.{os.getpid()}.part": "half"} if keep else {})


def test_an_error_of_the_disk_is_one_of_ours(tmp_path: Path) -> None:
    with (
        pytest.raises(VideoSwinError, match=r"cannot write .*a\.txt: No space left"),
        write_whole(tmp_path / "a.txt"),
    ):
        raise OSError(28, "No space left on device")


def test_links_stay_and_devices_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    with write_whole(tmp_path / "link") as part:
        part.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"
    with write_whole(Path(os.devnull)) as part:
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
