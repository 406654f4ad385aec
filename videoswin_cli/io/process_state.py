"""State of the whole process that a run changes for a while, as context managers that put it back.

Signal handlers, numbers of threads, file descriptors, switches of torch: what a program that calls
videoswin has set stands again afterwards. This module lies in `io`, the lowest layer whose users
(`data`, `model`, `engine`, `training`) all need it; torch is imported where it is used.

`reproducible_sums` and `io.malloc` are the exceptions: for good, and only for those who ask.
"""

import ctypes
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from videoswin_cli.errors import UsageError
from videoswin_cli.ranges import shown

Value = TypeVar("Value")

_CBWR_VARIABLE = "MKL_CBWR"
_CBWR_STRICT = 1 << 16  # of MKL's mkl_types.h
_CUBLAS_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
_CUBLAS_WORKSPACES = (":4096:8", ":16:8")  # the two with which cuBLAS repeats, and torch allows it


class Shared(Generic[Value]):
    """Context manager that several threads may be in at once: the last one out puts things back."""

    def __init__(self, change: Callable[[], AbstractContextManager[Value]]) -> None:
        self._change = change
        self._lock = threading.Lock()
        self._users = 0
        self._undo = ExitStack()
        self._value: Any = None

    def __enter__(self) -> Value:
        with self._lock:
            if not self._users:
                self._value = self._undo.enter_context(self._change())
            self._users += 1
            value: Value = self._value
            return value

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._undo.close()


@contextmanager
def environment_kept() -> Iterator[None]:
    """The environment's variables and their values, whatever is set inside."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


# --- file descriptors -----------------------------------------------------------------------------


@contextmanager
def captured_stderr() -> Iterator[Callable[[], list[str]]]:
    """File descriptor 2 in a buffer: what native code writes there.

    Yields:
        A function that returns the lines written so far, without empty ones.
    """
    with ExitStack() as undo:
        try:
            stderr = os.dup(2)
        except OSError:  # no stderr at all (pythonw, daemons)
            yield list
            return
        undo.callback(os.close, stderr)
        if sys.stderr is not None:
            with suppress(OSError, ValueError):  # a full pipe, or closed
                sys.stderr.flush()
        buffer = _make_buffer()
        undo.callback(os.close, buffer)
        os.dup2(buffer, 2)
        undo.callback(os.dup2, stderr, 2)
        yield lambda: _read_lines(buffer)


def _make_buffer() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("stderr")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _read_lines(buffer: int) -> list[str]:
    os.lseek(buffer, 0, os.SEEK_SET)
    lines = os.read(buffer, 1 << 16).decode(errors="replace").split("\n")
    os.lseek(buffer, 0, os.SEEK_END)
    return [line for line in lines if line.strip()]


# --- signals --------------------------------------------------------------------------------------


@contextmanager
def child_signals_kept() -> Iterator[None]:
    """SIGCHLD does not reach its handler inside, and the handler stays the caller's.

    Torch's handler raises wherever the main thread happens to be, in the network perhaps. It is set
    by the first `DataLoader` with workers, ours or the caller's, and a worker may die before
    `unwatch_workers`, to be called inside, hides it. Without the handler the death of a worker
    shows when its item is due. A signal that came inside is sent again afterwards.
    """
    from torch.utils.data._utils import signal_handling

    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield  # torch sets none
        return
    came: list[int] = []
    handler = signal.getsignal(signal.SIGCHLD)
    if handler is not None:  # None: not set from Python, and could not be put back
        signal.signal(signal.SIGCHLD, lambda number, _: came.append(number))
    known = getattr(signal_handling, "_SIGCHLD_handler_set", None)
    if known is not None:
        signal_handling._SIGCHLD_handler_set = True  # so that torch sets none over this one
    try:
        yield
    finally:
        if handler is not None:
            signal.signal(signal.SIGCHLD, handler)
        if known is not None:  # or torch would not set it for the caller's own loaders
            signal_handling._SIGCHLD_handler_set = known
        if came and callable(handler):
            signal.raise_signal(signal.SIGCHLD)


def unwatch_workers(iterator: object) -> None:
    """Hide the workers of a `DataLoader` iterator from torch's SIGCHLD handler."""
    from torch.utils.data._utils import signal_handling

    if getattr(iterator, "_worker_pids_set", False):
        with suppress(AttributeError, ValueError):  # another torch: the handler sees them
            signal_handling._remove_worker_pids(id(iterator))  # type: ignore[attr-defined]
            iterator._worker_pids_set = False  # type: ignore[attr-defined]


# --- torch ----------------------------------------------------------------------------------------


