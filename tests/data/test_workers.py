"""Items keep their order, and the death of a decoding process costs one of them."""

import errno
import multiprocessing
import multiprocessing.synchronize
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from videoswin_cli.data import passing, patience
from videoswin_cli.data.workers import count_workers, load_in_workers, load_streams_in_workers
from videoswin_cli.errors import MachineError, UsageError
from videoswin_cli.io.process_state import child_signals_kept

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed with signals"),
]


class Numbers:
    """Squares; some numbers kill the process that asks for them."""

    def __init__(self, *, deadly: tuple[int, ...] = (), once: Path | None = None) -> None:
        self.parent = os.getpid()
        self.deadly = deadly
        self.once = once  # a number that is deadly one time only leaves a file here

    def __getitem__(self, key: int) -> int | str:
        if key in self.deadly:
            assert os.getpid() != self.parent
            if self.once is None or not (self.once / str(key)).exists():
                if self.once is not None:
                    (self.once / str(key)).touch()
                os.kill(os.getpid(), signal.SIGSEGV)
        return key**2

    def failed(self, key: int, reason: str) -> str:
        return f"{key} {reason}"


@pytest.fixture(autouse=True)
def _quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are looked at every 5 seconds otherwise."""
    monkeypatch.setattr(patience, "_LOOK_SECONDS", 0.2)


@pytest.fixture
def handler() -> Iterator[Callable[..., None]]:
    """A handler of SIGCHLD that the caller has set."""
    before = signal.getsignal(signal.SIGCHLD)

    def own(*_: object) -> None:
        pass

    signal.signal(signal.SIGCHLD, own)
    yield own
    signal.signal(signal.SIGCHLD, before)


def test_the_caller_keeps_its_handler_of_signals(handler: Callable[..., None]) -> None:
    for _ in load_in_workers(Numbers(), range(4), workers=2):
        assert signal.getsignal(signal.SIGCHLD) is handler
    assert signal.getsignal(signal.SIGCHLD) is handler


def test_a_death_costs_one_item_where_torch_watches_the_loaders_of_the_caller(
    handler: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DiesLater(Numbers):
        """Its worker lives until the caller has the first item."""

        def __getitem__(self, key: int) -> int | str:
            while key in self.deadly and not (tmp_path / "taken").exists():
                time.sleep(0.01)
            return super().__getitem__(key)

    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)  # by a test before
    numbers: Any = [1.0, 2.0]
    loader: DataLoader[Any] = DataLoader(numbers, num_workers=1)
    assert len(list(loader)) == 2
    torch_handler = signal.getsignal(signal.SIGCHLD)
    assert torch_handler is not handler, "our loaders before kept torch from setting its own"
    items = []
    for item in load_in_workers(DiesLater(deadly=(1,)), range(4), workers=1):
        items.append(item)
        if len(items) == 1:
            (tmp_path / "taken").touch()
            while multiprocessing.active_children():  # here torch's handler would raise
                time.sleep(0.01)
    assert items[0] == 0
    assert items[2:] == [4, 9]
    assert signal.getsignal(signal.SIGCHLD) is torch_handler


def test_a_death_while_the_processes_start_costs_one_item(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Torch's handler is set and knows the workers when they get their first key."""
    numbers: Any = [1.0, 2.0]
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    before = signal.getsignal(signal.SIGCHLD)
    try:
        assert len(list(DataLoader(numbers, num_workers=1))) == 2
        torch_handler = signal.getsignal(signal.SIGCHLD)
        reset = _MultiProcessingDataLoaderIter._reset

        def reset_slowly(self: Any, *args: Any, **more: Any) -> None:
            reset(self, *args, **more)
            if more.get("first_iter") or True in args:
                while all(worker.is_alive() for worker in self._workers):
                    time.sleep(0.01)

        monkeypatch.setattr(_MultiProcessingDataLoaderIter, "_reset", reset_slowly)
        assert list(load_in_workers(Numbers(deadly=(0,)), range(1), workers=1)) == [
            "0 the process that decoded it died: a crash in the decoder, or out of memory"
        ]
        assert signal.getsignal(signal.SIGCHLD) is torch_handler
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_the_handler_of_the_caller_hears_of_its_own_processes() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGCHLD, lambda number, _: heard.append(number))
    try:
        with child_signals_kept():
            os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
            assert not heard
        assert heard == [signal.SIGCHLD]
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize("load", [load_in_workers, load_streams_in_workers])
def test_an_error_that_is_kept_keeps_no_process(load: Callable[..., Iterator[int]]) -> None:
    class Wrong(Numbers):
        def __getitem__(self, key: int) -> int | str:
            if key == 2:
                raise ZeroDivisionError(key)
            return super().__getitem__(key)

        def stream(self, key: int) -> Iterator[int | str]:
            yield self[key]

    with pytest.raises(ZeroDivisionError) as kept:
        list(load(Wrong(), range(5), workers=2))
    assert kept.value.__traceback__ is not None
    assert multiprocessing.active_children() == []


