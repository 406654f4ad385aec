"""Items keep their order, and the death of a decoding process costs one of them."""

import os
import signal
from pathlib import Path

import pytest
import torch

from videoswin_cli.data.feeding import count_workers, feed

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed with signals"),
]


class Numbers:
    """Squares; some numbers kill the process that asks for them."""

    def __init__(self, *, deadly: tuple[int, ...] = (), once: Path | None = None) -> None:
        self.parent = os.getpid()
        self.deadly = deadly
        self.once = once  # a number that is deadly one time only leaves a file here

    def __getitem__(self, key: int) -> int | str:
        if key in self.deadly:
            assert os.getpid() != self.parent
            if self.once is None or not (self.once / str(key)).exists():
                if self.once is not None:
                    (self.once / str(key)).touch()
                os.kill(os.getpid(), signal.SIGSEGV)
        return key**2

    def failed(self, key: int, reason: str) -> str:
        return f"{key} {reason}"


@pytest.fixture(autouse=True)
def _quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """DataLoader looks after silent workers every 5 seconds."""
    look = torch.utils.data.dataloader._MultiProcessingDataLoaderIter._try_get_data
    assert look.__defaults__ == (5.0,)
    monkeypatch.setattr(look, "__defaults__", (0.2,))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_items_come_in_the_order_of_the_keys(workers: int) -> None:
    keys = [5, 3, 8, 1, 9, 2, 2, 7]
    assert list(feed(Numbers(), keys, workers=workers)) == [key**2 for key in keys]


def test_nothing_gives_nothing() -> None:
    assert list(feed(Numbers(), [], workers=2)) == []


@pytest.mark.parametrize("deadly", [(4,), (0,), (11,), (2, 3)])
def test_a_deadly_item_is_reported_and_the_others_come(deadly: tuple[int, ...]) -> None:
    items = list(feed(Numbers(deadly=deadly), range(12), workers=2))
    expected = [
        f"{key} the process that decoded it died: a crash in the decoder, or out of memory"
        if key in deadly
        else key**2
        for key in range(12)
    ]
    assert items == expected


def test_an_item_that_was_only_near_an_accident_is_not_lost(tmp_path: Path) -> None:
    """Out of memory, say: alone there is enough of it."""
    items = list(feed(Numbers(deadly=(5,), once=tmp_path), range(9), workers=2))
    assert items == [key**2 for key in range(9)]


def test_errors_of_an_item_are_not_taken_for_its_death() -> None:
    class Wrong(Numbers):
        def __getitem__(self, key: int) -> int | str:
            raise ValueError("a bug of ours")

    with pytest.raises(ValueError, match="a bug of ours"):
        list(feed(Wrong(), range(3), workers=1))


def test_workers_suit_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(32)), raising=False)
    assert count_workers(1, on_cpu=True) == 0
    assert count_workers(2, on_cpu=True) == 2
    assert count_workers(1000, on_cpu=True) == 4
    assert count_workers(1000, on_cpu=False) == 16
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert count_workers(1000, on_cpu=False) == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "64")
    assert count_workers(1000, on_cpu=True) == 1
