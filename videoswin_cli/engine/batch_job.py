"""The skeleton of a long run over videos: who does what, in which order, whatever is computed.

A `Worker` says what is computed of a video, a `Sink` where results are kept and what they make in
the end. Neither knows of processes, so that another engine can drive them.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from videoswin_cli.engine.distributed import World, process_group
from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.numerics import Record
from videoswin_cli.engine.progress import Monitor, Silent
from videoswin_cli.engine.runner import Runner, open_runner
from videoswin_cli.engine.settings import Settings
from videoswin_cli.io.visible import counted
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.loading import FoundModel, LoadedModel
from videoswin_cli.options.run import RunOptions
from videoswin_cli.records import ListedVideo, Shard, Timing

Kept = TypeVar("Kept")
Result = TypeVar("Result")
Kept_co = TypeVar("Kept_co", covariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Worker(Protocol[Kept_co]):
    """Computation of results from videos."""

    def compute(
        self, runner: Runner, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> Generator[Kept_co, None, None]:
        """Results, in the order of the videos; its processes end with it."""
        ...


class Sink(Protocol[Kept, Result_co]):
    """Keeper of results, which makes the output of them in the end."""

    in_order: bool  # each result goes to the main process at once; else it stays where it is made

    @property
    def record(self) -> Record:
        """Precision that an output was begun in."""
        ...

    def check(self) -> None:
        """Notice before anything slow happens that the output must not be written."""

    def begin(self, runner: Runner, part: str) -> bool:
        """Begin the output or continue it. Returns whether anything is left to do."""
        ...

    def join(self, runner: Runner, part: str) -> None:
        """Take part in an output that was begun by another process."""

    def finished(self) -> Mapping[str, str]:
        """Videos that need not be computed again: path -> stamp of the file then."""
        ...

    def keep(self, result: Kept, stamps: FileStamps) -> Kept | None:
        """Keep a result; it is safe when this returns.

        Returns:
            What this process alone has of it, for the one that finishes; None: nothing.
        """
        ...

    def close(self) -> None:
        """End of this process's part."""

    def finish(self, collected: Sequence[Kept], timing: Timing) -> Result_co:
        """The whole result, once all processes are done."""
        ...


_WINDOWS = 20  # of a usual video: ten seconds at half a window


@dataclass(frozen=True, kw_only=True)
class Job(Generic[Kept, Result]):
    """A long run over videos."""

    model: FoundModel | LoadedModel
    options: RunOptions
    with_head: bool
    worker: Worker[Kept]
    sink: Sink[Kept, Result]
    shard: Shard = field(default_factory=Shard)  # of the videos that are computed by this run
    windows: bool = False  # every window of a video is computed
    # Raises UsageError for options that do not fit the model, before its weights are fetched.
    check: Callable[[ModelSpec, Settings], None] = lambda spec, settings: None


def run_job(
    job: Job[Kept, Result], listed: Sequence[ListedVideo], *, world: World, monitor: Monitor
) -> Result:
    """Compute every video once, whatever the number of processes and restarts.

    Args:
        job: what to do.
        listed: all videos of the output, also those of other shards.
        world: the processes that share the work.
        monitor: of the main process; the others are silent.

    Returns:
        The result, the same on all processes.

    Raises:
        UsageError: options that do not fit, or an output of another run.
        VideoSwinError: the disk is full.
    """
    if not world.is_main:
        monitor = Monitor(reporter=Silent())
    with process_group(world):
        if world.is_main:
            job.sink.check()
        world.wait()
        runner = open_runner(
            job.model,
            job.options,
            with_head=job.with_head,
            videos=_count_work(job, listed, world),
            world=world,
            record=job.sink.record,
            reporter=monitor.reporter,
            check=job.check,
        )
        _begin(job, runner, world)
        with closing(job.sink):
            result = _work(job, runner, listed, world, monitor)
        return world.broadcast(result)


def _count_work(job: Job[Any, Any], listed: Sequence[ListedVideo], world: World) -> int:
    """Videos of this process, about; one of which every window is computed counts as several."""
    each = _WINDOWS if job.windows else 1
    return each * len(listed) // (job.shard.count * world.size)


def _begin(job: Job[Any, Any], runner: Runner, world: World) -> None:
    part = str(job.shard) if world.size == 1 else f"{job.shard}.{world.shard}"
    is_left = job.sink.begin(runner, part) if world.is_main else None
    if world.broadcast(is_left) and not world.is_main:
        job.sink.join(runner, part)


def _work(
    job: Job[Kept, Result],
    runner: Runner,
    listed: Sequence[ListedVideo],
    world: World,
    monitor: Monitor,
) -> Result | None:
    """The part of this process, and on the main one the end of all."""
    sink, stamps = job.sink, FileStamps(listed)
    finished = sink.finished()
    world.wait()  # nobody writes before all have looked
    mine = job.shard.select(listed)
    before = {video.path: finished[video.path] for video in mine if video.path in finished}
    for text in stamps.describe(before):
        monitor.notice(text)
    done = {path for path, stamp in before.items() if stamps.is_current(path, stamp)}
    if done:
        verb = "was" if len(mine) == 1 else "were"
        of_mine = f"{len(done)} of {counted(len(mine), 'video')}"
        monitor.notice(f"{of_mine} {verb} done before: skipped")
    own = [video for video in world.shard.select(mine) if video.path not in done]
    monitor.begin(len(own))
    # Before any is read: one that is replaced later is seen to be another.
    stamps.read(video.path for video in own)
    own_results: list[Kept] = []
    with closing(job.worker.compute(runner, own, monitor)) as results:
        for result in _in_order(results, len(mine), world) if sink.in_order else results:
            if (left := sink.keep(result, stamps)) is not None:
                own_results.append(left)
    collected = world.gather(own_results)
    if not world.is_main:
        sink.close()
    timing = monitor.timing(world)  # all have ended with this
    return sink.finish(collected, timing) if world.is_main else None


def _in_order(own: Iterator[Kept], total: int, world: World) -> Iterator[Kept]:
    """All results on the main process, one of each process at a time, in the order of the list."""
    if world.size == 1:
        yield from own
        return
    for _ in range(0, total, world.size):
        yield from world.gather(list(islice(own, 1)))
