import math
from collections.abc import Sequence

import numpy as np
import pytest

from videoswin_cli.engine.metrics import (
    ScoredVideo,
    class_accuracies,
    confusions,
    looks_like_chance,
    mean_average_precision,
    mean_class_accuracy,
    rank_scores,
    topk_accuracy,
)


def video(label: int, *top: int, error: str | None = None) -> ScoredVideo:
    return ScoredVideo(
        path=f"{label}-{top}-{error}",
        label=label,
        top=top,
        top_probs=(0.1,) * len(top),
        error=error,
    )


VIDEOS = (
    video(0, 0, 1, 2),
    video(0, 1, 0, 2),
    video(0, error="broken"),
    video(1, 1, 2, 0),
    video(2, 0, 1, 2),
)


@pytest.mark.parametrize(("k", "percent"), [(1, 40), (2, 60), (3, 80), (5, 80)])
def test_failed_videos_are_wrong_and_few_classes_do_no_harm(k: int, percent: float) -> None:
    assert topk_accuracy(VIDEOS, k) == pytest.approx(percent)


def test_each_class_counts_the_same_in_the_mean() -> None:
    assert class_accuracies(VIDEOS) == {0: (3, 1), 1: (1, 1), 2: (1, 0)}
    assert mean_class_accuracy(VIDEOS) == pytest.approx(100 * (1 / 3 + 1 + 0) / 3)


def test_nothing_has_no_accuracy() -> None:
    assert math.isnan(topk_accuracy([], 1))
    assert math.isnan(mean_class_accuracy([]))


def test_confusions_leave_failed_videos_out() -> None:
    assert confusions(VIDEOS) == {(0, 0): 1, (0, 1): 1, (1, 1): 1, (2, 0): 1}


def guesses(hits: int, count: int) -> Sequence[ScoredVideo]:
    return [video(i % 10, i % 10 if i < hits else (i + 1) % 10) for i in range(count)]


@pytest.mark.parametrize(
    ("hits", "count", "expected"),
    [(0, 400, True), (40, 400, True), (57, 400, True), (60, 400, False), (3, 30, False)],
)
def test_chance_is_told_from_knowledge_by_three_deviations(
    hits: int, count: int, expected: bool
) -> None:
    """400 guesses among 10 classes: 40 hits expected, standard deviation 6."""
    assert looks_like_chance(guesses(hits, count), classes=10) is expected


def test_equal_scores_are_ranked_by_index() -> None:
    scores = np.array([0.2, 0.3, 0.2, 0.3], dtype=np.float32)
    assert rank_scores(scores, k=3) == (1, 3, 0)
    assert rank_scores(scores, k=9) == (1, 3, 0, 2)


def test_average_precision_is_that_of_the_textbook() -> None:
    # Ranked: right, wrong, right, right, wrong. Precision at each right one: 1, 2/3, 3/4.
    scores = np.array([[0.9], [0.8], [0.7], [0.6], [0.1]])
    positives = np.array([[True], [False], [True], [True], [False]])
    assert mean_average_precision(scores, positives) == pytest.approx(100 * (1 + 2 / 3 + 3 / 4) / 3)
    assert mean_average_precision(-scores, positives) == pytest.approx(
        100 * (1 / 2 + 2 / 3 + 3 / 5) / 3
    )


def test_equal_scores_are_one_step() -> None:
    scores = np.array([[0.5], [0.5], [0.5], [0.1]])
    positives = np.array([[False], [True], [True], [True]])
    # Two of the first three are right, then three of four: 2/3 of the recall at 2/3, 1/3 at 3/4.
    assert mean_average_precision(scores, positives) == pytest.approx(
        100 * (2 / 3 * 2 / 3 + 1 / 3 * 3 / 4)
    )


def test_classes_without_positives_do_not_count() -> None:
    scores = np.array([[0.9, 0.2], [0.1, 0.3]])
    assert mean_average_precision(scores, np.array([[True, False], [False, False]])) == 100
    assert math.isnan(mean_average_precision(scores, np.zeros((2, 2), dtype=bool)))


def test_what_failed_ranks_below_everything() -> None:
    scores = np.array([[-1.0], [0.0]])
    assert mean_average_precision(scores, np.array([[True], [False]])) == 50
