"""Signals that stop a run, which all its processes obey at the same place."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from videoswin_cli.engine.distributed import World


@contextmanager
def catch_signals() -> Iterator[Callable[[], bool]]:
    """Note Ctrl-C and SIGTERM: gives a function that says whether one came to this process.

    A second one ends it at once.
    """
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def remember(number: int, frame: object) -> None:
        seen.append(number)
        if len(seen) > 1:
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, remember)
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def agree(*flags: bool, world: World, device: torch.device) -> list[bool]:
    """Flags that are up in any process; all must ask at the same place."""
    if world.size == 1:
        return list(flags)
    values = torch.tensor(flags, dtype=torch.float32, device=device)
    dist.all_reduce(values)
    return [value > 0 for value in values.tolist()]
