"""Runs that repeat to the bit, on a GPU too."""

import os

import torch

from videoswin_cli.errors import UsageError
from videoswin_cli.ranges import shown

_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
_WORKSPACES = (":4096:8", ":16:8")  # the two with which cuBLAS repeats, and torch allows it


def compute_deterministically() -> None:
    """Refuse operations that may differ from run to run; to be called before the first on a GPU.

    Raises:
        UsageError: the environment gives cuBLAS a workspace with which its products may differ.
    """
    workspace = os.environ.setdefault(_VARIABLE, _WORKSPACES[0])
    if workspace not in _WORKSPACES:
        raise UsageError(
            f"{_VARIABLE} is {shown(workspace)}: products on a GPU may differ from run to run",
            hint=f"--deterministic needs {' or '.join(_WORKSPACES)}; it sets the first if unset",
        )
    torch.use_deterministic_algorithms(True)