@contextmanager
def torch_threads(count: int | None = None) -> Iterator[None]:
    """`count` threads per operation of torch in the calling thread (None: as many as before)."""
    import torch

    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Errors instead of operations that may differ between runs; for use before the first on a GPU.

    Raises:
        UsageError: the environment gives cuBLAS a workspace with which its products may differ.
    """
    import torch

    given = os.environ.get(_CUBLAS_VARIABLE)
    if given not in (None, *_CUBLAS_WORKSPACES):
        raise UsageError(
            f"{_CUBLAS_VARIABLE} is {shown(given)}: products on a GPU may differ from run to run",
            hint=f"--deterministic needs {' or '.join(_CUBLAS_WORKSPACES)}; it sets the first if "
            "unset",
        )
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault(_CUBLAS_VARIABLE, _CUBLAS_WORKSPACES[0])
    try:
        with environment_kept():  # torch names a folder for compiled kernels there
            torch.use_deterministic_algorithms(True)
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        if given is None:
            os.environ.pop(_CUBLAS_VARIABLE, None)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Torch's own random numbers continue afterwards as before."""
    import torch

    begun = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(list(range(torch.cuda.device_count())) if begun else []):
        yield


@contextmanager
def _full_float32() -> Iterator[None]:
    """Products in float32 without TF32, which keeps 10 of 23 bits, and without bfloat16.

    TF32 is the default of cuDNN's convolutions; for matrix products the caller may have chosen so.
    Torch has older switches, which it refuses to read where the caller used the newer ones, and it
    refuses to compute where the two disagree: so both are set.
    """
    import torch

    backends = torch.backends
    operations: list[Any] = [
        backends.cuda.matmul,
        *(getattr(backends.cudnn, name, None) for name in ("conv", "rnn")),
        *(getattr(backends.mkldnn, name, None) for name in ("matmul", "conv", "rnn")),
    ]
    operations = [operation for operation in operations if hasattr(operation, "fp32_precision")]
    precisions = [operation.fp32_precision for operation in operations]
    matmul = convolutions_in_tf32 = None
    with warnings.catch_warnings():
        # torch 2.9 tells once of the newer switches, which are set too.
        warnings.filterwarnings("ignore", "Please use the new API")
        with suppress(RuntimeError):
            matmul = torch.get_float32_matmul_precision()
        with suppress(RuntimeError):
            convolutions_in_tf32 = backends.cudnn.allow_tf32
    try:
        if matmul is not None:
            torch.set_float32_matmul_precision("highest")
        if convolutions_in_tf32 is not None:
            backends.cudnn.allow_tf32 = False
        for operation in operations:
            if operation.fp32_precision not in ("ieee", "none"):
                operation.fp32_precision = "ieee"
        yield
    finally:
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        if convolutions_in_tf32 is not None:
            backends.cudnn.allow_tf32 = convolutions_in_tf32
        for operation, precision in zip(operations, precisions, strict=True):
            operation.fp32_precision = "none"  # as the backend says
            if operation.fp32_precision != precision:
                operation.fp32_precision = precision


_SHARED_FULL_FLOAT32 = Shared(_full_float32)


def full_float32() -> AbstractContextManager[None]:
    """Products in float32 without TF32 or bfloat16, for all threads until the last one leaves."""
    return _SHARED_FULL_FLOAT32


def reproducible_sums() -> None:
    """Let MKL, torch's library of matrix products, add up alike whatever the number of threads.

    As the command `videoswin` does: of MKL's fast ways the one whose sums do not depend on the
    number of threads (`MKL_CBWR=AUTO,STRICT`); it is as fast. It holds for the whole process and
    for good. MKL reads the variable at its first product, so call this before: best before torch
    is imported. A value that the environment has already is left as it is.

    Raises:
        UsageError: MKL has computed already, and in another way.
    """
    given = os.environ.setdefault(_CBWR_VARIABLE, "AUTO,STRICT")
    if "torch" not in sys.modules or not given.endswith("STRICT"):
        return
    library = Path(sys.modules["torch"].__file__ or "").parent / "lib" / "libtorch_cpu.so"
    try:
        branch = ctypes.CDLL(str(library)).mkl_serv_cbwr_get(-1)
    except (OSError, AttributeError):  # torch without MKL, or one that does not tell
        return
    if not branch & _CBWR_STRICT:
        raise UsageError(
            "MKL has computed already, so its sums depend on the number of threads",
            hint="call reproducible_sums() before the first product of torch, or set "
            f"{_CBWR_VARIABLE}={given} in the environment",
        )
