"""Options of runs on a cluster: where it is, and how much of it a run takes."""

from dataclasses import dataclass
from typing import Literal

from videoswin_cli.errors import UsageError
from videoswin_cli.options.fields import check_options, option

Cluster = Literal["ray", "slurm"]

MAX_WORKERS = 100_000


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The cluster of a run, and its share of it."""

    cluster: Cluster | None = option(
        None,
        "Compute on a Ray cluster, or submit an array of Slurm jobs (docs/scale.md).",
        shown_default="this machine",
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
        "Workers at once; of Slurm the jobs of the array.",
        metavar="N",
        least=1,
        most=MAX_WORKERS,
        shown_default="all that there is room for",
        in_python=False,
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
        if self.cluster != "ray" and self.ray_address is not None:
            raise UsageError("--ray-address needs --cluster ray")

    @property
    def ray(self) -> bool:
        """Whether the run is on a Ray cluster."""
        return self.cluster == "ray"
