"""Runs that repeat to the bit, on a GPU too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from videoswin_cli.errors import UsageError
from videoswin_cli.ranges import shown

_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
_WORKSPACES = (":4096:8", ":16:8")  # the two with which cuBLAS repeats, and torch allows it


@contextmanager
def deterministic() -> Iterator[None]:
    """Refuse operations that may differ from run to run, for the block.

    To be entered before the first operation on a GPU: cuBLAS reads its variable only then.

    Raises:
        UsageError: the environment gives cuBLAS a workspace with which its products may differ.
    """
    given = os.environ.get(_VARIABLE)
    if given not in (None, *_WORKSPACES):
        raise UsageError(
            f"{_VARIABLE} is {shown(given)}: products on a GPU may differ from run to run",
            hint=f"--deterministic needs {' or '.join(_WORKSPACES)}; it sets the first if unset",
        )
    before = torch.are_deterministic_algorithms_enabled()
    os.environ[_VARIABLE] = given or _WORKSPACES[0]
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        if given is None:
            del os.environ[_VARIABLE]
