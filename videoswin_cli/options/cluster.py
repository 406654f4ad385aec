"""Options of runs on a cluster: where it is, and how much of it a run takes."""

from dataclasses import dataclass, replace
from typing import Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, option
from videoswin_cli.options.run import EngineChoice, EngineOrCluster

Cluster = Literal["ray", "slurm"]

MAX_WORKERS = 100_000


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The cluster of a run, and its share of it."""

    cluster: Cluster | None = None  # settled by --engine
    worker_engine: EngineChoice | None = option(
        None,
        "Engine of the workers of --engine ray or slurm.",
        shown_default="torch",
        in_python=False,
    )
    ray_address: str | None = option(
        None,
        "auto: the cluster that this machine is a node of; local: one of this machine's own, which "
        "ends with the run.",
        metavar="auto|local|HOST:PORT|ray://...",
        shown_default="auto",
        in_python=False,
    )
    gpus_per_worker: float | None = option(
        None,
        "GPUs of each worker; 0: none.",
        metavar="N",
        least=0,
        most=1024,
        shown_default="1 where the cluster has any",
        in_python=False,
    )
    workers_per_gpu: int | None = option(
        None,
        "Workers that share a GPU.",
        metavar="N",
        least=1,
        most=64,
        shown_default="1",
        in_python=False,
    )
    min_workers: int = option(
        1,
        "Begin when so many workers are there.",
        metavar="N",
        least=1,
        most=MAX_WORKERS,
        in_python=False,
    )
    max_workers: int | None = option(
        None,
        "Workers at once; with slurm the jobs of the array.",
        metavar="N",
        least=1,
        most=MAX_WORKERS,
        shown_default="all that there is room for",
        in_python=False,
    )
    dry_run: bool = option(
        False, "Print the scripts of --engine slurm in place of submitting them.", in_python=False
    )
    part_size: int | None = option(
        None,
        "Videos that a worker gets at once, and that are lost with it; of --output-format those of "
        "a file.",
        metavar="N",
        least=1,
        most=1_000_000,
        shown_default="by the list, up to 64",
        in_python=False,
    )

    def __post_init__(self) -> None:
        check_options(self)
        if self.gpus_per_worker is not None and self.workers_per_gpu is not None:
            raise UsageError(
                "--gpus-per-worker and --workers-per-gpu say the same", hint="give one of them"
            )
        if self.max_workers is not None and self.max_workers < self.min_workers:
            raise UsageError(
                f"--min-workers {self.min_workers} is above --max-workers {self.max_workers}"
            )

    def on(self, engine: EngineOrCluster) -> "ClusterOptions":
        """These options for the engine of a run.

        Raises:
            UsageError: an option is of another engine.
        """
        cluster: Cluster | None = engine if engine == "ray" or engine == "slurm" else None
        idle = {
            "--worker-engine": (self.worker_engine is not None, ("ray", "slurm")),
            "--ray-address": (self.ray_address is not None, ("ray",)),
            "--gpus-per-worker": (self.gpus_per_worker is not None, ("ray", "slurm")),
            "--workers-per-gpu": (self.workers_per_gpu is not None, ("ray",)),
            "--min-workers": (self.min_workers > 1, ("ray",)),
            "--max-workers": (self.max_workers is not None, ("ray", "slurm")),
            "--dry-run": (self.dry_run, ("slurm",)),
        }
        for name, (given, engines) in idle.items():
            if given and cluster not in engines:
                raise UsageError(f"{name} needs --engine {' or '.join(engines)}: found {engine}")
        return replace(self, cluster=cluster)

    @property
    def ray(self) -> bool:
        """Whether the run is on a Ray cluster."""
        return self.cluster == "ray"
