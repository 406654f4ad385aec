import pytest

from videoswin_cli.engine.processes import (
    Processes,
    Shard,
    _meeting_point,
    find_processes,
    parse_shard,
)
from videoswin_cli.errors import UsageError


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
def test_shards_are_dealt_without_padding_or_repeats(count: int) -> None:
    items = list(range(10))
    hands = [Shard(index=index, count=count).deal(items) for index in range(count)]
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
        ({}, Processes()),
        (
            {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"},
            Processes(rank=5, size=8, local_rank=1),
        ),
        (
            {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_LOCALID": "0"},
            Processes(rank=2, size=3, local_rank=0),
        ),
        # A batch script that starts one process has no step: its ntasks are no processes of ours.
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, Processes()),
    ],
)
def test_who_we_are(environment: dict[str, str], expected: Processes) -> None:
    assert find_processes(environment) == expected


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
    assert _meeting_point(environment) == expected


def test_one_process_gathers_what_it_has() -> None:
    assert Processes().gather([1, 2]) == [1, 2]
    assert Processes().device("auto") == "auto"
