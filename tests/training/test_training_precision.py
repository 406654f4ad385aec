"""What `precision: auto` of a recipe comes to, and for whom."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from videoswin_cli.engine.distributed import Item, World
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.options.run import Precision, PrecisionChoice
from videoswin_cli.training import preparation
from videoswin_cli.training.preparation import settle_precision
from videoswin_cli.training.recipe import read_recipe


def settle(wanted: PrecisionChoice, device: str, **more: Any) -> tuple[str, list[str]]:
    """Precision and what was told."""
    notices: list[str] = []
    runtime = Runtime(device=torch.device(device), dtype=torch.float32)
    recipe = read_recipe(None, [f"precision={wanted}"])
    found = settle_precision(recipe, runtime, notice=notices.append, **more)
    return found.precision, notices


@dataclass(frozen=True, kw_only=True)
class Apart(World):
    """One process of two; the other one, which is the first, has decided."""

    def share(self, items: list[Item]) -> list[Item]:
        assert items == []
        return ["bf16"]  # type: ignore[list-item]


def refuse() -> Precision:
    raise AssertionError("only the first process looks")


@pytest.mark.parametrize(("device", "expected"), [("cpu", "fp32"), ("cuda", "bf16")])
def test_auto_is_bf16_on_a_gpu(device: str, expected: str) -> None:
    assert settle("auto", device) == (expected, [f"training on {device} in {expected}"])


def test_a_run_goes_on_as_it_began() -> None:
    begun_in: Callable[[], Precision] = lambda: "bf16"  # noqa: E731
    assert settle("auto", "cpu", begun_in=begun_in)[0] == "bf16"
    assert settle("fp32", "cpu", begun_in=begun_in)[0] == "fp32"  # refused where it is compared


def test_the_first_process_decides() -> None:
    assert settle("auto", "cpu", world=Apart(rank=1, size=2), begun_in=refuse)[0] == "bf16"


@pytest.mark.parametrize(("device", "told"), [("cpu", 0), ("cuda", 1)])
def test_where_bf16_is_faster_it_is_told(
    device: str, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "is_fast_in_bf16", lambda _: True)
    assert settle("bf16", device) == ("bf16", [])
    found, notices = settle("fp32", device)
    assert found == "fp32"
    assert (
        notices == [f"training on {device} in fp32; bf16 is faster there: --precision auto"][:told]
    )