def test_the_random_numbers_of_the_caller_are_left_alone() -> None:
    before = torch.get_rng_state()
    assert list(load_in_workers(Numbers(), range(3), workers=1)) == [0, 1, 4]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_items_come_in_the_order_of_the_keys(workers: int) -> None:
    keys = [5, 3, 8, 1, 9, 2, 2, 7]
    assert list(load_in_workers(Numbers(), keys, workers=workers)) == [key**2 for key in keys]


def test_nothing_gives_nothing() -> None:
    assert list(load_in_workers(Numbers(), [], workers=2)) == []


@pytest.mark.parametrize("deadly", [(4,), (0,), (11,), (2, 3)])
def test_a_deadly_item_is_reported_and_the_others_come(deadly: tuple[int, ...]) -> None:
    items = list(load_in_workers(Numbers(deadly=deadly), range(12), workers=2))
    expected = [
        f"{key} the process that decoded it died: a crash in the decoder, or out of memory"
        if key in deadly
        else key**2
        for key in range(12)
    ]
    assert items == expected


def test_an_item_that_was_only_near_an_accident_is_not_lost(tmp_path: Path) -> None:
    """Out of memory, say: alone there is enough of it."""
    items = list(load_in_workers(Numbers(deadly=(5,), once=tmp_path), range(9), workers=2))
    assert items == [key**2 for key in range(9)]


def test_errors_of_an_item_are_not_taken_for_its_death() -> None:
    class Wrong(Numbers):
        def __getitem__(self, key: int) -> int | str:
            raise ValueError("a bug of ours")

    with pytest.raises(ValueError, match="a bug of ours"):
        list(load_in_workers(Wrong(), range(3), workers=1))


def test_workers_suit_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(32)), raising=False)
    assert count_workers(1, on_cpu=True) == 0
    assert count_workers(2, on_cpu=True) == 2
    assert count_workers(1000, on_cpu=True) == 4
    assert count_workers(1000, on_cpu=False) == 16
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert count_workers(1000, on_cpu=False) == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "64")
    assert count_workers(1000, on_cpu=True) == 1


# --- streams --------------------------------------------------------------------------------------


class Counts:
    """For each key that many items; some items kill the process that makes them."""

    def __init__(self, *, deadly: tuple[tuple[int, int], ...] = (), marks: Path) -> None:
        self.parent = os.getpid()
        self.deadly = deadly  # (key, number of the item)
        self.marks = marks  # a file for each process that made something, and for each death
        self.deaths = 99  # of each deadly item

    def stream(self, key: int) -> Iterator[str]:
        (self.marks / f"process-{os.getpid()}").touch()
        (self.marks / f"begun-{key}-{len(list(self.marks.glob(f'begun-{key}-*')))}").touch()
        for number in range(key):
            if (key, number) in self.deadly:
                died = len(list(self.marks.glob(f"death-{key}-*")))
                if died < self.deaths:
                    assert os.getpid() != self.parent
                    (self.marks / f"death-{key}-{died}").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            yield f"{key}.{number}"

    def failed(self, key: int, reason: str) -> str:
        return f"{key} {reason}"

    def count(self, what: str) -> int:
        return len(list(self.marks.glob(f"{what}-*")))

    def live_processes(self) -> list[int]:
        pids = [int(path.name.split("-")[1]) for path in self.marks.glob("process-*")]
        return [pid for pid in pids if pid != self.parent and is_alive(pid)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def items_of(key: int) -> list[str]:
    return [f"{key}.{number}" for number in range(key)]


KEYS = [3, 0, 5, 1, 2, 7, 4]


@pytest.mark.parametrize("workers", [0, 1, 3, 20])
def test_streams_come_in_the_order_of_the_keys(workers: int, tmp_path: Path) -> None:
    source = Counts(marks=tmp_path)
    found = list(load_streams_in_workers(source, KEYS, workers=workers))
    assert found == [item for key in KEYS for item in items_of(key)]
    assert source.count("process") == min(max(workers, 1), len(KEYS))
    assert source.live_processes() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_no_streams_give_nothing(workers: int, tmp_path: Path) -> None:
    assert list(load_streams_in_workers(Counts(marks=tmp_path), [], workers=workers)) == []


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("key", "number"), [(5, 0), (5, 3), (4, 3)])
def test_a_stream_that_kills_twice_is_given_up_and_the_others_come(
    workers: int, key: int, number: int, tmp_path: Path
) -> None:
    source = Counts(deadly=((key, number),), marks=tmp_path)
    found = list(load_streams_in_workers(source, KEYS, workers=workers))
    expected: list[str] = []
    for other in KEYS:
        if other != key:
            expected += items_of(other)
            continue
        came = [item for item in found if item.startswith(f"{key}.")]
        assert came == items_of(key)[: len(came)]
        assert len(came) <= number
        expected += [*came, f"{key} the process that decoded it died: a crash in the decoder, or "]
        expected[-1] += "out of memory"
    assert found == expected
    assert source.count(f"begun-{key}") >= 2
    assert source.live_processes() == []


