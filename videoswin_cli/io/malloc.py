"""Memory allocation of the process by glibc, where there is glibc."""

import ctypes
import sys
from collections.abc import Callable
from typing import cast

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of returning its pages. It cannot be undone.

    A training step on a CPU frees and takes gigabytes; without this it has each page zeroed anew
    by the kernel and takes 1.4 times as long (`benchmarks/train_step.py`).
    """
    if (mallopt := _find("mallopt")) is None:
        return
    most = 2**31 - 1  # bytes; an int
    for parameter, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, most), (_TOP_PAD, 256 << 20)):
        mallopt(parameter, value)


def return_freed_memory() -> None:
    """Return freed pages to the system. By itself glibc keeps those between others."""
    if (malloc_trim := _find("malloc_trim")) is not None:
        malloc_trim(0)


def _find(name: str) -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return cast("Callable[..., int]", getattr(ctypes.CDLL(None), name))
    except (OSError, AttributeError):  # another C library
        return None
