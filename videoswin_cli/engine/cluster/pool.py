"""Actors of a run on a Ray cluster: those that come, those that are free, those that compute."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videoswin_cli.engine.cluster.dealing import Part
from videoswin_cli.engine.cluster.versions import library_versions
from videoswin_cli.engine.cluster.worker import ClusterWorker, Computed, Place
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.engine.runtime import Numerics
from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.io.visible import counted
from videoswin_cli.options.cluster import ClusterOptions

_LOOK_SECONDS = 1.0  # from one look at the cluster to the next
_QUIET_SECONDS = 30.0  # without a worker, before it is said
_MOST_FALSE_STARTS = 5  # one after the other
_APART_SECONDS = 5.0  # from one to the next, or they are one


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A part that came back: computed, or lost with its worker."""

    part: Part
    computed: Computed | None
    by_node: bool = False  # its node went, whatever the part did


@dataclass
class WorkerPool:
    """Workers of a run. As many are asked for as there is room and work for."""

    options: ClusterOptions
    gpus: float  # of each worker
    equipment: Any  # reference to an `Equipment`
    sample: str | None  # a file that all nodes must see
    reporter: Reporter
    numerics: Numerics | None = None  # of the first worker that came
    _coming: dict[Any, Any] = field(default_factory=dict)  # reference -> actor
    _nodes: dict[Any, Place] = field(default_factory=dict)  # actor -> its place
    _free: list[Any] = field(default_factory=list)
    _busy: dict[Any, tuple[Any, Part]] = field(default_factory=dict)
    _excluded: set[str] = field(default_factory=set)  # nodes
    _false_starts: int = 0
    _stumbled: float = 0.0  # when the last of these was
    _room: int = 1
    _wanted: int = 1  # workers, now
    _begun: bool = False  # so many were there as the run begins with
    _looked: float = 0.0
    _since: float = field(default_factory=time.monotonic)  # when a worker was last there
    _said: bool = False

    @property
    def alive(self) -> int:
        """Workers that are ready."""
        return len(self._free) + len(self._busy)

    @property
    def busy(self) -> int:
        return len(self._busy)

    def is_ready(self) -> bool:
        """Whether the run can begin, or goes on."""
        self._begun = self._begun or self.alive >= min(self.options.min_workers, self._wanted)
        return bool(self._free) and self._begun

    def request(self, parts: int) -> None:
        """Ask for workers, up to those that there is work and room for."""
        import ray

        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked, self._room = time.monotonic(), self._count_room()
        room = self.options.max_workers or max(self._room, self.options.min_workers)
        self._wanted = min(room, parts + self.busy)
        more: dict[str, Any] = {}
        if self._excluded:
            more["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(self._excluded))})"}
        actor = ray.remote(ClusterWorker).options(
            num_cpus=1, num_gpus=self.gpus, scheduling_strategy="SPREAD", **more
        )
        while self.alive + len(self._coming) < self._wanted:
            worker = actor.remote()
            look = worker.look.remote(library_versions(), str(Path.cwd()), self.sample)
            self._coming[look] = worker

    def give(self, part: Part) -> None:
        """Let a free worker compute a part."""
        worker = self._free.pop()
        self._busy[worker.compute.remote(part.videos)] = worker, part

    def release(self, parts: int) -> None:
        """Let workers go for whom there is nothing left."""
        import ray

        while len(self._free) > parts:
            ray.kill(self._free.pop())

    def close(self) -> None:
        """End all workers."""
        import ray

        for worker in {*self._free, *self._coming.values(), *(w for w, _ in self._busy.values())}:
            ray.kill(worker)

    def wait(self) -> Sequence[Ended]:
        """Parts that came back within a moment."""
        import ray

        waited = [*self._busy, *self._coming]
        ready, _ = ray.wait(waited, num_returns=len(waited), timeout=0)
        if not ready:
            ready, _ = ray.wait(waited, timeout=_LOOK_SECONDS)
        ended = []
        for reference in ready:
            if reference in self._coming:
                self._admit(reference)
            else:
                ended.append(self._collect(reference))
        self._tell_waiting()
        return ended

    def _collect(self, reference: Any) -> Ended:
        from ray.exceptions import RayError, RayTaskError

        worker, part = self._busy.pop(reference)
        try:
            computed = get(reference)
        except RayTaskError:
            raise
        except RayError as error:
            place = self._nodes.pop(worker)
            by_node = "node" in str(error).partition("\n")[0] or not _is_alive(place.node)
            why = "its node was lost" if by_node else "it died"
            count = counted(len(part.videos), "video")
            self.reporter.notice(f"a worker on {place.host} was lost with {count}: {why}")
            return Ended(part=part, computed=None, by_node=by_node)
        self._free.append(worker)
        return Ended(part=part, computed=computed)

    def _admit(self, reference: Any) -> None:
        """Take the next step with a worker that starts."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        worker = self._coming.pop(reference)
        try:
            found = get(reference)
        except RayTaskError:
            raise
        except RayError as error:
            if time.monotonic() - self._stumbled > _APART_SECONDS:  # a node is lost with several
                self._stumbled = time.monotonic()
                self._false_starts += 1
            if self._false_starts >= _MOST_FALSE_STARTS:
                reason = str(error).strip().splitlines()[-1]
                raise VideoSwinError(
                    f"workers died as they started, {self._false_starts} times: {reason}",
                    hint="see the logs of Ray; is there memory for the model? A cluster that was "
                    "started without a token needs RAY_AUTH_MODE=disabled where there is one "
                    "(~/.ray/auth_token)",
                ) from error
            return
        if isinstance(found, Numerics):
            self.numerics = self.numerics or found
            self._free.append(worker)
            self._false_starts = 0
        elif found.refusal is None:
            self._nodes[worker] = found
            self._coming[worker.open.remote(self.equipment)] = worker
        else:
            ray.kill(worker)
            self._exclude(found)

    def _exclude(self, place: Place) -> None:
        if place.node in self._excluded:
            return
        self._excluded.add(place.node)
        text = f"node {place.host} cannot take part: {place.refusal}"
        if not _list_nodes() - self._excluded:
            raise UsageError(
                text, hint="all nodes need the same versions, and to see the same files"
            )
        self.reporter.notice(text)

    def _count_room(self) -> int:
        """Workers that the cluster has room for as it is, at least one: it may grow."""
        import ray

        has = ray.cluster_resources()
        room = int(has.get("GPU", 0) / self.gpus) if self.gpus else int(has.get("CPU", 0))
        return max(1, room)

    def _tell_waiting(self) -> None:
        if self._begun and self.alive:
            self._since, self._said = time.monotonic(), False
        elif not self._said and time.monotonic() - self._since > _QUIET_SECONDS:
            self._said = True
            gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
            self.reporter.notice(
                f"waiting for the cluster: a worker needs 1 CPU{gpus}; {self.alive} of "
                f"{counted(self._wanted, 'worker')} there"
            )


def get(reference: Any) -> Any:
    """The value of a reference; a `VideoSwinError` is raised as itself."""
    import ray
    from ray.exceptions import RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, VideoSwinError):
            raise error.cause from error
        raise


def _list_nodes() -> set[str]:
    import ray

    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def _is_alive(node: str) -> bool:
    return node in _list_nodes()
