"""`videoswin doctor`: sound parts are said to be, broken ones are found and end no command."""

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from broken_package import break_package
from fault_server import Reply, serve
from typer.testing import Result

from videoswin_cli.data.encoding import codec_samples
from videoswin_cli.data.encoding.codec_samples import ENCODERS, find_encoder, write_sample
from videoswin_cli.io.reach import find_obstacle
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.weights import cached_path
from videoswin_cli.records import HealthRow
from videoswin_cli.report.doctor import health_lines
from videoswin_cli.tasks.doctor import decoding, packages
from videoswin_cli.tasks.doctor.decoding import read_sample, try_decoders
from videoswin_cli.tasks.doctor.storage import look_at_storage

Run = Callable[..., Result]


def test_a_sound_installation_is_healthy_and_says_what_its_decoders_read(run: Run) -> None:
    done = run("doctor", "--format", "json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["healthy"]) == (0, True), done.stdout
    values = {row["name"]: row["value"] for row in found["rows"]}
    for codec in ENCODERS:
        if find_encoder(codec):
            assert values[f"pyav, {codec}"] == "reads it"
    assert {"videoswin", "torch", "device", "bf16", "threads", "checkpoints"} <= values.keys()
    assert not [row for row in found["rows"] if row["part"] == "network"]


def test_encoders_of_samples_write_nothing_to_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SVT_LOG", raising=False)
    for codec in ENCODERS:
        if encoder := find_encoder(codec):
            write_sample(tmp_path / f"{codec}.mkv", encoder)
    assert capfd.readouterr() == ("", "")


def test_what_makes_runs_fail_is_the_exit_code_and_the_first_advice(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOSWIN_CACHE_SIZE", "much")
    monkeypatch.setattr(decoding, "try_decoders", lambda: iter(()))
    done = run("doctor")
    assert done.exit_code == 1
    assert "1 problem\n1. limit of videos: set VIDEOSWIN_CACHE_SIZE" in done.stdout


def _crash(*_: object) -> HealthRow:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def test_a_decoder_that_crashed_is_a_problem_and_an_encoder_is_not() -> None:
    row = decoding._Trials().failed(partial(_crash, "decord", "VP9"), "the process died")
    assert (row.name, row.state) == ("decord, VP9", "problem")
    assert row.value == "crashes: the process died"
    assert "--decoder pyav" in row.advice
    row = decoding._Trials().failed(partial(_crash, "encoder", "AV1"), "the process died")
    assert (row.name, row.state) == ("encoder, AV1", "note")


@pytest.mark.slow  # torch looks for dead processes every five seconds, and a trial has two
def test_a_library_that_crashes_does_not_end_the_command() -> None:
    (row,) = decoding._run([partial(_crash, "decord", "VP9")])
    assert row.value.startswith("crashes: the process that decoded it died")


def test_a_decoder_of_wrong_pixels_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = find_encoder("H.264")
    assert encoder is not None
    write_sample(tmp_path / "a.mkv", encoder)
    assert read_sample("pyav", "H.264", tmp_path / "a.mkv").state == "ok"
    swapped = tuple(np.roll(codec_samples.LEVELS, 1))
    monkeypatch.setattr(decoding, "LEVELS", swapped)
    row = read_sample("pyav", "H.264", tmp_path / "a.mkv")
    assert (row.state, row.value[:18]) == ("problem", "gives wrong pixels")


def test_a_codec_without_an_encoder_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "find_encoder", lambda codec: None)
    rows = list(try_decoders())
    assert [row.name for row in rows] == list(ENCODERS)
    assert all(row.state == "note" and row.value.startswith("not tried") for row in rows)


def test_a_cache_below_a_file_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "file" / "cache"))
    row = next(look_at_storage())
    assert (row.state, row.name) == ("problem", "cache folder")
    assert "VIDEOSWIN_HOME" in row.advice


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"broken", "no weight file, 6 bytes"),
        (b"PK\x03\x04 cut", "8 bytes, 900 when it was fetched"),
    ],
)
def test_a_damaged_checkpoint_of_the_cache_is_a_problem(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path))
    path = cached_path(load_spec("swin-tiny-k400"))
    path.parent.mkdir()
    path.write_bytes(content)
    record = {"sha256": "0" * 64, "size": 900, "mtime_ns": 0}
    path.with_name(f"{path.name}.sha256.json").write_text(json.dumps(record))
    (row,) = (row for row in look_at_storage() if row.state == "problem")
    assert row.value == f"{path}: {said}"
    assert row.advice == "videoswin download swin-tiny-k400 --force"


def test_a_folder_that_leads_nowhere_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path))
    (tmp_path / "videos").symlink_to(tmp_path / "gone")
    (row,) = (row for row in look_at_storage() if row.state == "problem")
    assert (row.name, row.value) == ("videos", f"{tmp_path / 'videos'}: a link to nothing")


def test_a_missing_extra_is_one_line_with_its_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "numpy>=1.26",
        'numpy>=1; extra == "here"',
        'no-such-a>=1; extra == "gone"',
        "no-such-b[x]; extra == 'gone'",
        'ruff; extra == "dev"',
    ]
    monkeypatch.setattr(packages, "requires", lambda name: lines)
    found = {row.name: row.value for row in packages.list_extras()}
    assert found == {
        "here": "installed",
        "gone": 'missing no-such-a, no-such-b: pip install "videoswin[gone]"',
    }


def test_what_is_broken_is_reinstalled_in_a_version_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a PyAV whose `open` has other arguments."""

    def open_video(*_: object, **__: object) -> None:
        raise TypeError("open() got an unexpected keyword argument")

    monkeypatch.setattr(packages, "requires", lambda name: ["avx>=1", "av<19,>=17.1"])
    monkeypatch.setattr(decoding, "open_video", open_video)
    row = read_sample("pyav", "H.264", tmp_path / "a.mkv")
    assert row.state == "problem"
    assert row.advice == 'pip install --force-reinstall --no-deps "av<19,>=17.1"'


def test_servers_are_asked_for_a_byte() -> None:
    with serve(b"weights") as server:
        server.script = [Reply(status=404)]
        assert find_obstacle(server.url()) == "HTTP 404"
        assert find_obstacle(server.url()) is None
        assert server.ranges == ["bytes=0-0", "bytes=0-0"]
        address = server.url()
    assert "refused" in (find_obstacle(address) or "")


def test_the_report_puts_problems_before_notes() -> None:
    rows = [
        HealthRow(part="a", name="one", value="x", state="note", advice="do this"),
        HealthRow(part="a", name="two", value="y\nz", state="problem", advice="do that"),
    ]
    assert list(health_lines(rows)) == [
        *("a", "- one  x", "! two  y z", "", "1 problem"),
        *("1. two: do that", "2. one: do this"),
    ]


def test_an_extra_that_does_not_load_is_not_called_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_package("openvino", tmp_path / "site", monkeypatch)
    monkeypatch.setattr(packages, "version", lambda name: "2026.4")
    row = next(row for row in packages.list_extras() if row.name == "openvino")
    assert (row.state, row.value) == (
        "note",
        "openvino cannot be imported: OSError: libgone.so: cannot open",
    )
    assert "--force-reinstall" in row.advice
