"""The order of a long run, whatever is computed: shards, earlier work, results of all processes."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from notices import Notices

from videoswin_cli.engine import batch_job
from videoswin_cli.engine.batch_job import run_job
from videoswin_cli.engine.distributed import Item, World
from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.job import Job
from videoswin_cli.engine.numerics import NO_RECORD, Record
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner
from videoswin_cli.options.run import RunOptions
from videoswin_cli.records import ListedVideo, Shard, Timing

VIDEOS = [ListedVideo(path=f"{n}", file=f"{n}", label=None, line=n) for n in range(5)]


@dataclass(frozen=True, kw_only=True)
class Apart(World):
    """One process of several; what it gives to the others is kept, and theirs is `theirs`."""

    given: list[list[Any]] = field(default_factory=list)
    theirs: list[Any] = field(default_factory=list)

    def gather(self, items: list[Item]) -> list[Item]:
        self.given.append(items)
        return items if self.is_main else []

    def share(self, items: list[Item]) -> list[Item]:
        return items

    def broadcast(self, value: Item | None) -> Item:
        found: Item = value if value is not None else self.theirs.pop(0)
        return found


@dataclass
class Upper:
    """A worker whose results are the names of videos."""

    seen: list[str] = field(default_factory=list)

    def compute(
        self, runner: Runner, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> Generator[str, None, None]:
        for video in videos:
            self.seen.append(video.path)
            yield f"video {video.path}"


@dataclass
class Memory:
    """A sink that keeps what it gets, and what was done to it."""

    in_order: bool
    before: Mapping[str, str] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    record: Record = NO_RECORD

    def check(self) -> None:
        self.calls.append("check")

    def begin(self, runner: Runner, part: str) -> bool:
        self.calls.append(f"begin {part}")
        return True

    def join(self, runner: Runner, part: str) -> None:
        self.calls.append(f"join {part}")

    def finished(self) -> Mapping[str, str]:
        self.calls.append("finished")
        return self.before

    def keep(self, result: str, stamps: FileStamps) -> str:
        self.kept.append(result)
        return result

    def close(self) -> None:
        self.calls.append("close")

    def finish(self, collected: Sequence[str], timing: Timing) -> tuple[str, ...]:
        self.calls.append("finish")
        return tuple(collected)


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_job, "open_runner", lambda *_, **__: None)
    monkeypatch.setattr(batch_job, "process_group", nullcontext)


def run(
    sink: Memory,
    world: World,
    *,
    shard: Shard | None = None,
    notices: list[str] | None = None,
    videos: Sequence[ListedVideo] = VIDEOS,
) -> tuple[list[str], Any]:
    worker, model = Upper(), Any
    job = Job(
        model=model,  # type: ignore[arg-type]
        options=RunOptions(),
        with_head=True,
        worker=worker,
        sink=sink,
        shard=shard or Shard(),
    )
    monitor = Monitor(reporter=Notices(notices if notices is not None else []))
    return worker.seen, run_job(job, videos, world=world, monitor=monitor)


def test_one_process_does_all_in_order() -> None:
    sink = Memory(in_order=True)
    seen, result = run(sink, World())
    assert seen == ["0", "1", "2", "3", "4"]
    assert sink.calls == ["check", "begin 1-of-1", "finished", "finish", "close"]
    assert result == tuple(f"video {n}" for n in range(5))


@pytest.mark.parametrize(("rank", "numbers"), [(0, [0, 3]), (1, [1, 4]), (2, [2])])
def test_each_process_computes_its_share(rank: int, numbers: list[int]) -> None:
    """Results are sent one of each process at a time, so that the main one has them in order."""
    sink = Memory(in_order=True)
    theirs = [] if rank == 0 else [True, ("all",)]
    world = Apart(rank=rank, size=3, theirs=theirs)
    seen, result = run(sink, world)
    mine = [f"video {number}" for number in numbers]
    assert seen == [str(number) for number in numbers]
    rounds = [[name] for name in mine] + [[]] * (2 - len(mine))
    assert world.given[:2] == rounds
    assert sink.kept == (mine if rank == 0 else [])
    assert result == (tuple(mine) if rank == 0 else ("all",))
    begun = "begin" if rank == 0 else "join"
    assert f"{begun} 1-of-1.{rank + 1}-of-3" in sink.calls
    assert ("check" in sink.calls, "finish" in sink.calls) == (rank == 0, rank == 0)


def test_what_stays_where_it_is_made_is_collected_at_the_end() -> None:
    sink = Memory(in_order=False)
    world = Apart(rank=0, size=2)
    _, result = run(sink, world)
    assert sink.kept == ["video 0", "video 2", "video 4"]
    assert world.given[0] == sink.kept
    assert result == tuple(sink.kept)


def test_shards_and_finished_videos_are_left_out() -> None:
    notices: list[str] = []
    sink = Memory(in_order=False, before={"1": "", "2": ""})
    seen, _ = run(sink, World(), shard=Shard(index=1, count=2), notices=notices)
    assert seen == ["3"]
    assert "1 of 2 videos were done before: skipped" in notices


def test_a_video_whose_file_was_replaced_is_computed_again(tmp_path: Any) -> None:
    file = tmp_path / "0"
    file.write_text("new")
    videos = [replace(VIDEOS[0], file=str(file)), *VIDEOS[1:]]
    seen, _ = run(Memory(in_order=False, before={"0": "1-2", "1": ""}), World(), videos=videos)
    assert seen == ["0", "2", "3", "4"]
