"""Functions of test files in processes that start anew, where these files are no modules."""

import runpy
from collections.abc import Callable
from typing import Any

from torch.multiprocessing.spawn import spawn


def run_in_processes(function: Callable[..., None], *args: object, processes: int) -> None:
    """Call `function(rank, *args)` of a test file in each process; one that fails is an error."""
    code: Any = function
    spawn(_call, (code.__code__.co_filename, function.__name__, *args), nprocs=processes)


def _call(rank: int, file: str, name: str, *args: object) -> None:
    runpy.run_path(file)[name](rank, *args)
