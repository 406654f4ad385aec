"""The end of `videoswin serve` by a signal: while it loads, and while a request runs."""

import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
from make_video import write_video
from typer.testing import CliRunner

from videoswin_cli.cli.app import app
from videoswin_cli.cli.last_net import TerminatedError, terminable
from videoswin_cli.model import loading
from videoswin_cli.tasks.serve import serve

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends a process at once")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("module", "step"), [(loading, "find_chosen"), (serve, "open_runner")])
def test_a_signal_while_it_loads_stops_it(
    number: signal.Signals, module: Any, step: str, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[type[BaseException]] = []

    def load(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(number)
        except BaseException as error:
            raised.append(type(error))
            raise

    monkeypatch.setattr(module, step, load)
    with terminable():
        done = CliRunner().invoke(app, ["serve", "--model", tiny, "--port", "0"])
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.endswith("stopped\n")
    assert raised == [TerminatedError]  # Python dies of a KeyboardInterrupt out of an import


def test_a_size_that_is_none_names_its_option(tiny: str) -> None:
    done = CliRunner().invoke(app, ["serve", "--model", tiny, "--max-body", "5XB"])
    assert done.exit_code == 2
    assert "--max-body '5XB': expected" in done.stderr


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_sigterm_finishes_the_request_that_runs(tiny: str, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", frames=20)
    form = requests.Request("POST", "http://-", files={"file": ("a.mp4", clip.read_bytes())})
    sent = form.prepare()
    whole = sent.body
    assert isinstance(whole, bytes)
    stopping = Event()

    def body() -> Any:
        yield whole[:100]
        stopping.wait()
        yield whole[100:]

    command = [sys.executable, "-m", "videoswin_cli", "serve", "--model", tiny, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        lines = iter(server.stderr.readline, "")
        url = next(found[0] for line in lines if (found := re.search(r"http://[^/]+", line)))
        kind = {"Content-Type": sent.headers["Content-Type"]}
        with ThreadPoolExecutor(1) as pool:
            reply = pool.submit(
                requests.post, f"{url}/predict", data=body(), headers=kind, timeout=60
            )
            while "_receiving 1.0" not in requests.get(f"{url}/metrics", timeout=60).text:
                time.sleep(0.02)
            server.send_signal(signal.SIGTERM)
            while listens(int(url.rpartition(":")[2])):
                time.sleep(0.02)
            stopping.set()
            assert reply.result().status_code == 200
            assert len(reply.result().json()["top"]) == 5
        rest = server.stderr.read()
    assert (server.returncode, rest) == (0, "stopped\n")
