"""Nouns of a long run over videos: what is computed of each, where it is kept, and the job of both.

A `Worker` says what is computed of a video, a `Sink` where results are kept and what they make in
the end. Neither knows of processes, so that another engine can drive them.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from videoswin_cli.engine.file_stamps import FileStamps
from videoswin_cli.engine.numerics import Record
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.settings import Settings
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.loading import FoundModel, LoadedModel
from videoswin_cli.options.cluster import ClusterOptions
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
    part_size: int | None = None  # consecutive videos that one process computes; None: any
    cluster: ClusterOptions = field(default_factory=ClusterOptions)
    # Raises UsageError for options that do not fit the model, before its weights are fetched.
    check: Callable[[ModelSpec, Settings], None] = lambda spec, settings: None
