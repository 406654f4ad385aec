"""Actions that die at the N-th change of a name or a length in a folder, and are started again."""

import gc
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

KILLED = 137  # exit status
_CHANGES = {
    *("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink"),
}
_WRITING = os.O_WRONLY | os.O_RDWR


def contents(folder: Path) -> dict[str, bytes | None]:
    """Files below a folder, and folders as None."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def run_apart(action: Callable[[], None], folder: Path, *, kill_at: int = 0) -> int:
    """Exit status of a forked process that acts, and dies before its `kill_at`-th change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks of processes with threads
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    gc.disable()  # it writes to every object, and so copies all memory
    try:
        _die_at(kill_at, folder)
        action()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - shown, and the process ends
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def kill_everywhere(
    action: Callable[[Path], None],
    folder: Path,
    *,
    before: Callable[[Path], None] = lambda folder: None,
    status: int = 0,
    same: Callable[[str], bool] = lambda name: True,
) -> int:
    """Kill an action at each of its changes, then let it end; all must leave the same.

    Args:
        action: is given a folder, and changes nothing outside.
        folder: gets a folder for each kill.
        before: prepares such a folder.
        status: of a run that ends.
        same: whether a file must have the same bytes, too.

    Returns:
        The number of changes.
    """
    expected: dict[str, bytes | None] = {}
    for kill_at in range(1000):
        own = folder / "here"
        own.mkdir()
        before(own)
        found = run_apart(lambda: action(own), own, kill_at=kill_at)  # noqa: B023
        if kill_at:
            assert found in (KILLED, status), (kill_at, found)
            again = run_apart(lambda: action(own), own)  # noqa: B023
            assert again == status, (kill_at, again, sorted(contents(own)))
            left = contents(own)
            assert left.keys() == expected.keys(), kill_at
            other = [n for n in left if left[n] != expected[n] and same(n)]
            assert other == [], kill_at
            if found == status:
                return kill_at - 1
        else:
            assert found == status
            expected = contents(own)
        own.rename(folder / str(kill_at))
    raise AssertionError("it never ends")


def _die_at(number: int, folder: Path) -> None:
    changes = 0

    def watch(event: str, args: tuple[Any, ...]) -> None:
        nonlocal changes
        if event == "open":
            counts = bool(args[2] & _WRITING) and str(args[0]).startswith(str(folder))
        else:
            counts = event in _CHANGES and not str(args[0]).startswith("/tmp/.")
        if counts:
            changes += 1
            if changes == number:
                os._exit(KILLED)

    if number:
        sys.addaudithook(watch)
