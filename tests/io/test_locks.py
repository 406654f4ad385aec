import os
import sys
from pathlib import Path

import pytest
from kills import run_apart

from videoswin_cli.io import locks
from videoswin_cli.io.locks import is_locked, release, take_lock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")


def test_one_holds_a_lock(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    assert not is_locked(file)
    held = take_lock(file)
    assert held is not None
    assert take_lock(file) is None
    assert is_locked(file)
    release(held)
    assert not is_locked(file)


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    def hold_and_die() -> None:
        assert take_lock(tmp_path / "lock") is not None
        os._exit(9)

    assert run_apart(hold_and_die, tmp_path) == 9
    assert (tmp_path / "lock").exists()
    assert not is_locked(tmp_path / "lock")


def test_a_forked_worker_that_lives_on_holds_nothing(tmp_path: Path) -> None:
    held = take_lock(tmp_path / "lock")
    assert held is not None
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    assert is_locked(tmp_path / "lock")
    release(held)
    assert not is_locked(tmp_path / "lock")
    os.write(done[1], b"x")
    os.waitpid(child, 0)


def test_a_lock_file_that_was_removed_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its holder removes it and releases it; who waited must not hold a file without a name."""
    file = tmp_path / "lock"
    lock = locks._lock
    tries = 0

    def wait(descriptor: int, wait: bool) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            file.unlink()
        lock(descriptor, wait)

    monkeypatch.setattr(locks, "_lock", wait)
    held = take_lock(file, wait=True)
    assert tries == 2
    assert is_locked(file)
    assert held is not None
    release(held)


def test_a_file_system_without_locks_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int, wait: bool) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks, "_lock", fail)
    held = [take_lock(tmp_path / "lock") for _ in range(2)]
    assert None not in held
    assert not is_locked(tmp_path / "lock")
    for each in held:
        release(each or 0)
