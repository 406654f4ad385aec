"""Several processes on one list: who we are among them, which videos are ours, and the end.

`torchrun` and Slurm's `srun` start the processes; `--shard` deals by hand. Videos are dealt like
cards, without padding or repeats, so that every process knows its share from the list alone.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from videoswin_cli.errors import UsageError

Item = TypeVar("Item")

_PATIENCE = timedelta(days=30)  # processes end hours apart; one that dies is noticed at once


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One hand of the deal."""

    index: int = 0  # from 0
    count: int = 1

    def deal(self, items: Sequence[Item]) -> Sequence[Item]:
        return items[self.index :: self.count]

    def __str__(self) -> str:
        return f"{self.index + 1}-of-{self.count}"


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those that were started together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on this machine

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def shard(self) -> Shard:
        return Shard(index=self.rank, count=self.size)

    def device(self, wanted: str) -> str:
        """`auto` is one GPU for each process of a machine, where there are GPUs."""
        if wanted == "auto" and self.size > 1 and torch.cuda.is_available():
            return f"cuda:{self.local_rank % torch.cuda.device_count()}"
        return wanted

    def gather(self, items: list[Item]) -> list[Item]:
        """Items of all processes on the first one, an empty list on the others."""
        if self.size == 1:
            return items
        everybody: list[list[Item] | None] | None = [None] * self.size if self.first else None
        dist.gather_object(items, everybody)
        return [item for part in everybody or [] for item in part or []]

    def share(self, items: list[Item]) -> list[Item]:
        """Items of all processes, on all of them."""
        if self.size == 1:
            return items
        everybody: list[list[Item] | None] = [None] * self.size
        dist.all_gather_object(everybody, items)
        return [item for part in everybody for item in part or []]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.all_gather_object([None] * self.size, None)


def parse_shard(text: str) -> Shard:
    """`2/4` is the second of four.

    Raises:
        UsageError: anything else.
    """
    match = re.fullmatch(r"([0-9]+)/([1-9][0-9]*)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(
            f"no such shard: {text!r}", hint="use I/N with I from 1 to N: 1/4, 2/4, 3/4, 4/4"
        )
    return Shard(index=int(match[1]) - 1, count=int(match[2]))


def find_processes(environment: Mapping[str, str] = os.environ) -> Processes:
    """From what torchrun sets, else from what Slurm's srun sets."""
    for rank, size, local in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),  # a batch script has no step
    ):
        if rank in environment and size in environment:
            return Processes(
                rank=int(environment[rank]),
                size=int(environment[size]),
                local_rank=int(environment.get(local, "0")),
            )
    return Processes()


@contextmanager
def joined(processes: Processes) -> Iterator[Processes]:
    """Meet the other processes for the length of the block.

    One that dies within it ends the others with an error where they wait for it.
    """
    if processes.size == 1:
        yield processes
        return
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        init_method=_meeting_point(os.environ),
        rank=processes.rank,
        world_size=processes.size,
        timeout=_PATIENCE,
    )
    try:
        yield processes
    finally:
        dist.destroy_process_group()


def _meeting_point(environment: Mapping[str, str]) -> str:
    """Where torchrun says; else the first machine of the Slurm step, at a port of its job."""
    if "MASTER_ADDR" in environment and "MASTER_PORT" in environment:
        return "env://"
    nodes = environment.get("SLURM_STEP_NODELIST", "localhost")  # such as gpu[03-05,09],cpu1
    match = re.match(r"([^\[,]+)(?:\[(\d+))?", nodes)
    assert match is not None, nodes
    port = 20_000 + int(environment.get("SLURM_JOB_ID", "0")) % 20_000
    return f"tcp://{match[1]}{match[2] or ''}:{port}"
