"""Videos by number, decoded in other processes, in order. A process that dies costs one video."""

import os
import signal
import threading
import warnings
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

Item = TypeVar("Item", covariant=True)

_AHEAD = 2  # items


class Source(Protocol[Item]):
    """Items by key, and what takes the place of one that was lost."""

    def __getitem__(self, key: Any, /) -> Item: ...

    def failed(self, key: Any, reason: str, /) -> Item: ...


def count_workers(videos: int, *, on_cpu: bool) -> int:
    """How many decoding processes suit a run of `videos` videos.

    One video gains nothing from a second process. More than four outrun the network on a CPU; a
    GPU takes what it can get. The cores are those that a container or Slurm leaves us, shared with
    the other processes of a `torchrun` on this machine.
    """
    if videos == 1:
        return 0
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    cores = max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    return min(videos, cores, 4 if on_cpu else 16)


def feed(
    source: Source[Item], keys: Sequence[Any], *, workers: int, ahead: int = _AHEAD
) -> Generator[Item, None, None]:
    """Items of `source` in the order of `keys`, decoded by `workers` processes (0: here).

    Each process decodes `ahead` items before they are asked for.

    Where a process dies (a crash inside a decoder, no memory left), those items that were being
    decoded are tried again, each in a process of its own, so that one video is lost and not the
    run: it comes as `source.failed(key, reason)`.
    """
    done = 0
    while done < len(keys):
        try:
            for item in _load(source, keys[done:], workers, ahead):
                done += 1
                yield item
        except _WorkerDiedError:
            for key in keys[done : done + workers * ahead]:
                done += 1
                yield _load_alone(source, key)


class _WorkerDiedError(Exception):
    pass


def _load_alone(source: Source[Item], key: Any) -> Item:
    try:
        return next(_load(source, [key], 1, 1))
    except _WorkerDiedError:
        return source.failed(
            key, "the process that decoded it died: a crash in the decoder, or out of memory"
        )


def _load(source: Source[Item], keys: Sequence[Any], workers: int, ahead: int) -> Iterator[Item]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more than cores: asked
        loader = DataLoader(
            _Keyed(source),
            batch_size=None,
            sampler=list(keys),
            num_workers=workers,
            prefetch_factor=ahead if workers else None,
        )
        items = iter(loader)
    if workers and threading.current_thread() is threading.main_thread():
        # torch's handler raises wherever the main thread happens to be, in the network perhaps.
        # Without it the death of a worker shows below, when its item is due.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker (pid" not in str(error):  # "Caught ... in" is an error of ours
                raise
            raise _WorkerDiedError from error
        yield item


class _Keyed(Dataset[Item]):
    """What DataLoader wants: an item for a key."""

    def __init__(self, source: Source[Item]) -> None:
        self._source = source

    def __getitem__(self, key: Any) -> Item:
        item = self._source[key]
        if get_worker_info() is not None:
            try:
                _share(item)
            except RuntimeError as error:  # in torch's own thread for this it would hang the run
                reason = str(error).splitlines()[0]
                return self._source.failed(
                    key, f"no shared memory to pass its frames on ({reason}): use --workers 0"
                )
        return item


def _share(item: object) -> None:
    """Move the tensors of a record to memory that other processes can see."""
    for value in vars(item).values() if hasattr(item, "__dict__") else ():
        if isinstance(value, Tensor):
            value.share_memory_()  # type: ignore[no-untyped-call]
