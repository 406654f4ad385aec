import re

import pytest

from videoswin_cli.engine.distributed import World, _rendezvous, check_stdin, find_world
from videoswin_cli.errors import UsageError
from videoswin_cli.options.parsers import parse_shard
from videoswin_cli.records import Shard


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
def test_shards_are_dealt_without_padding_or_repeats(count: int) -> None:
    items = list(range(10))
    hands = [Shard(index=index, count=count).select(items) for index in range(count)]
    assert sorted(item for hand in hands for item in hand) == items
    assert max(map(len, hands)) - min(map(len, hands)) <= 1


def test_shards_count_from_one() -> None:
    assert parse_shard("2/4") == Shard(index=1, count=4)
    assert str(parse_shard("2/4")) == "2-of-4"


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/2", "", "¹/4"])
def test_other_shards_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no such shard"):
        parse_shard(text)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, World()),
        (
            {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"},
            World(rank=5, size=8, local_rank=1),
        ),
        (
            {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_LOCALID": "0"},
            World(rank=2, size=3, local_rank=0),
        ),
        # A batch script that starts one process has no step: its ntasks are no processes of ours.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, World()),
    ],
)
def test_who_we_are(environment: dict[str, str], expected: World) -> None:
    assert find_world(environment) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RANK": "x"}, "RANK is 'x': expected a number"),
        ({"RANK": ""}, "RANK is ''"),
        ({"RANK": "-1"}, "RANK is '-1'"),
        ({"RANK": "²"}, "RANK is '²'"),
        ({"RANK": "2"}, "RANK is 2 and WORLD_SIZE is 2: expected a rank from 0"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
        ({"WORLD_SIZE": "0"}, "RANK is 1 and WORLD_SIZE is 0"),
        ({"LOCAL_RANK": "0.5"}, "LOCAL_RANK is '0.5'"),
    ],
)
def test_who_we_cannot_be(changes: dict[str, str], message: str) -> None:
    names = {
        "RANK": "SLURM_PROCID",
        "WORLD_SIZE": "SLURM_STEP_NUM_TASKS",
        "LOCAL_RANK": "SLURM_LOCALID",
    }
    torchrun = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"} | changes
    with pytest.raises(UsageError, match=re.escape(message)):
        find_world(torchrun)
    for name, other in names.items():
        message = re.sub(rf"\b{name}\b", other, message)
    with pytest.raises(UsageError, match=re.escape(message)):
        find_world({names[name]: value for name, value in torchrun.items()})


@pytest.mark.parametrize("name", ["RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID"])
def test_a_number_that_is_none_is_refused_alone_too(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is 'abc': expected a number"):
        find_world({name: "abc"})


@pytest.mark.parametrize(
    "environment",
    [
        {"MASTER_ADDR": "a", "MASTER_PORT": "http"},
        {"SLURM_STEP_NODELIST": "a", "SLURM_JOB_ID": "12_3"},
    ],
)
def test_where_nobody_can_meet(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="expected a number"):
        _rendezvous(environment)


def test_several_processes_do_not_share_standard_input() -> None:
    check_stdin(["-"], World())
    check_stdin(["a.mp4"], World(size=2))
    with pytest.raises(UsageError, match="2 processes cannot share"):
        check_stdin(["a.mp4", "-"], World(size=2))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"MASTER_ADDR": "a", "MASTER_PORT": "1"}, "env://"),
        (
            {"SLURM_STEP_NODELIST": "gpu[03-05,09],cpu1", "SLURM_JOB_ID": "45678"},
            "tcp://gpu03:25678",
        ),
        ({"SLURM_STEP_NODELIST": "login", "SLURM_JOB_ID": "1"}, "tcp://login:20001"),
        ({"SLURM_STEP_NODELIST": "a-1,b-2", "SLURM_JOB_ID": "1"}, "tcp://a-1:20001"),
    ],
)
def test_where_processes_meet(environment: dict[str, str], expected: str) -> None:
    assert _rendezvous(environment) == expected


def test_one_process_gathers_what_it_has() -> None:
    assert World().gather([1, 2]) == [1, 2]
    assert World().device("auto") == "auto"
