"""Segments of probabilities written by hand. Windows are 2 s long, one a second."""

from collections.abc import Sequence

import numpy as np
import pytest

from videoswin_cli.records import ActionSegment
from videoswin_cli.tasks.timeline.segments import Segmenter, SegmentRule

LABELS = ("a", "b", "c")


def find(
    rows: Sequence[Sequence[float] | None],
    *,
    threshold: float = 0.5,
    topk: int = 1,
    smooth: float = 0.0,
    min_duration: float = 0.0,
    stride: float = 1.0,
) -> list[ActionSegment]:
    rule = SegmentRule(threshold=threshold, topk=topk, smooth=smooth, min_duration=min_duration)
    segmenter = Segmenter(LABELS, rule)
    for number, row in enumerate(rows):
        if row is None:
            segmenter.skip()
        else:
            start = number * stride
            segmenter.add(start, start + 2, np.array(row))
    return list(segmenter.finish())


def spans(found: Sequence[ActionSegment]) -> list[tuple[str, float, float]]:
    return [(each.label, each.start, each.end) for each in found]


def test_neighboring_windows_of_a_class_merge_and_meet_between_their_middles() -> None:
    found = find([(0.9, 0.1, 0), (0.7, 0.3, 0), (0.2, 0.8, 0), (0.1, 0.9, 0)])
    assert spans(found) == [("a", 0, 2.5), ("b", 2.5, 5)]
    assert [each.index for each in found] == [0, 1]
    assert [each.mean for each in found] == pytest.approx([0.8, 0.85])
    assert [each.peak for each in found] == [0.9, 0.9]


def test_one_window_is_a_segment_of_its_length() -> None:
    assert spans(find([(0.9, 0.1, 0)])) == [("a", 0, 2)]


def test_no_window_has_no_segment() -> None:
    assert find([]) == []


def test_a_probability_of_exactly_the_threshold_is_enough() -> None:
    assert spans(find([(0.5, 0.25, 0.25)])) == [("a", 0, 2)]
    assert find([(0.49, 0.26, 0.25)]) == []


def test_windows_of_half_the_threshold_belong_to_a_segment_that_reaches_it() -> None:
    rows = [(0.3, 0.1, 0.1), (0.6, 0.1, 0.1), (0.25, 0.1, 0.1), (0.24, 0.1, 0.1)]
    assert spans(find(rows)) == [("a", 0, 3.5)]
    assert find([rows[0], rows[2]]) == []


def test_a_dip_below_half_the_threshold_parts_two_segments() -> None:
    rows = [(0.9, 0.05, 0), (0.2, 0.1, 0), (0.9, 0.05, 0)]
    assert spans(find(rows)) == [("a", 0, 1.5), ("a", 2.5, 4)]


def test_only_the_best_class_of_a_window_counts() -> None:
    rows = [(0.4, 0.35, 0.25), (0.35, 0.4, 0.25)]
    assert spans(find(rows, threshold=0.3)) == [("a", 0, 1.5), ("b", 1.5, 3)]


def test_of_equal_classes_the_first_one_counts() -> None:
    assert spans(find([(0.4, 0.4, 0.2)], threshold=0.3)) == [("a", 0, 2)]


def test_with_several_classes_a_window_segments_overlap_by_start_then_index() -> None:
    rows = [(0.1, 0.9, 0.9), (0.8, 0.9, 0.1), (0.8, 0.1, 0.1)]
    assert spans(find(rows, topk=3)) == [("b", 0, 2.5), ("c", 0, 1.5), ("a", 1.5, 4)]


def test_smoothing_takes_windows_whose_middles_are_near() -> None:
    rows = [(1, 0, 0), (1, 0, 0), (0.1, 0.9, 0), (1, 0, 0), (1, 0, 0)]
    assert spans(find(rows)) == [("a", 0, 2.5), ("b", 2.5, 3.5), ("a", 3.5, 6)]
    assert spans(find(rows, smooth=1.9)) == spans(find(rows))
    (only,) = find(rows, smooth=2)
    assert (only.start, only.end, only.peak) == (0, 6, 1)
    assert only.mean == pytest.approx(4.1 / 5)  # of the windows themselves


def test_smoothing_is_the_mean_of_the_windows_that_there_are() -> None:
    rows = [(0.9, 0.1, 0), (0.5, 0.4, 0), (0.4, 0.5, 0), (0.1, 0.9, 0)]
    # a: 0.7, 0.6, 0.333, 0.25; b: 0.25, 0.333, 0.6, 0.7
    assert spans(find(rows, smooth=2, threshold=0.7)) == [("a", 0, 2.5), ("b", 2.5, 5)]
    assert find(rows, smooth=2, threshold=0.701) == []


def test_nothing_is_merged_or_smoothed_over_a_gap() -> None:
    rows = [(0.9, 0, 0), (0.9, 0, 0), None, None, (0.9, 0, 0), (0.1, 0.9, 0)]
    found = find(rows, smooth=20, threshold=0.4)
    assert spans(found) == [("a", 0, 3), ("a", 4, 7)]


def test_short_segments_are_left_out() -> None:
    rows = [(0.9, 0, 0), (0, 0.9, 0), (0.9, 0, 0), (0.9, 0, 0)]
    assert spans(find(rows, min_duration=1.5)) == [("a", 0, 1.5), ("a", 2.5, 5)]
    assert spans(find(rows, min_duration=1.6)) == [("a", 2.5, 5)]


def test_windows_that_do_not_overlap_stand_for_what_they_show() -> None:
    rows = [(0.9, 0, 0), (0, 0.9, 0)]
    assert spans(find(rows, stride=5)) == [("a", 0, 2), ("b", 5, 7)]


def test_memory_does_not_grow_with_the_video() -> None:
    segmenter = Segmenter(LABELS, SegmentRule(threshold=0.5, topk=1, smooth=4))
    for number in range(1000):
        segmenter.add(number, number + 2, np.array((0.9, 0.1, 0)))
    assert len(segmenter._windows) < 10
    (only,) = segmenter.finish()
    assert (only.start, only.end) == (0, 1001)


def test_a_long_sequence_is_smoothed_as_by_definition() -> None:
    rng = np.random.default_rng(0)
    rows = rng.dirichlet((0.5, 0.5, 0.5), size=200)
    means = np.array([rows[max(0, n - 1) : n + 2].mean(axis=0) for n in range(200)])
    expected = find(list(means), topk=1)
    assert spans(find(list(rows), smooth=2)) == spans(expected)
    assert len(expected) > 20


def test_what_no_window_has_seen_is_in_no_segment() -> None:
    """The stride is longer than a window; both have the same class."""
    found = find([(0.9, 0.1, 0), (0.9, 0.1, 0)], stride=3.0)
    assert spans(found) == [("a", 0, 2), ("a", 3, 5)]


def test_a_video_shorter_than_the_least_duration_keeps_its_segments() -> None:
    assert spans(find([(0.9, 0.1, 0)], min_duration=3.0)) == [("a", 0, 2)]
    assert find([(0.9, 0.1, 0), (0.1, 0.9, 0)], min_duration=2.0) == []
