"""Names of strangers: shown escaped on a terminal, kept as they are in a pipe."""

import io
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from make_video import write_video
from typer.testing import Result

from videoswin_cli.cli.stdin import stdin_paths
from videoswin_cli.data.sources import expand_inputs

COMMAND = [sys.executable, "-m", "videoswin_cli"]
STEERING = "\x1b]0;title\x07\x9b31m\u202e"
NAME = f"a{STEERING}\nerror: forged.mp4"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video and a text that claims to be one, with names that steer terminals."""
    folder = tmp_path_factory.mktemp("names")
    write_video(folder / NAME, frames=20)
    (folder / f"b{STEERING}.mp4").write_text("no video")
    return folder


def on_terminal(*args: object) -> str:
    """What a command writes to a terminal, stdout and stderr."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *map(str, args)], stdin=follower, stdout=follower, stderr=follower
    ):
        os.close(follower)
        pieces = []
        while True:
            try:
                piece = os.read(leader, 1 << 16)
            except OSError:  # as Linux tells that nobody writes any more
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(leader)
    return b"".join(pieces).decode("utf-8", "replace")


@pytest.mark.parametrize("format", ["table", "csv"])
def test_a_terminal_is_not_steered_by_names(format: str, folder: Path, tiny: str) -> None:
    text = on_terminal("predict", folder, "--model", tiny, "--format", format, "--topk", 1)
    assert "\x1b]0;" not in text
    assert "\x9b" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("error: forged") for line in text.splitlines())
    assert r"\u202e" in text


def test_a_pipe_gets_names_as_they_are(folder: Path, tiny: str) -> None:
    args = ["predict", folder, "--model", tiny, "--format", "csv", "--topk", "1"]
    done = subprocess.run([*COMMAND, *map(str, args)], capture_output=True, check=False)
    assert f"a{STEERING}\nerror: forged.mp4".encode() in done.stdout
    assert done.returncode == 3


def test_notices_and_errors_are_one_line_each(
    run: Callable[..., Result], folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / f"b{STEERING}.mp4", tmp_path / f"m{STEERING}\nhint: x.yaml")
    result = run("models", tmp_path / f"m{STEERING}\nhint: x.yaml")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr
    result = run("predict", f"--{STEERING}.mp4")
    assert result.exit_code == 2
    assert "\x1b" not in result.stderr


# --- paths on stdin -------------------------------------------------------------------------------


def piped(data: bytes, tiny: str, folder: Path) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [*COMMAND, "predict", "-", "--model", tiny, "--format", "csv", "--topk", "1"],
        input=data, capture_output=True, check=False, cwd=folder,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_name_on_stdin_that_is_no_utf_8_is_a_video(
    tiny: str, folder: Path, tmp_path: Path
) -> None:
    for name in (b"x\xff.mp4", b"y.mp4"):
        shutil.copy(folder / NAME, os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    code, out, err = piped(b"x\xff.mp4\n\ny.mp4\n", tiny, tmp_path)
    assert (code, out.count(b"\n")) == (0, 3), err
    assert rb"x\udcff.mp4" in out


@pytest.mark.parametrize(
    ("data", "paths"),
    [
        (b"x\xff.mp4\n\ny.mp4\n", ["x\udcff.mp4", "y.mp4"]),
        (b"x\xff.mp4\r\ny.mp4\r\n", ["x\udcff.mp4", "y.mp4"]),
        (b"\xef\xbb\xbfx\xff.mp4\ny.mp4", ["x\udcff.mp4", "y.mp4"]),
        (b"x\xff.mp4\0y.mp4\0", ["x\udcff.mp4", "y.mp4"]),  # find -print0
        (b"x\ny.mp4\0", ["x\ny.mp4"]),
        ("größer.mp4\r\n".encode("utf-16"), ["größer.mp4"]),
    ],
)
def test_paths_on_stdin_are_bytes(
    data: bytes, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert list(expand_inputs(["-"], stdin=stdin_paths()).videos) == paths


def test_endless_input_is_refused() -> None:
    code = (
        "import sys, videoswin_cli.cli.stdin as s; s.MAX_BYTES = 1000\n"
        "from videoswin_cli.cli.app import main; main()"
    )
    command = [sys.executable, "-c", code, "predict", "-"]
    done = subprocess.run(command, input=b"x\n" * 501, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"standard input has more than 1000 bytes" in done.stderr
