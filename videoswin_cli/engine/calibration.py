"""Calibration of probabilities: how often a model is right that is so sure."""

from collections.abc import Sequence

import numpy as np

from videoswin_cli.engine.metrics import ScoredVideo
from videoswin_cli.report.pages.contents import Calibration, ReliabilityBin

BINS = 15  # of equal width, as Guo et al. (2017) have them
_SLACK = 1e-3  # of a probability, for rounding


def calibrate(videos: Sequence[ScoredVideo]) -> Calibration | None:
    """Reliability in bins; None where no video has probabilities. Failed videos are left out.

    The error is the mean gap between accuracy and confidence, weighed by the videos of each bin.
    mmaction2 may dump raw scores, which are no probabilities.
    """
    scored = [video for video in videos if video.top]
    probs = np.array([video.top_probs[0] for video in scored])
    if not scored or probs.min() < -_SLACK or probs.max() > 1 + _SLACK:
        return None
    hits = np.array([video.top[0] == video.label for video in scored])
    edges = np.linspace(0, 1, BINS + 1)
    places = np.clip(np.searchsorted(edges, probs, side="left") - 1, 0, BINS - 1)
    bins = []
    for place in range(BINS):
        own = places == place
        some = bool(own.any())
        bins.append(
            ReliabilityBin(
                low=float(edges[place]),
                high=float(edges[place + 1]),
                videos=int(own.sum()),
                confidence=float(probs[own].mean()) if some else 0.0,
                accuracy=float(hits[own].mean()) if some else 0.0,
            )
        )
    gaps = [each.videos * abs(each.accuracy - each.confidence) for each in bins]
    return Calibration(bins=bins, error=100 * sum(gaps) / len(scored), videos=len(scored))
