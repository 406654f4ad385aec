"""Work of one process of a cluster: it opens the model once and computes the parts it is given."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from videoswin_cli.engine.cluster.decoding import Decoders
from videoswin_cli.engine.cluster.place import enter
from videoswin_cli.engine.cluster.versions import find_difference, library_versions
from videoswin_cli.engine.job import Worker
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner, open_runner
from videoswin_cli.engine.runtime import Numerics
from videoswin_cli.errors import DeviceError
from videoswin_cli.io.process_state import reproducible_sums
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.options.run import RunOptions
from videoswin_cli.records import ListedVideo

Call = tuple[str, Mapping[str, Any]]  # method of a monitor and its arguments

SECONDS = (
    *("decode_seconds", "resize_seconds", "wait_seconds", "model_seconds"),
    *("normalize_seconds", "seen_seconds"),
)


@dataclass(frozen=True, kw_only=True)
class Equipment:
    """All that a worker needs, once."""

    model: LoadedModel
    options: RunOptions  # for it alone
    worker: Worker[Any]
    videos: int  # that it will compute, about
    decoders: int  # videos that are decoded for it at once; 0: it decodes itself
    on_gpu: bool  # its decoders have CPUs of their own


@dataclass(frozen=True, kw_only=True)
class Place:
    """Node of a worker, and what is against it."""

    node: str
    host: str
    refusal: str | None


@dataclass(frozen=True, kw_only=True)
class Computed:
    """Results of a part, and what its monitor was told."""

    results: list[Any]
    calls: list[Call]  # in order
    seconds: Mapping[str, float]  # fields of a monitor

    def replay(self, monitor: Monitor) -> None:
        """Tell the monitor of the run."""
        for name, arguments in self.calls:
            getattr(monitor, name)(**arguments)
        for name, value in self.seconds.items():
            setattr(monitor, name, getattr(monitor, name) + value)


@dataclass
class RecordingMonitor(Monitor):
    """Monitor of a worker, which shows nothing."""

    calls: list[Call] = field(default_factory=list)

    def notice(self, text: str) -> None:
        self.calls.append(("notice", {"text": text}))

    def advance(self, *, failed: bool) -> None:
        self.calls.append(("advance", {"failed": failed}))

    def note(self, path: str, notes: Sequence[str]) -> None:
        self.calls.append(("note", {"path": path, "notes": tuple(notes)}))

    def watch(self, path: str, position: float, end: float, *, seconds: float) -> None:
        self.seen_seconds += seconds


class ClusterWorker:
    """A process of the cluster that holds the network; Ray makes an actor of it."""

    def __init__(self) -> None:
        reproducible_sums()  # as in the process that was started
        self._runner: Runner | None = None
        self._equipment: Equipment | None = None
        self._seen: tuple[str, str | None] = ".", None

    def look(self, versions: Mapping[str, str], folder: str, sample: str | None) -> Place:
        """The place of this process, and whether it can compute there.

        Args:
            versions: of the driver's libraries.
            folder: the current one of the driver, to which paths are relative.
            sample: a file that the driver sees.
        """
        import ray

        node, host = ray.get_runtime_context().get_node_id(), socket.gethostname()
        different = find_difference(versions, library_versions())
        refusal = f"other versions: {different}" if different else None
        self._seen = folder, sample
        return Place(node=node, host=host, refusal=enter(folder, sample) or refusal)

    def open(self, equipment: Equipment) -> Numerics:
        """Load the network; gives what it computes in.

        Raises:
            UsageError: this machine cannot compute so.
        """
        options = equipment.options
        _own_weights(equipment.model)
        runner = open_runner(equipment.model, options, videos=equipment.videos)
        engine = runner.settings.runtime.engine
        if options.computes not in ("auto", engine) and equipment.model.exported is None:
            raise DeviceError(
                f"node {socket.gethostname()} cannot compute by {options.computes}",
                hint="use --worker-engine torch",
            )
        if equipment.decoders:
            decoders = Decoders(equipment.decoders, equipment.on_gpu, *self._seen)
            decoders.open()
            runner = Runner(runner.model, runner.network, runner.settings, reading=decoders)
        else:
            runner.settings = replace(runner.settings, workers=0)
        self._runner, self._equipment = runner, equipment
        return runner.settings.runtime.numerics

    def compute(self, videos: Sequence[ListedVideo]) -> Computed:
        """Results of a part."""
        assert self._runner is not None
        assert self._equipment is not None
        monitor = RecordingMonitor()
        results = list(self._equipment.worker.compute(self._runner, videos, monitor))
        seconds = {name: getattr(monitor, name) for name in SECONDS}
        return Computed(results=results, calls=monitor.calls, seconds=seconds)


def _own_weights(model: LoadedModel) -> None:
    """Copy weights out of the shared memory of the cluster.

    They cannot be written to there, and lie at other addresses than torch would choose, on which
    the last bits of products depend.
    """
    if model.exported is None:
        for tensor in (*model.module.parameters(), *model.module.buffers()):
            tensor.data = tensor.data.clone()
