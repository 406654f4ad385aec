"""Runs on a Ray cluster: parts of the list are dealt to actors, and results come back here.

Ray Core and not Ray Data: what is done is known here, part by part, so that a run can be resumed.
The process that was started is the driver. It alone writes, so a lost worker or node costs the
parts that it had, and a lost driver those that were under way.
"""

import re
import socket
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from heapq import heappop, heappush
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from videoswin_cli.engine.cluster.dealing import Dealer, Part, default_part_size
from videoswin_cli.engine.cluster.pool import WorkerPool
from videoswin_cli.engine.cluster.worker import Computed, Equipment
from videoswin_cli.engine.job import Job
from videoswin_cli.engine.numerics import go_on
from videoswin_cli.engine.progress import Monitor, Reporter
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.runtime import DTYPES, Numerics, Runtime
from videoswin_cli.engine.settings import Settings, settle
from videoswin_cli.errors import UsageError, install_extra
from videoswin_cli.io.visible import counted
from videoswin_cli.model.loading import FoundModel, load_found
from videoswin_cli.options.cluster import ClusterOptions
from videoswin_cli.options.run import Engine, RunOptions
from videoswin_cli.records import ListedVideo

if TYPE_CHECKING:
    from videoswin_cli.model.network import VideoNetwork

_PORT_SECONDS = 10.0
_DECODERS = 4  # videos decoded at once for a worker with a GPU; a CPU is busy enough with one


@contextmanager
def ray_cluster(options: ClusterOptions, reporter: Reporter) -> "Iterator[RayCluster]":
    """A connection to a cluster.

    Raises:
        UsageError: Ray is not installed, or no cluster answers.
    """
    if find_spec("ray") is None:
        raise UsageError(
            "--engine ray: the package ray is not installed", hint=install_extra("ray")
        )
    import ray

    own, dashboard = not ray.is_initialized(), ""
    if own:
        dashboard = _connect(options.ray_address or "auto")
    try:
        has = ray.cluster_resources()
        nodes = sum(node["Alive"] for node in ray.nodes())
        gpus = f", {has['GPU']:g} GPUs" if has.get("GPU") else ""
        reporter.notice(
            f"Ray {ray.__version__}: {counted(nodes, 'node')}, {has.get('CPU', 0):g} CPUs{gpus}"
            f"{dashboard}"
        )
        yield RayCluster(options, int(has.get("GPU", 0)))
    finally:
        if own:
            ray.shutdown()


def _connect(address: str) -> str:
    """Connect; gives where the dashboard is, in words."""
    import ray
    from ray._private import worker

    _check_port(address)
    # It would print on stdout what becomes of workers, which the run itself tells on stderr.
    worker.print_to_stdstream = lambda *_, **__: None
    try:
        context = ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise _no_cluster(address, reason) from error
    return f"; dashboard http://{context.dashboard_url}" if context.dashboard_url else ""


