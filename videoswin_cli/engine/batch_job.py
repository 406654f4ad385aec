"""The skeleton of a long run over videos: who does what, in which order, whatever is computed."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from videoswin_cli.engine.cluster.ray_cluster import ray_cluster
from videoswin_cli.engine.distributed import World, process_group
from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.job import Job, Kept, Result
from videoswin_cli.engine.progress import Monitor, Silent
from videoswin_cli.engine.runner import Runner, open_runner
from videoswin_cli.errors import UsageError
from videoswin_cli.io.visible import counted
from videoswin_cli.records import ListedVideo

_WINDOWS = 20  # of a usual video: ten seconds at half a window


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
    with process_group(world), _find_computer(job, world, monitor) as computer:
        if world.is_main:
            job.sink.check()
        world.wait()
        runner = computer.open(job, _count_work(job, listed, world), monitor)
        _begin(job, runner, world)
        with closing(job.sink):
            result = _work(job, runner, computer, listed, world, monitor)
        return world.broadcast(result)


class _Computer(Protocol):
    """Those who compute a job: the processes that were started, or a cluster."""

    def open(self, job: Job[Any, Any], videos: int, monitor: Monitor) -> Runner:
        """The runner of this process, in the precision and engine of all."""
        ...

    def compute(
        self, job: Job[Kept, Any], runner: Runner, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> Generator[Kept, None, None]:
        """Results of videos, in their order where the sink wants them so."""
        ...


@dataclass(frozen=True, kw_only=True)
class _Processes:
    """The processes that were started."""

    world: World

    def open(self, job: Job[Any, Any], videos: int, monitor: Monitor) -> Runner:
        return open_runner(
            job.model,
            job.options,
            with_head=job.with_head,
            videos=videos,
            world=self.world,
            record=job.sink.record,
            reporter=monitor.reporter,
            check=job.check,
        )

    def compute(
        self, job: Job[Kept, Any], runner: Runner, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> Generator[Kept, None, None]:
        return job.worker.compute(runner, videos, monitor)


def _find_computer(
    job: Job[Any, Any], world: World, monitor: Monitor
) -> AbstractContextManager[_Computer]:
    if not job.cluster.ray:
        return nullcontext(_Processes(world=world))
    if world.size > 1 or job.shard.count > 1:
        found = "--shard" if world.size == 1 else f"{world.size} processes"
        raise UsageError(
            f"--engine ray deals the videos itself: found {found}",
            hint="start one process, without --shard",
        )
    return ray_cluster(job.cluster, monitor.reporter)


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
    computer: _Computer,
    listed: Sequence[ListedVideo],
    world: World,
    monitor: Monitor,
) -> Result | None:
    """The part of this process, and on the main one the end of all."""
    sink, stamps = job.sink, FileStamps(listed)
    finished = sink.finished()
    world.wait()  # nobody writes before all have looked
    unit = job.part_size or 1
    mine = job.shard.select(listed, unit)
    before = {video.path: finished[video.path] for video in mine if video.path in finished}
    for text in stamps.describe(before):
        monitor.notice(text)
    done = {path for path, stamp in before.items() if stamps.is_current(path, stamp)}
    if done:
        verb = "was" if len(mine) == 1 else "were"
        of_mine = f"{len(done)} of {counted(len(mine), 'video')}"
        monitor.notice(f"{of_mine} {verb} done before: skipped")
    own = [video for video in world.shard.select(mine, unit) if video.path not in done]
    monitor.begin(len(own))
    # Before any is read: one that is replaced later is seen to be another.
    stamps.read(video.path for video in own)
    own_results: list[Kept] = []
    with closing(computer.compute(job, runner, own, monitor)) as results:
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
