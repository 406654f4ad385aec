"""Memory allocation of the process. For commands only: it cannot be undone."""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of returning its pages, where there is glibc.

    A training step on a CPU frees and takes gigabytes; without this it has each page zeroed anew
    by the kernel and takes 1.4 times as long (`benchmarks/train_step.py`).
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    most = 2**31 - 1  # bytes; an int
    for parameter, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, most), (_TOP_PAD, 256 << 20)):
        mallopt(parameter, value)