@pytest.mark.parametrize("workers", [1, 3])
def test_a_stream_that_dies_once_is_made_again_without_what_came(
    workers: int, tmp_path: Path
) -> None:
    source = Counts(deadly=((5, 3), (7, 0)), marks=tmp_path)
    source.deaths = 1
    found = list(load_streams_in_workers(source, KEYS, workers=workers))
    assert found == [item for key in KEYS for item in items_of(key)]
    assert source.count("death") == 2


def test_two_deadly_streams_cost_two(tmp_path: Path) -> None:
    source = Counts(deadly=((5, 1), (2, 1)), marks=tmp_path)
    found = list(load_streams_in_workers(source, KEYS, workers=2))
    assert [item.split(" ")[0] for item in found if "died" in item] == ["5", "2"]
    kept = [item for item in found if item[0] not in "52"]
    assert kept == [item for key in KEYS if key not in (5, 2) for item in items_of(key)]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_closing_early_leaves_no_process(workers: int, tmp_path: Path) -> None:
    source = Counts(marks=tmp_path)
    items = load_streams_in_workers(source, [50] * 6, workers=workers)
    assert [next(items) for _ in range(3)] == items_of(50)[:3]
    items.close()
    deadline = time.monotonic() + 10
    while source.live_processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert source.live_processes() == []


# --- processes that stand still -------------------------------------------------------------------


class Sleepers(Numbers):
    """Squares; some numbers never come: their process sleeps, stops itself or runs in a circle."""

    def __init__(self, still: dict[int, str]) -> None:
        super().__init__()
        self.still = still

    def __getitem__(self, key: int) -> int | str:
        how = self.still.get(key)
        if how is not None:
            assert os.getpid() != self.parent
        if how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        while how == "loop":
            pass
        while how == "sleep":
            time.sleep(1)
        return key**2

    def stream(self, key: int) -> Iterator[int | str]:
        yield key
        if key in self.still:
            time.sleep(0.5)  # a process that stops at once still has the item before
        yield self[key]


@pytest.mark.parametrize(("how", "workers"), [("loop", 1), ("stop", 2)])
def test_an_item_that_never_comes_is_given_up_and_the_others_come(
    how: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(patience.VARIABLE, "2")
    found = list(load_in_workers(Sleepers({2: how}), range(6), workers=workers))
    assert found == [0, 1, "2 no frame came for 2 s: given up (VIDEOSWIN_PATIENCE)", 9, 16, 25]


def test_a_stream_that_never_ends_is_given_up_and_the_others_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(patience.VARIABLE, "3")
    found = list(load_streams_in_workers(Sleepers({2: "stop"}), range(6), workers=2))
    reason = "no frame came for 3 s: given up (VIDEOSWIN_PATIENCE)"
    assert found == [0, 0, 1, 1, 2, f"2 {reason}", 3, 9, 4, 16, 5, 25]


def test_a_process_that_stood_still_by_accident_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Numbers):
        def __getitem__(self, key: int) -> int | str:
            if key == 2 and not (tmp_path / "stopped").exists():
                (tmp_path / "stopped").touch()
                os.kill(os.getpid(), signal.SIGSTOP)
            return key**2

    monkeypatch.setenv(patience.VARIABLE, "2")
    assert list(load_in_workers(Stopped(), range(6), workers=2)) == [key**2 for key in range(6)]


def test_a_process_that_works_is_waited_for_longer_than_one_that_stands_still() -> None:
    limits = patience.Patience(idle_seconds=1, busy_seconds=1000)
    standing = multiprocessing.Process(target=time.sleep, args=(1000,))
    standing.start()
    with pytest.raises(patience.StalledError, match=r"no frame came for \d s"):
        look_often(limits.watch([standing]), pause=0.1)
    standing.join()
    assert standing.exitcode == -signal.SIGKILL

    working = multiprocessing.Process(target=run_in_a_circle)
    working.start()
    watch = limits.watch([working])
    for _ in range(3):
        time.sleep(0.3)
        watch.look()
    watch = patience.Patience(idle_seconds=1, busy_seconds=2).watch([working])
    with pytest.raises(patience.StalledError, match="no frame came for 2 s"):
        look_often(watch, pause=0.3)
    working.join()


