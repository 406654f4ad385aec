"""Videos by number, decoded in other processes, in order.

A process that dies or stands still costs one video.
"""

import os
import re
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from itertools import islice
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from videoswin_cli.data.patience import Patience, StalledError, read_patience
from videoswin_cli.errors import UsageError

Item = TypeVar("Item", covariant=True)

_AHEAD = 2  # items
_DEATH = "the process that decoded it died: a crash in the decoder, or out of memory"


class Source(Protocol[Item]):
    """Items by key, and what takes the place of one that was lost."""

    def __getitem__(self, key: Any, /) -> Item: ...

    def failed(self, key: Any, reason: str, /) -> Item: ...


def count_workers(videos: int, *, on_cpu: bool) -> int:
    """How many decoding processes suit a run of `videos` videos.

    One video gains nothing from a second process. More than four outrun the network on a CPU; a
    GPU takes what it can get. The cores are those that a container or Slurm leaves us, shared with
    the other processes of a `torchrun` on this machine.

    Raises:
        UsageError: torchrun's number of processes is no number.
    """
    if videos == 1:
        return 0
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    beside = os.environ.get("LOCAL_WORLD_SIZE", "1")
    if not re.fullmatch("[1-9][0-9]{0,5}", beside):
        raise UsageError(f"LOCAL_WORLD_SIZE is {beside!r}: expected a number from 1 up")
    cores = max(1, cores // int(beside))
    return min(videos, cores, 4 if on_cpu else 16)


def feed(
    source: Source[Item], keys: Sequence[Any], *, workers: int, ahead: int = _AHEAD
) -> Generator[Item, None, None]:
    """Items of `source` in the order of `keys`, decoded by `workers` processes (0: here).

    Each process decodes `ahead` items before they are asked for.

    Where a process dies (a crash inside a decoder, no memory left), those items that were being
    decoded are tried again, each in a process of its own, so that one video is lost and not the
    run: it comes as `source.failed(key, reason)`. The same holds where no item comes for too long
    (see `patience`); without other processes nobody watches.
    """
    done, patience = 0, read_patience()
    while done < len(keys):
        try:
            for item in _load(source, keys[done:], workers, ahead, patience):
                done += 1
                yield item
        except (_WorkerDiedError, StalledError):
            for key in keys[done : done + workers * ahead]:
                done += 1
                yield _load_alone(source, key, patience)


class StreamSource(Protocol[Item]):
    """A stream of items for each key, and what takes the place of the rest of one."""

    def stream(self, key: Any, /) -> Iterator[Item]: ...

    def failed(self, key: Any, reason: str, /) -> Item: ...


def feed_streams(
    source: StreamSource[Item], keys: Sequence[Any], *, workers: int, ahead: int = _AHEAD
) -> Generator[Item, None, None]:
    """All items of all streams in the order of `keys`.

    Each of `workers` processes (0: here) makes every `workers`-th stream from its start to its end,
    up to `ahead` items before they are asked for. Where a process dies, its stream is made again
    in a new one, without the items that came already; if that dies too, `source.failed(key,
    reason)` comes in place of the rest. So it is where no item comes for too long.
    """
    if not workers:
        for key in keys:
            yield from source.stream(key)
        return
    lines = [_StreamLine(source, keys[n::workers], ahead) for n in range(min(workers, len(keys)))]
    for number in range(len(keys)):
        yield from lines[number % workers].next_stream()


class _StreamLine:
    """A process, and the streams that it makes one after the other."""

    def __init__(self, source: StreamSource[Any], keys: Sequence[Any], ahead: int) -> None:
        self._source = source
        self._keys = list(keys)  # of the streams that have not ended
        self._ahead = ahead
        self._patience = read_patience()
        self._items: Iterator[Any] = self._start(self._keys)

    def _start(self, keys: Sequence[Any], *, skip: int = 0) -> Iterator[Any]:
        streams = _Streams(self._source, keys, skip)
        return _iterate(
            DataLoader(
                streams,
                batch_size=None,
                num_workers=1,
                prefetch_factor=self._ahead,
                timeout=self._patience.look_seconds,
            ),
            self._patience,
        )

    def next_stream(self) -> Iterator[Any]:
        """Items of the next stream."""
        key, came, alone = self._keys[0], 0, False
        while True:
            try:
                item = next(self._items)
            except (_WorkerDiedError, StalledError) as error:
                if alone:
                    yield self._source.failed(key, str(error))
                    break
                alone = True  # it may have died of a later one, which it made ahead
                self._items = self._start([key], skip=came)
                continue
            if isinstance(item, _End):
                break
            came += 1
            yield item
        del self._keys[0]
        if alone and self._keys:
            self._items = self._start(self._keys)


class _End:
    """Comes after the last item of a stream."""


class _Streams(IterableDataset[Any]):
    """What DataLoader wants: the items of several streams."""

    def __init__(self, source: StreamSource[Any], keys: Sequence[Any], skip: int) -> None:
        self._source = source
        self._keys = list(keys)
        self._skip = skip

    def __iter__(self) -> Iterator[Any]:
        for number, key in enumerate(self._keys):
            items = self._source.stream(key)
            for item in items if number else islice(items, self._skip, None):
                yield _shared(item, partial(self._source.failed, key))
            yield _End()


class _WorkerDiedError(Exception):
    pass


def _load_alone(source: Source[Item], key: Any, patience: Patience) -> Item:
    try:
        return next(_load(source, [key], 1, 1, patience))
    except (_WorkerDiedError, StalledError) as error:
        return source.failed(key, str(error))


def _load(
    source: Source[Item], keys: Sequence[Any], workers: int, ahead: int, patience: Patience
) -> Iterator[Item]:
    loader = DataLoader(
        _Keyed(source),
        batch_size=None,
        sampler=list(keys),
        num_workers=workers,
        prefetch_factor=ahead if workers else None,
        timeout=patience.look_seconds if workers else 0,
    )
    return _iterate(loader, patience)


def _iterate(loader: DataLoader[Item], patience: Patience) -> Iterator[Item]:
    """Items of a loader, whose processes start at once; their death is an error of ours."""
    before = set(active_children())
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more than cores: asked
        items = iter(loader)
    if loader.num_workers and threading.current_thread() is threading.main_thread():
        # torch's handler raises wherever the main thread happens to be, in the network perhaps.
        # Without it the death of a worker shows below, when its item is due.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return _translate(items, patience, [p for p in active_children() if p not in before])


def _translate(
    items: Iterator[Item], patience: Patience, workers: Sequence[BaseProcess]
) -> Iterator[Item]:
    watch = patience.watch(workers)
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader timed out" in str(error):
                watch.look()
                continue
            if "DataLoader worker (pid" not in str(error):  # "Caught ... in" is an error of ours
                raise
            raise _WorkerDiedError(_DEATH) from error
        watch.rest()
        yield item


class _Keyed(Dataset[Item]):
    """What DataLoader wants: an item for a key."""

    def __init__(self, source: Source[Item]) -> None:
        self._source = source

    def __getitem__(self, key: Any) -> Item:
        item = self._source[key]
        if get_worker_info() is None:
            return item
        shared: Item = _shared(item, partial(self._source.failed, key))
        return shared


def _shared(item: Any, failed: Callable[[str], Any]) -> Any:
    """The item, its tensors in memory that other processes can see."""
    try:
        for value in vars(item).values() if hasattr(item, "__dict__") else ():
            if isinstance(value, Tensor):
                value.share_memory_()  # type: ignore[no-untyped-call]
    except RuntimeError as error:  # in torch's own thread for this it would hang the run
        reason = str(error).splitlines()[0]
        return failed(f"no shared memory to pass its frames on ({reason}): use --workers 0")
    return item
