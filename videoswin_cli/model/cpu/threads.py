"""Threads that each have a core to themselves."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

from videoswin_cli.io.process_state import torch_threads

# With OpenMP each thread sets for itself how many threads its operations use.
_SET_PER_THREAD = "parallel backend: OpenMP" in torch.__config__.parallel_info()


def count_threads() -> int:
    """Threads that work can be dealt to: those of torch, where each can be told to use one core."""
    return torch.get_num_threads() if _SET_PER_THREAD else 1


@cache  # kept when the number changes: once threads that began hung in MKL while others ended
def make_pool(threads: int) -> ThreadPoolExecutor:
    """A pool of threads in which torch's operations use one thread each."""
    all_started = threading.Barrier(threads)

    def begin(_: int) -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread's own number counts from when it is first asked for
        all_started.wait()

    with torch_threads():  # what they set is the default of threads that are yet to come
        pool = ThreadPoolExecutor(threads, "videoswin")
        list(pool.map(begin, range(threads)))
    return pool