def look_often(watch: patience.Watch, *, pause: float) -> None:
    for _ in range(50):
        watch.look()
        time.sleep(pause)


def run_in_a_circle() -> None:
    while True:
        pass


def test_an_item_that_came_starts_the_wait_anew() -> None:
    watch = patience.Patience(idle_seconds=3, busy_seconds=3).watch([])
    for _ in range(20):
        watch.look()
        watch.look()
        watch.rest()


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "nan"])
def test_a_patience_that_is_no_number_is_an_error(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(patience.VARIABLE, text)
    with pytest.raises(UsageError, match="VIDEOSWIN_PATIENCE"):
        list(load_in_workers(Numbers(), [1], workers=0))


# --- what the machine lacks -----------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    number: int
    frames: torch.Tensor


class Pictures:
    """Items with a tensor, as decoded clips are."""

    def __getitem__(self, key: int) -> Picture:
        return Picture(key, torch.full((64, 64, 3), key, dtype=torch.uint8))

    def stream(self, key: int) -> Iterator[Picture]:
        yield self[key]
        yield self[key + 100]

    def failed(self, key: int, reason: str) -> Picture:
        raise AssertionError(reason)


def numbers_of(items: Iterator[object]) -> list[int]:
    found = []
    for item in items:
        assert isinstance(item, Picture), item
        assert (item.frames == item.number).all()
        found.append(item.number)
    return found


def say_nothing(text: str) -> None:
    raise AssertionError(text)


def check_all_come(notices: list[str]) -> None:
    keys = list(range(7))
    assert numbers_of(load_in_workers(Pictures(), keys, workers=2, notice=notices.append)) == keys
    streams = load_streams_in_workers(Pictures(), keys, workers=2, notice=notices.append)
    assert numbers_of(streams) == [n for key in keys for n in (key, key + 100)]


def test_tensors_come_through_shared_memory() -> None:
    assert numbers_of(load_in_workers(Pictures(), range(5), workers=2, notice=say_nothing)) == [
        0,
        1,
        2,
        3,
        4,
    ]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space (28)"),
        OSError(errno.EMFILE, "Too many open files"),
    ],
)
def test_without_shared_memory_every_item_comes_through_a_pipe(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(item: object) -> bytes:
        raise error

    monkeypatch.setattr(passing, "ForkingPickler", SimpleNamespace(dumps=fail))
    notices: list[str] = []
    check_all_come(notices)
    (notice,) = notices  # once
    assert "no shared memory for frames" in notice
    assert ("ulimit -n" if isinstance(error, OSError) else "--shm-size") in notice


def test_items_that_cannot_be_taken_out_of_shared_memory_are_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads, calls = pickle.loads, []

    def fail(content: bytes) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("received 0 items of ancdata")
        return loads(content)

    monkeypatch.setattr(passing, "pickle", SimpleNamespace(loads=fail))
    notices: list[str] = []
    check_all_come(notices)
    assert len(notices) == 1
    assert "Too many open files" in notices[0]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_where_no_process_can_be_started_items_are_made_here(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fork", fail)
    notices: list[str] = []
    check_all_come(notices)
    assert len(notices) == 1
    assert notices[0].startswith(f"no process can be started ({os.strerror(number)})")


def test_where_no_semaphore_can_be_made_items_are_made_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with a full, a missing or a read-only /dev/shm."""

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(multiprocessing.synchronize.SemLock, "__init__", fail)
    notices: list[str] = []
    check_all_come(notices)
    assert len(notices) == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_of_the_machine_ends_the_run_as_it_is(workers: int) -> None:
    class Limited(Pictures):
        def __getitem__(self, key: int) -> Picture:
            if key == 3:
                raise MachineError("Too many open files", hint="ulimit -n")
            return super().__getitem__(key)

    for items in (
        load_in_workers(Limited(), range(6), workers=workers),
        load_streams_in_workers(Limited(), range(6), workers=workers),
    ):
        with pytest.raises(MachineError, match=r"^Too many open files$") as caught:
            list(items)
        assert caught.value.hint == "ulimit -n"


@pytest.mark.parametrize("how", ["Python", "OpenMP"])
def test_a_process_that_can_start_no_thread_costs_no_item(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under a limit of processes (ulimit -u, pids.max): the first item is not sent."""
    parent, start = os.getpid(), threading.Thread.start

    def fail(thread: threading.Thread) -> None:
        if os.getpid() == parent:
            return start(thread)
        if how == "OpenMP":
            os._exit(1)  # as libgomp: "Thread creation failed"
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    notices: list[str] = []
    check_all_come(notices)
    assert len(notices) == 1
    assert "could not work" in notices[0]
    assert "decoding in this process" in notices[0]
