"""Speeds of this machine, and the product that may be faster on it."""

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from videoswin_cli.model.cpu import profile
from videoswin_cli.model.cpu.linear import convolve
from videoswin_cli.model.cpu.profile import Machine

SOME = Machine(convolution=1.5, bf16=2.5)


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "own"))
    return tmp_path / "own" / "machine.json"


def know() -> Machine:
    """Without what this process knows already."""
    return profile.this_machine.__wrapped__()


def refuse() -> Machine:
    raise AssertionError("it was measured again")


@pytest.mark.parametrize("rows", [1, 7, 800])
@pytest.mark.parametrize("biased", [True, False])
def test_a_convolution_is_the_same_product(rows: int, biased: bool) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(rows, 24), torch.randn(40, 24), torch.randn(40)
    found = convolve(x, weight, bias if biased else None)
    assert found.is_contiguous()
    torch.testing.assert_close(
        found, F.linear(x, weight, bias if biased else None), rtol=1e-5, atol=1e-5
    )


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
def test_a_convolution_is_another_library_even_in_one_thread() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    x, weight = torch.randn(400, 96), torch.randn(40, 96)
    with torch.inference_mode(), torch.profiler.profile() as found:
        convolve(x, weight, None)
    torch.set_num_threads(before)
    assert "aten::mkldnn_convolution" in {row.key for row in found.key_averages()}


def test_speeds_are_measured_and_plausible(file: Path) -> None:
    found = know()
    assert 0 < found.convolution < math.inf  # how fast is the processor's affair
    assert 0 < found.bf16 < math.inf
    (kept,) = json.loads(file.read_text()).values()
    assert Machine(**kept) == found


def test_they_are_measured_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "_measure", lambda: SOME)
    assert know() == SOME
    monkeypatch.setattr(profile, "_measure", refuse)
    assert know() == SOME


def test_several_machines_share_a_home(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Machine(convolution=3.0, bf16=1.0)
    for name, speeds in (("a", SOME), ("b", other)):
        monkeypatch.setattr(profile, "_name_machine", lambda name=name: name)
        monkeypatch.setattr(profile, "_measure", lambda speeds=speeds: speeds)
        assert know() == speeds
    assert json.loads(file.read_text()).keys() == {"a", "b"}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a": 1}', '{"a": {"bf16": 1.0}}', '{"a": {"bf16": "x"}}']
)
def test_a_damaged_file_is_measured_again(
    text: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.parent.mkdir()
    file.write_text(text)
    monkeypatch.setattr(profile, "_measure", lambda: SOME)
    assert know() == SOME
    assert len(json.loads(file.read_text())) == 1


def test_a_home_that_cannot_be_written_is_no_hindrance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(profile, "_measure", lambda: SOME)
    assert know() == SOME


def test_without_a_home_directory_it_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(profile, "cache_dir", fail)
    monkeypatch.setattr(profile, "_measure", lambda: SOME)
    assert know() == SOME


def test_a_home_that_is_read_only_is_no_hindrance(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.parent.mkdir()
    opened = os.open

    def refuse_to_write(path: object, flags: int, *more: object, **named: object) -> int:
        if str(path).startswith(str(file.parent)) and flags & (
            os.O_CREAT | os.O_WRONLY | os.O_RDWR
        ):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse_to_write)
    monkeypatch.setattr(profile, "_measure", lambda: SOME)
    assert know() == SOME
    assert list(file.parent.iterdir()) == []


def test_processes_that_start_together_agree(file: Path) -> None:
    code = "from videoswin_cli.model.cpu.profile import this_machine; print(this_machine())"
    runs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = [run.communicate(timeout=120)[0] for run in runs]
    assert found[0].startswith("Machine(")
    assert found[0] == found[1]