def _check_port(address: str) -> None:
    """Raises UsageError where nothing listens at HOST:PORT: Ray would try for ten minutes."""
    match = re.fullmatch(r"(?:ray://)?\[?([^/\[\]]+)\]?:([0-9]{1,5})", address)
    if match is None:
        return
    try:
        socket.create_connection((match[1], int(match[2])), timeout=_PORT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error


def _no_cluster(address: str, reason: str) -> UsageError:
    hint = "start one with `ray start --head`, or use --ray-address local"
    if (Path.home() / ".ray" / "auth_token").exists():
        hint += "; where the cluster asks for a token: RAY_AUTH_MODE=token"
    return UsageError(f"--ray-address {address}: no Ray cluster answers: {reason}", hint=hint)


class RayCluster:
    """A Ray cluster that computes a job."""

    def __init__(self, options: ClusterOptions, gpus: int) -> None:
        """`gpus`: that the cluster has."""
        self._options = options
        self._has_gpus = gpus > 0
        self._equipment: Equipment | None = None

    def open(self, job: Job[Any, Any], videos: int, monitor: Monitor) -> Runner:
        """Model and settings of the run; its network is in the workers.

        What is `auto` is as the output was begun, else as the first worker that comes decides.
        """
        options = job.options
        settings = self._settle(job, options)
        job.check(job.model.spec, settings)
        model = job.model
        if isinstance(model, FoundModel):
            model = load_found(model, with_head=job.with_head)
        monitor.notice(model.summary)
        if self._gpus(options) and not self._has_gpus:
            monitor.notice("no node of the cluster has a GPU: the run waits for one that has")
        self._equipment = Equipment(
            model=model,
            options=options,
            worker=job.worker,
            videos=videos,
            decoders=self._count_decoders(options),
            on_gpu=self._gpus(options) > 0,
        )
        if "auto" in (options.precision, options.computes):
            found = job.sink.record.read()
            numerics = (
                self._decide(options, monitor) if found is None else go_on(found, options).numerics
            )
            settings = self._settle(job, _with(options, numerics))
            if found is None:
                kept = job.sink.record.keep(model, settings)
                settings = self._settle(job, _with(options, go_on(kept, options).numerics))
        runtime = settings.runtime
        self._equipment = replace(self._equipment, options=_with(options, runtime.numerics))
        by = " by OpenVINO" if runtime.engine == "openvino" else ""
        monitor.notice(f"computing in {runtime.precision}{by}")
        return Runner(model, cast("VideoNetwork", model.network), settings)

    def compute(
        self, job: Job[Any, Any], runner: Runner, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> Generator[Any, None, None]:
        """Results of videos; in their order where the sink wants them so, else as they come."""
        ended = self._compute_parts(job, runner, videos, monitor)
        with closing(ended):
            if not job.sink.in_order:
                for _, results in ended:
                    yield from results
                return
            waiting: list[tuple[int, int, list[Any]]] = []
            place = 0
            for part, results in ended:
                heappush(waiting, (part.first, len(part.videos), results))
                while waiting and waiting[0][0] == place:
                    _, count, next_results = heappop(waiting)
                    place += count
                    yield from next_results

    def _compute_parts(
        self, job: Job[Any, Any], runner: Runner, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> "Generator[tuple[Part, list[Any]], None, None]":
        """Parts with their results, as they end."""
        size = job.part_size or self._options.part_size
        dealer = Dealer(videos, size or default_part_size(len(videos), windows=job.windows))
        status = Status(monitor)
        with closing(self._open_pool(job.options, videos, monitor)) as pool:
            while dealer or pool.busy:
                pool.request(len(dealer))
                while dealer and pool.is_ready():
                    pool.give(dealer.take())
                pool.release(len(dealer))
                for ended in pool.wait():
                    part, results = ended.part, None
                    if ended.computed is not None:
                        results = ended.computed.results
                        status.update(ended.computed, pool.alive)
                        ended.computed.replay(monitor)
                    elif ended.by_node:
                        dealer.give_back(part)
                    elif (lost := dealer.blame(part)) is not None:
                        results = list(job.worker.compute(runner, [lost], monitor))
                    if results is not None:
                        begun = time.monotonic()
                        yield part, results
                        status.keep_seconds += time.monotonic() - begun

    def _open_pool(
        self, options: RunOptions, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> WorkerPool:
        import ray

        return WorkerPool(
            self._options,
            self._gpus(options),
            ray.put(self._equipment),
            next((video.file for video in videos if video.file is not None), None),
            monitor.reporter,
        )

    def _decide(self, options: RunOptions, monitor: Monitor) -> Numerics:
        """Precision and engine, by the first worker that comes."""
        with closing(self._open_pool(options, (), monitor)) as pool:
            while pool.numerics is None:
                pool.request(1)
                pool.wait()
            return pool.numerics

    def _settle(self, job: Job[Any, Any], options: RunOptions) -> Settings:
        """Settings of the run but for its device, which is that of each worker."""
        precision = "fp32" if options.precision == "auto" else options.precision
        engine: Engine = "torch" if options.computes == "auto" else options.computes
        runtime = Runtime(device=torch.device("cpu"), dtype=DTYPES[precision], engine=engine)
        exported = job.model.exported
        facts = None if exported is None else exported.facts
        if exported is not None:
            runtime = replace(runtime, dtype=torch.float32, engine=exported.facts.format)
        return settle(job.model.spec.protocol, options, runtime, facts)

    def _gpus(self, options: RunOptions) -> float:
        """GPUs of each worker."""
        if self._options.workers_per_gpu is not None:
            return 1 / self._options.workers_per_gpu
        if self._options.gpus_per_worker is not None:
            return self._options.gpus_per_worker
        return float(self._has_gpus and options.device != "cpu" and options.computes != "openvino")

    def _count_decoders(self, options: RunOptions) -> int:
        if options.workers is not None:
            return options.workers
        return _DECODERS if self._gpus(options) else 1


def _with(options: RunOptions, numerics: Numerics) -> RunOptions:
    """The options with nothing `auto` about how it is computed."""
    if numerics.engine == "onnx":  # an exported file says so itself
        return options
    return replace(options, precision=numerics.precision, engine=numerics.engine)


class Status:
    """State of a run on a cluster, in words, for its progress."""

    def __init__(self, monitor: Monitor) -> None:
        self.keep_seconds = 0.0  # in which results were written
        self._monitor = monitor
        self._failed = 0
        self._begun = time.monotonic()

    def update(self, computed: Computed, workers: int) -> None:
        """Count a part that is done."""
        calls = computed.calls
        self._failed += sum(bool(more.get("failed")) for name, more in calls if name == "advance")
        limit = self._find_limit()
        self._monitor.status = (
            f"{self._failed} failed, {counted(workers, 'worker')}, limit: {limit}"
        )

    def _find_limit(self) -> str:
        """What more of would make the run faster."""
        if self.keep_seconds > (time.monotonic() - self._begun) / 2:
            return "storage"
        return "decoding" if self._monitor.wait_seconds > self._monitor.model_seconds else "network"
