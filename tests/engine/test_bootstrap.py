"""Intervals and paired differences, against sums that can be done by hand."""

import math

import numpy as np
import pytest

from videoswin_cli.engine.bootstrap import bootstrap_mean, compare_top1, top1_interval
from videoswin_cli.engine.metrics import ScoredVideo
from videoswin_cli.errors import UsageError


def videos(hits: str) -> list[ScoredVideo]:
    """One per character: `+` is right, `-` wrong, `x` failed."""
    tops = {"+": (1, 0), "-": (0, 1), "x": ()}
    return [ScoredVideo(path=f"{n}.mp4", label=1, top=tops[c]) for n, c in enumerate(hits)]


def test_the_interval_of_a_share_is_that_of_the_binomial() -> None:
    found = top1_interval(videos("+" * 800 + "-" * 150 + "x" * 50))
    assert found is not None
    half = 1.96 * 100 * math.sqrt(0.8 * 0.2 / 1000)
    assert found.low == pytest.approx(80 - half, abs=0.15)
    assert found.high == pytest.approx(80 + half, abs=0.15)
    assert (found.level, found.resamples, found.seed) == (95, 10_000, 0)


def test_counts_of_values_are_drawn_as_videos_would_be() -> None:
    values = np.array([-1.0] * 5 + [0.0] * 30 + [1.0] * 15)
    found = bootstrap_mean(values)
    assert found is not None
    generator = np.random.default_rng(1)
    means = 100 * generator.choice(values, size=(20_000, values.size)).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    assert [found.low, found.high] == pytest.approx([low, high], abs=2.1)


def test_no_videos_have_no_interval() -> None:
    assert top1_interval([]) is None
    assert compare_top1(videos("+"), []) is None


def test_pairs_are_counted_over_common_videos() -> None:
    found = compare_top1(videos("++--x+"), videos("+-+-+"))
    assert found is not None
    assert (found.both, found.only_first, found.only_second, found.neither) == (1, 1, 2, 1)
    assert found.videos == 5
    assert found.difference == pytest.approx(20)
    assert found.interval.low <= 20 <= found.interval.high


def test_pairing_tells_apart_what_single_intervals_do_not() -> None:
    first, second = videos("+" * 500 + "-" * 500), videos("+" * 530 + "-" * 470)
    paired, one, other = compare_top1(first, second), top1_interval(first), top1_interval(second)
    assert paired is not None
    assert one is not None
    assert other is not None
    assert one.high > other.low
    assert paired.interval.low > 0
    assert paired.p_value < 1e-6


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(0, 0, 1.0), (5, 5, 1.0), (0, 6, 2 / 64), (1, 4, 2 * 6 / 32), (700, 700, 1.0)],
)
def test_mcnemar_is_a_fair_coin(first: int, second: int, expected: float) -> None:
    hits = videos("+" * first + "-" * second + "+"), videos("-" * first + "+" * second + "+")
    found = compare_top1(*hits)
    assert found is not None
    assert found.p_value == pytest.approx(expected)


def test_other_classes_of_a_video_are_refused() -> None:
    other = [ScoredVideo(path="0.mp4", label=2, top=(2,))]
    with pytest.raises(UsageError, match=r"1 video with different classes in two dumps: 0\.mp4"):
        compare_top1(videos("+"), other)
