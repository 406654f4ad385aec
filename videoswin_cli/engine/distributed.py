"""Several processes on one list: who we are among them, which videos are ours, and the end.

`torchrun` and Slurm's `srun` start the processes; `--shard` deals by hand. Videos are dealt like
cards, without padding or repeats, so that every process knows its share from the list alone.

torch is imported where it is needed: who we are is asked before anything slow happens.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from videoswin_cli.errors import UsageError
from videoswin_cli.records import Shard

Item = TypeVar("Item")

_TIMEOUT = timedelta(days=30)  # processes end hours apart; one that dies is noticed at once
_UNSET = "torchrun and srun set it; unset {} to run a single process"


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among those that were started together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on this machine

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    @property
    def shard(self) -> Shard:
        return Shard(index=self.rank, count=self.size)

    def device(self, wanted: str) -> str:
        """`auto` is one GPU for each process of a machine, where there are GPUs."""
        if wanted != "auto" or self.size == 1:
            return wanted
        import torch

        if torch.cuda.is_available():
            return f"cuda:{self.local_rank % torch.cuda.device_count()}"
        return wanted

    def gather(self, items: list[Item]) -> list[Item]:
        """Items of all processes on the first one, an empty list on the others."""
        if self.size == 1:
            return items
        from torch import distributed as dist

        everybody: list[list[Item] | None] | None = [None] * self.size if self.is_main else None
        dist.gather_object(items, everybody)
        return [item for part in everybody or [] for item in part or []]

    def share(self, items: list[Item]) -> list[Item]:
        """Items of all processes, on all of them."""
        if self.size == 1:
            return items
        from torch import distributed as dist

        everybody: list[list[Item] | None] = [None] * self.size
        dist.all_gather_object(everybody, items)
        return [item for part in everybody for item in part or []]

    def broadcast(self, value: Item | None) -> Item:
        """The value of the main process, on all of them; the others' count for nothing."""
        found = [value]
        if self.size > 1:
            from torch import distributed as dist

            dist.broadcast_object_list(found)
        (result,) = found
        assert result is not None
        return result

    def wait(self) -> None:
        """Until all processes are here."""
        self.share([None])


def find_world(environment: Mapping[str, str] = os.environ) -> World:
    """From what torchrun sets, else from what Slurm's srun sets.

    Raises:
        UsageError: a number that is none, or one that cannot be among the others.
    """
    for rank, size, local in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),  # a batch script has no step
    ):
        for name in (rank, size, local):
            if name in environment:
                _read_number(environment, name)
        if rank in environment and size in environment:
            found = World(
                rank=_read_number(environment, rank),
                size=_read_number(environment, size),
                local_rank=_read_number(environment, local, default="0"),
            )
            if found.rank >= found.size:
                raise UsageError(
                    f"{rank} is {found.rank} and {size} is {found.size}: expected a rank from 0 to "
                    "below the number of processes",
                    hint=_UNSET.format(rank),
                )
            return found
    return World()


def _read_number(environment: Mapping[str, str], name: str, *, default: str = "") -> int:
    text = environment.get(name, default)
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise UsageError(f"{name} is {text!r}: expected a number", hint=_UNSET.format(name))
    return int(text)


def check_stdin(inputs: Sequence[str], world: World) -> None:
    """Refuse a list on standard input that one process alone would get, or each a part of.

    Raises:
        UsageError: there are several processes, and `-` is an input.
    """
    if "-" in inputs and world.size > 1:
        raise UsageError(
            f"{world.size} processes cannot share the paths on standard input",
            hint="write them into a file and give @FILE, or start one process",
        )


@contextmanager
def process_group(world: World) -> Iterator[World]:
    """Meet the other processes for the length of the block.

    One that dies within it ends the others with an error where they wait for it.
    """
    if world.size == 1:
        yield world
        return
    import torch
    from torch import distributed as dist

    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        init_method=_rendezvous(os.environ),
        rank=world.rank,
        world_size=world.size,
        timeout=_TIMEOUT,
    )
    try:
        yield world
    finally:
        dist.destroy_process_group()


def _rendezvous(environment: Mapping[str, str]) -> str:
    """Where torchrun says; else the first machine of the Slurm step, at a port of its job."""
    if "MASTER_ADDR" in environment and "MASTER_PORT" in environment:
        _read_number(environment, "MASTER_PORT")
        return "env://"
    nodes = environment.get("SLURM_STEP_NODELIST", "localhost")  # such as gpu[03-05,09],cpu1
    match = re.match(r"([^\[,]+)(?:\[(\d+))?", nodes)
    assert match is not None, nodes
    port = 20_000 + _read_number(environment, "SLURM_JOB_ID", default="0") % 20_000
    return f"tcp://{match[1]}{match[2] or ''}:{port}"
