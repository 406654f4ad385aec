"""Prefetching loader: items by key, decoded in worker processes, in order.

A worker that dies or stalls costs one video.
"""

import os
import re
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from videoswin_cli.data.passing import Packed, UnreachableError, pack, unpack
from videoswin_cli.data.patience import Patience, StalledError, read_patience
from videoswin_cli.errors import MachineError, UsageError
from videoswin_cli.io.process_state import child_signals_kept, unwatch_workers

Item = TypeVar("Item", covariant=True)
Notice = Callable[[str], None]
Stream = Generator[Any, None, None]

_AHEAD = 2  # items
_DEATH = "the process that decoded it died: a crash in the decoder, or out of memory"


def quiet(text: str) -> None:
    pass


class ItemSource(Protocol[Item]):
    """A collection of items by key, with a stand-in for one that was lost."""

    def __getitem__(self, key: Any, /) -> Item: ...

    def failed(self, key: Any, reason: str, /) -> Item: ...


def count_workers(videos: int, *, on_cpu: bool) -> int:
    """Number of decoding processes that suits a run of `videos` videos.

    One video gains nothing from a second process. More than four outrun the network on a CPU; a
    GPU takes what it can get. The cores are those that a container or Slurm allows this process,
    shared with the other processes of a `torchrun` on this machine.

    Raises:
        UsageError: LOCAL_WORLD_SIZE is not a number.
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


def load_in_workers(
    source: ItemSource[Item],
    keys: Sequence[Any],
    *,
    workers: int,
    ahead: int = _AHEAD,
    notice: Notice = quiet,
) -> Generator[Item, None, None]:
    """Items of `source` in the order of `keys`, decoded by `workers` processes (0: here).

    Each process decodes `ahead` items before they are asked for.

    Where a process dies (a crash inside a decoder, no memory left), the items that were being
    decoded are tried again, each in its own process, so that one video is lost and not the run: it
    comes as `source.failed(key, reason)`. The same holds where no item comes for too long (see
    `patience`); with `workers=0` there is no such limit.

    What the machine lacks costs no item: without shared memory or descriptors for it frames go
    through pipes, and without processes they are decoded here. `notice` is called once with it.

    Raises:
        MachineError: even the other way is closed.
    """
    done, way = 0, _Way(ahead=ahead, patience=read_patience(), notice=notice)
    while done < len(keys):
        if not workers:
            yield from map(source.__getitem__, keys[done:])
            return
        try:
            with closing(way.load(_Keyed(source, way.shared), workers, keys[done:])) as items:
                for item in items:
                    done += 1
                    yield item
        except (_WorkerDiedError, StalledError):
            for key in keys[done : done + workers * ahead]:
                done += 1
                yield _load_alone(source, key, way)
        except UnreachableError as error:
            way = way.without_sharing(error)
        except _NoProcessError as error:
            way.say_here(error)
            workers = 0


class StreamSource(Protocol[Item]):
    """A collection of item streams by key, with a stand-in for the rest of one."""

    def stream(self, key: Any, /) -> Iterator[Item]: ...

    def failed(self, key: Any, reason: str, /) -> Item: ...


def load_streams_in_workers(
    source: StreamSource[Item],
    keys: Sequence[Any],
    *,
    workers: int,
    ahead: int = _AHEAD,
    notice: Notice = quiet,
) -> Generator[Item, None, None]:
    """All items of all streams in the order of `keys`.

    Each of `workers` processes (0: here) makes every `workers`-th stream from its start to its end,
    up to `ahead` items before they are asked for. Where a process dies, its stream is made again
    in a new one, without the items that came already; if that dies too, `source.failed(key,
    reason)` comes in place of the rest. So it is where no item comes for too long. What the machine
    lacks costs no item, as in `load_in_workers`.
    """
    way = _Way(ahead=ahead, patience=read_patience(), notice=notice)
    count = min(workers, len(keys))
    lines = [_StreamLine(source, keys[n::count], way) for n in range(count)]
    with ExitStack() as ends:
        for line in lines:
            ends.callback(line.close)
        for number, key in enumerate(keys):
            yield from lines[number % count].next_stream() if lines else source.stream(key)


class _StreamLine:
    """A worker process and the streams that it makes one after the other."""

    def __init__(self, source: StreamSource[Any], keys: Sequence[Any], way: "_Way") -> None:
        self._source = source
        self._keys = list(keys)  # of the streams that have not ended
        self._way = way
        self._items: Stream = self._start(self._keys)

    def close(self) -> None:
        """End the process."""
        self._items.close()

    def _start(self, keys: Sequence[Any], *, skip: int = 0) -> Stream:
        streams = _Streams(self._source, keys, skip, self._way.shared)
        try:
            return self._way.load(streams, workers=1)
        except _NoProcessError as error:
            return self._make_here(error, streams)

    def _make_here(self, error: "_NoProcessError", streams: "_Streams") -> Stream:
        self._way.say_here(error)
        return streams.items()

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
            except _NoProcessError as error:
                left = [key] if alone else self._keys
                self._items = self._make_here(error, _Streams(self._source, left, came, False))
                continue
            except UnreachableError as error:
                self._way = self._way.without_sharing(error)
                self._items = self._start([key] if alone else self._keys, skip=came)
                continue
            if isinstance(item, _End):
                break
            came += 1
            yield item
        del self._keys[0]
        if alone and self._keys:
            self._items = self._start(self._keys)


class _End:
    """Mark after the last item of a stream."""


class _Streams(IterableDataset[Packed]):
    """Items of several streams, as `DataLoader` reads them."""

    def __init__(
        self, source: StreamSource[Any], keys: Sequence[Any], skip: int, shared: bool
    ) -> None:
        self._source = source
        self._keys = list(keys)
        self._skip = skip
        self._shared = shared

    def items(self) -> Stream:
        """Items of each stream, and an end; `skip` of the first are left out."""
        for number, key in enumerate(self._keys):
            items = self._source.stream(key)
            yield from items if number else islice(items, self._skip, None)
            yield _End()

    def __iter__(self) -> Iterator[Packed]:
        return pack(self.items(), shared=self._shared)


class _Keyed(Dataset[Packed]):
    """Items by key, as `DataLoader` reads them."""

    def __init__(self, source: ItemSource[Any], shared: bool) -> None:
        self._source = source
        self._shared = shared

    def __getitem__(self, key: Any) -> Packed:
        return next(pack(map(self._source.__getitem__, [key]), shared=self._shared))


class _WorkerDiedError(Exception):
    pass


class _NoProcessError(Exception):
    """A process cannot be started, or not do its work; the message is why."""


@dataclass(frozen=True, kw_only=True)
class _Way:
    """Transport of items from worker processes."""

    ahead: int  # items a process
    patience: Patience
    notice: Notice
    shared: bool = True  # tensors go through shared memory where there is some

    def load(
        self, items: Dataset[Packed], workers: int, keys: Sequence[Any] | None = None
    ) -> Stream:
        """Items from processes that start at once and end with the generator.

        Their death raises `_WorkerDiedError`.

        Raises:
            _NoProcessError: they cannot be started; or, from the iterator, not work.
        """
        before = set(active_children())
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "This DataLoader will create")  # more than cores
            packed = _start(
                DataLoader(
                    items,
                    batch_size=None,
                    sampler=keys,
                    num_workers=workers,
                    prefetch_factor=self.ahead,
                    timeout=self.patience.look_seconds,
                    generator=torch.Generator(),  # or it draws a number from the caller's
                )
            )
        return self._unpack(packed, [p for p in active_children() if p not in before])

    def _unpack(self, items: Iterator[Packed], workers: Sequence[BaseProcess]) -> Stream:
        try:
            yield from self._receive(items, workers)
        finally:  # torch ends them with its iterator, which an error that is kept would keep
            end = getattr(items, "_shutdown_workers", None)
            if end is not None:
                end()

    def _receive(self, items: Iterator[Packed], workers: Sequence[BaseProcess]) -> Iterator[Any]:
        watch = self.patience.watch(workers)
        while True:
            try:
                packed = next(items)
            except StopIteration:
                return
            except RuntimeError as error:
                if "DataLoader timed out" in str(error):
                    watch.look()
                    continue
                if "DataLoader worker (pid" not in str(
                    error
                ):  # "Caught ... in": raised by a source
                    raise
                raise _find_death(workers) from error
            if packed.unshared:
                self._tell_unshared(packed.unshared)
            try:
                item = unpack(packed)
            except (OSError, EOFError) as error:  # it holds the memory of what it sent
                raise _WorkerDiedError(_DEATH) from error
            watch.rest()
            yield item

    def without_sharing(self, error: UnreachableError) -> "_Way":
        self._tell_unshared(str(error))
        return replace(self, shared=False)

    def _tell_unshared(self, reason: str) -> None:
        more = "ulimit -n 4096" if "open files" in reason else "docker run --shm-size=1g"
        self.say(
            f"no shared memory for frames ({reason}): they go through pipes, which is slower "
            f"({more} gives more)"
        )

    def say_here(self, error: _NoProcessError) -> None:
        self.say(f"{error}: decoding in this process, as with --workers 0")

    def say(self, text: str) -> None:
        """Print a sentence, once in a run."""
        _say_once(self.notice, text)


def _find_death(workers: Sequence[BaseProcess]) -> Exception:
    """The error of a run of which a process has ended.

    A decoder that crashes ends with a signal. Status 1 is of Python or OpenMP where they cannot
    start a thread: errors of an item come as such, so no item is to blame.
    """
    if {worker.exitcode for worker in workers} - {None, 0} == {1}:
        return _NoProcessError("a decoding process could not work (no thread or no memory left?)")
    return _WorkerDiedError(_DEATH)


_say_once = cache(lambda notice, text: notice(text))


def _start(loader: DataLoader[Packed]) -> Iterator[Packed]:
    before = set(active_children())
    reason = ""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        with child_signals_kept():
            items = iter(loader)
            unwatch_workers(items)
    except OSError as error:  # no semaphore, pipe or process
        reason = error.strerror or str(error)
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        reason = str(error)
    finally:  # what torch built in part, and could not take down, is gone by now
        sys.unraisablehook = hook
    if reason:
        for process in set(active_children()) - before:
            process.kill()
        raise _NoProcessError(f"no process can be started ({reason})")
    return items


def _load_alone(source: ItemSource[Item], key: Any, way: _Way) -> Item:
    try:
        item: Item = next(way.load(_Keyed(source, shared=False), 1, [key]))
    except (_WorkerDiedError, StalledError) as error:
        return source.failed(key, str(error))
    except _NoProcessError as error:  # here it could end the run
        raise MachineError(str(error), hint="close other programs, or raise the limits") from None
    return item
