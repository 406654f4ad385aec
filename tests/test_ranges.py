import math
from dataclasses import dataclass

import pytest

from videoswin_cli.ranges import Range, find_outside, shown


@dataclass(frozen=True)
class Camera:
    height: int
    sizes: tuple[float, ...]
    ratio: float | None = None


@pytest.mark.parametrize(
    ("value", "inside"),
    [
        *((number, True) for number in (0, 1, 0.5)),
        *((number, False) for number in (-1e-9, 1.1, math.nan, math.inf, -math.inf, 10**400)),
    ],
)
def test_a_range_holds_its_ends_and_no_nan(value: float, inside: bool) -> None:
    assert (value in Range(0, 1)) == inside
    assert (value in Range(0, 1, without_low=True)) == (inside and value != 0)
    assert (value in Range(0, 1, without_high=True)) == (inside and value != 1)


def test_key_range_and_value_are_named() -> None:
    ranges = {
        "height": Range(1, 1_000_000),
        "sizes": Range(0, 1, without_low=True, without_high=True),
        "ratio": Range(0, 1),
    }
    assert list(find_outside(Camera(height=3, sizes=(0.5,)), ranges)) == []
    assert list(find_outside(Camera(height=0, sizes=(0.5, 1.0), ratio=2.0), ranges)) == [
        "height: expected a number from 1 to 1000000, found 0",
        "sizes: expected numbers above 0 to below 1, found [0.5, 1.0]",
        "ratio: expected a number from 0 to 1, found 2.0",
    ]


def test_long_values_are_cut() -> None:
    assert shown("x\x1b[31m\n") == r"'x\x1b[31m\n'"
    assert len(shown("x" * 10**6)) < 70
    assert len(shown([1] * 10**6)) < 70
