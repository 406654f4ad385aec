"""One of two processes that train together, stopped and resumed again and again.

`python two_processes.py RANK FOLDER PORT...` with the clips of `few_clips` in FOLDER.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from few_clips import train

from videoswin_cli.training.inputs import ClipInputs
from videoswin_cli.training.step import Stepper

# Process and event that a signal comes to it in: a step of both epochs, or a validation. Six clips
# are one step of two processes.
STOPS = ((1, "step", 1), (0, "logits", 1), (1, "logits", 2), (0, "step", 2))
PORTS = 2 * len(STOPS) + 1


@contextmanager
def signalled(event: str, number: int) -> Iterator[None]:
    """SIGTERM comes in the N-th call of a method, from 1."""
    kind: Any = Stepper if event == "step" else ClipInputs
    method, calls = getattr(kind, event), 0

    def counted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return method(*args)

    setattr(kind, event, counted)
    try:
        yield
    finally:
        setattr(kind, event, method)


def wait_for_both(folder: Path, rank: int, number: int) -> None:
    marks = [folder / f"{number}.{each}" for each in (0, 1)]
    marks[rank].touch()
    deadline = time.monotonic() + 120
    while not all(mark.exists() for mark in marks):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def main(rank: int, folder: Path, ports: Iterator[str]) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = next(ports)
    train(folder, folder / "undisturbed/o")
    for number, (process, event, call) in enumerate(STOPS):
        out = folder / str(number) / "o"  # its name is in the weight files
        os.environ["MASTER_PORT"] = next(ports)
        if rank == process:
            with signalled(event, call):
                done = train(folder, out)
        else:
            done = train(folder, out)
        assert done.interrupted, (number, "not stopped")
        wait_for_both(folder, rank, number)  # the first one may still write the state
        os.environ["MASTER_PORT"] = next(ports)
        done = train(folder, out)
        assert not done.interrupted, (number, "stopped")
        (folder / f"{number}.{rank}.result").write_text(repr(done))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), iter(sys.argv[3:]))
