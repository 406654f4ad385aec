"""Reliability of probabilities, against sums done by hand."""

import pytest

from videoswin_cli.engine.calibration import BINS, calibrate
from videoswin_cli.engine.metrics import ScoredVideo


def video(prob: float, *, hit: bool) -> ScoredVideo:
    top = (1, 0) if hit else (0, 1)
    return ScoredVideo(path="v.mp4", label=1, top=top, top_probs=(prob, 1 - prob))


def test_the_error_is_the_gap_weighed_by_videos() -> None:
    sure = [video(0.95, hit=True)] * 3 + [video(0.95, hit=False)]
    unsure = [video(0.55, hit=True)]
    failed = ScoredVideo(path="f.mp4", label=0, error="broken")
    found = calibrate([*sure, *unsure, failed])
    assert found is not None
    assert found.videos == 5
    assert found.error == pytest.approx(100 * (4 * abs(0.75 - 0.95) + 1 * abs(1 - 0.55)) / 5)
    filled = [each for each in found.bins if each.videos]
    assert [(each.videos, each.accuracy) for each in filled] == [(1, 1.0), (4, 0.75)]
    assert filled[1].confidence == pytest.approx(0.95)
    assert len(found.bins) == BINS


def test_a_bin_has_its_upper_edge() -> None:
    found = calibrate([video(1.0, hit=True), video(1 / 15, hit=True), video(0.0, hit=False)])
    assert found is not None
    counts = [each.videos for each in found.bins]
    assert (counts[0], counts[-1], sum(counts)) == (2, 1, 3)


def test_raw_scores_are_no_probabilities() -> None:
    assert calibrate([video(7.5, hit=True)]) is None
    assert calibrate([ScoredVideo(path="f.mp4", label=0, error="broken")]) is None
