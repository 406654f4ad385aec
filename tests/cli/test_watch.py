"""`videoswin watch` from outside."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import FPS, serve_tcp, write_stream
from make_video import decode_numbers, write_video
from rich.console import Console
from typer.testing import Result

from videoswin_cli.records import ClassProbability, LiveEvent
from videoswin_cli.report.live import live_table

COMMAND = [sys.executable, "-m", "videoswin_cli", "watch"]


def test_a_file_is_watched_to_its_end(
    run: Callable[..., Result], tiny: str, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "v.mp4", frames=20, fps=FPS)
    result = run("watch", path, "--model", tiny, "--topk", 2, "--record", "copy.mkv")
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    event = json.loads(line)
    assert list(event) == [
        "source", "model", "time", "start", "end", "top", "delay", "fps", "frames", "dropped",
        "damaged", "reconnects",
    ]  # fmt: skip
    assert (event["source"], event["model"], event["start"]) == (str(path), "tiny", 0)
    assert len(event["top"]) == 2
    assert f"{path}: 1 clip of 20 frames, 0 frames dropped" in result.stderr
    assert decode_numbers(tmp_path / "copy.mkv", "pyav")[1] == list(range(20))


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_signals_end_it_cleanly(number: signal.Signals, tiny: str, tmp_path: Path) -> None:
    data = write_stream(tmp_path / "s.ts")
    environment = {k: v for k, v in os.environ.items() if k != "VIDEOSWIN_OFFLINE"}
    with serve_tcp([data], then="hold") as url:
        arguments = [url.replace("//", "//me:secret@"), "--model", tiny, "--record", "day.ts"]
        with subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(number)
            _, messages = process.communicate(timeout=60)
    assert process.returncode == 0, messages
    assert json.loads(first)["source"] == url
    assert f"{url}: " in messages.splitlines()[-2]
    assert messages.splitlines()[-1] == "recorded: day.ts"
    assert "secret" not in first + messages
    assert [path.name for path in tmp_path.glob("day*")] == ["day.ts"]


# Waits for a stream that is lost and comes again.
@pytest.mark.slow
def test_a_terminal_gets_a_table_and_messages_above_it(tiny: str, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "VIDEOSWIN_OFFLINE"}
    leader, follower = pty.openpty()
    with serve_tcp([write_stream(tmp_path / "s.ts")]) as url:
        arguments = [url, "--model", tiny, "--topk", "2"]
        with subprocess.Popen(
            [*COMMAND, *arguments], stdout=follower, stderr=follower, env=environment
        ) as process:
            os.close(follower)
            text, asked = b"", False
            while piece := read(leader):
                text += piece
                if not asked and b"connected again" in text:
                    process.send_signal(signal.SIGINT)
                    asked = True
    os.close(leader)
    assert process.returncode == 0
    assert re.search(rb"[0-9]+ frames, [0-9]+ dropped", text)  # a busy machine drops some
    # The lines of the table are cleared before, so that it is drawn below.
    assert re.search(rb"\x1b\[1A\x1b\[2Ktcp://[0-9.:]+: lost \(the stream ended\)", text)
    assert url.encode() + b": " in text.splitlines()[-1]


def read(leader: int) -> bytes:
    try:
        return os.read(leader, 1 << 16)
    except OSError:  # as Linux tells that nobody writes any more
        return b""


def test_the_table_shows_bars_delay_and_losses() -> None:
    event = LiveEvent(
        source="cam\x1b]0;x\x07", model="m", time="2026-01-01T00:00:00.000Z", start=0, end=1,
        top=(ClassProbability(label="wave\x9b31m", index=0, prob=0.75),),
        delay=0.256, fps=29.97, frames=400, dropped=12, damaged=3, reconnects=1,
    )  # fmt: skip
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(live_table(event))
    text = console.export_text()
    console.file.close()
    assert "75.00%  ██████████████████ " in text
    assert "delay 0.26 s · 30.0 fps · 400 frames, 12 dropped · 3 damaged · 1 reconnect" in text
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert r"wave\x9b31m" in text


def test_a_table_needs_a_terminal(run: Callable[..., Result], tiny: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=5)
    result = run("watch", path, "--model", tiny, "--format", "table")
    assert result.exit_code == 2
    assert "needs a terminal" in result.stderr


def test_a_stream_that_cannot_be_reached_is_exit_code_4(
    run: Callable[..., Result], tiny: str
) -> None:
    result = run("watch", "rtsp://me:secret@127.0.0.1/cam", "--model", tiny)  # offline
    assert result.exit_code == 4
    assert "rtsp://127.0.0.1/cam: offline mode forbids the network" in result.stderr
    assert "secret" not in result.stderr
