"""What nobody expected is a line and an exit code, on whatever machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from videoswin_cli.cli import app as app_module
from videoswin_cli.cli import download as download_module
from videoswin_cli.cli.last_net import explain, without_traceback
from videoswin_cli.errors import UsageError, VideoSwinError

TORCH_TEXT = (
    "Caught ValueError in DataLoader worker process 0.\n"
    "Original Traceback (most recent call last):\n"
    '  File "x.py", line 1, in f\nValueError: too odd\n'
)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("odd\nsecond line"), "error: internal error: ValueError: odd"),
        (ValueError("\x1b[31m" + "x" * 9999), r"error: internal error: ValueError: \x1b[31mxxx"),
        (KeyError(), "error: internal error: KeyError"),
        (RuntimeError(TORCH_TEXT), "error: internal error: ValueError: too odd"),
        (OSError(TORCH_TEXT), "error: ValueError: too odd"),
        (RecursionError("maximum"), "error: internal error: RecursionError: maximum: something is"),
        (MemoryError(), "error: out of memory: MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "error: out of memory: Run"),
        (OSError(28, "No space left on device", "x.npy"), "error: x.npy: No space left on device"),
    ],
)
def test_an_unexpected_error_is_a_line(
    error: Exception, line: str, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explain(error)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") <= 2
    assert all(len(text) < 500 for text in err.splitlines())
    internal = "internal error" in line
    assert len(list(reports.iterdir())) == internal
    for report in reports.iterdir():
        assert str(report) in err
        assert type(error).__name__ in report.read_text()


def test_an_error_of_ours_in_a_worker_has_no_traceback() -> None:
    text = TORCH_TEXT.replace("ValueError: ", "videoswin_cli.errors.VideoSwinError: ")
    assert without_traceback(VideoSwinError(text, hint="x")).message == "too odd"
    error = UsageError("as it is: yes")
    assert without_traceback(error) is error


def test_reports_are_never_written_over_and_need_no_temporary_folder(
    reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    explain(ValueError("one"))
    explain(ValueError("two"))
    assert len(list(reports.iterdir())) == 2
    monkeypatch.setattr("tempfile.tempdir", str(reports / "gone"))
    explain(ValueError("three"))
    (report,) = (Path(os.environ["VIDEOSWIN_HOME"]) / "crashes").iterdir()
    assert "three" in report.read_text()
    monkeypatch.setenv("VIDEOSWIN_HOME", str(report))
    capsys.readouterr()
    explain(ValueError("four"))
    assert "VIDEOSWIN_DEBUG=1" in capsys.readouterr().err


def test_main_catches_all(
    reports: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["videoswin", "download", "swin-tiny-k400"])
    monkeypatch.setattr("videoswin_cli.cli.last_net.close_stdout", lambda: None)
    monkeypatch.setattr(download_module, "load_spec", lambda name: 1 / 0)
    monkeypatch.setattr(app_module, "reproducible_sums", lambda: None)  # this process has computed
    with pytest.raises(SystemExit) as caught:
        app_module.main()
    assert caught.value.code == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("error: internal error: ZeroDivisionError: division by zero\nhint: this ")
    monkeypatch.setenv("VIDEOSWIN_DEBUG", "1")
    with pytest.raises(SystemExit):
        app_module.main()
    assert "Traceback (most recent call last)" in capfd.readouterr().err


PREDICT = (sys.executable, "-m", "videoswin_cli", "predict")
SLOW = """
import sys, time
from pathlib import Path
from videoswin_cli.cli.app import main
from videoswin_cli.data import view_dataset

reached = Path(sys.argv.pop(1))
view_dataset.open_as = lambda *_: (reached.touch(), time.sleep(60))
main()
"""


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_sigterm_ends_the_run_and_its_workers(
    workers: int, tiny: str, clips: Path, tmp_path: Path
) -> None:
    reached, out = tmp_path / "reached", tmp_path / "out.csv"
    command = [sys.executable, "-c", SLOW, str(reached), "predict", str(clips), "--model", tiny]
    options = ["--workers", str(workers), "--format", "csv", "--out", str(out)]
    with subprocess.Popen(
        [*command, *options], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        while not reached.exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()  # ends when the last worker has closed its stderr
    assert process.returncode == 143
    assert err.endswith("terminated\n")
    assert "Traceback" not in err
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert not out.exists()


def test_a_closed_stdout_is_no_failure_to_tell(tiny: str, clips: Path) -> None:
    command = [*PREDICT, str(clips / "b.mp4"), "--model", tiny]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 141
    assert "rror" not in done.stderr
