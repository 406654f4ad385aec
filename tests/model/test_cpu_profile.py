"""Speeds of this machine, measured once."""

import errno
import itertools
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from plain_machine import plain_machine

from videoswin_cli.model.cpu import profile
from videoswin_cli.model.cpu.linear import has_fused_products
from videoswin_cli.model.cpu.profile import Machine

SOME = plain_machine(convolution=1.5, bf16=2.5)


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "own"))
    return tmp_path / "own" / "machine.json"


def know() -> Machine:
    """Without what this process knows already."""
    return profile.this_machine.__wrapped__()


def refuse() -> Machine:
    raise AssertionError("it was measured again")


def test_speeds_are_measured_and_plausible(file: Path) -> None:
    found = know()
    assert 0 < found.convolution < math.inf  # how fast is the processor's affair
    assert 0 < found.bf16 < math.inf
    assert 0 <= found.fused < math.inf
    assert 0 <= found.fused_bf16 < math.inf
    assert 0 <= found.attention_bf16 < math.inf
    assert (found.attention_bf16 > 0) == (found.bf16 > 1)
    assert (found.fused > 0) == has_fused_products(torch.float32)
    assert (found.fused_bf16 > 0) == has_fused_products(torch.bfloat16)
    (kept,) = json.loads(file.read_text())["machines"].values()
    assert Machine(**kept) == found


def test_only_the_time_of_the_thread_behind_the_first_use_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "thread_time", lambda: now[0])

    def kernel(first: float, later: float) -> Callable[[], Any]:
        seconds = itertools.chain([first], itertools.repeat(later))

        def run() -> None:
            now[0] += next(seconds)

        return run

    assert profile._compare(kernel(100.0, 2.0), kernel(1.0, 4.0)) == 0.5


def test_they_are_measured_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "_measure", lambda: SOME)
    assert know() == SOME
    monkeypatch.setattr(profile, "_measure", refuse)
    assert know() == SOME


def test_several_machines_share_a_home(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = plain_machine(convolution=3.0)
    for name, speeds in (("a", SOME), ("b", other)):
        monkeypatch.setattr(profile, "_name_machine", lambda name=name: name)
        monkeypatch.setattr(profile, "_measure", lambda speeds=speeds: speeds)
        assert know() == speeds
    assert json.loads(file.read_text())["machines"].keys() == {"a", "b"}


OTHER = asdict(plain_machine(convolution=3.0))
WITHOUT = [{name: OTHER[name] for name in OTHER if name != left_out} for left_out in OTHER]


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", '{"a": 1}', '{"version": 2}'),
        {"a": OTHER},  # of before there were versions
        {"machines": {"a": OTHER}},
        {"version": 1, "machines": {"a": OTHER}},
        {"version": 99, "machines": {"a": OTHER | {"more": 1.0}}},
        {"version": profile._VERSION, "machines": {"a": OTHER | {"bf16": "x"}}},
        *({"version": profile._VERSION, "machines": {"a": speeds}} for speeds in WITHOUT),
    ],
    ids=str,
)
def test_a_damaged_or_foreign_file_is_measured_again(
    content: str | dict[str, Any], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "_name_machine", lambda: "a")
    file.parent.mkdir()
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    monkeypatch.setattr(profile, "_measure", lambda: SOME)
    assert know() == SOME
    kept = {"version": profile._VERSION, "machines": {"a": asdict(SOME)}}
    assert json.loads(file.read_text()) == kept
    monkeypatch.setattr(profile, "_measure", refuse)
    assert know() == SOME


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

    def refuse_to_write(path: Any, flags: int, *more: Any, **named: Any) -> int:
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
