"""Confidence intervals of accuracies by the percentile bootstrap, single and paired.

A resample draws as many videos as there are, with replacement. Of a video only its value counts, so
the numbers of videos of each value are drawn at once: the same distribution, without the videos.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from videoswin_cli.engine.metrics import ScoredVideo
from videoswin_cli.errors import UsageError
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.records import ConfidenceInterval, PairedTop1

RESAMPLES = 10_000
SEED = 0
LEVEL = 95.0  # percent


def top1_interval(videos: Sequence[ScoredVideo]) -> ConfidenceInterval | None:
    """Interval of the top-1 accuracy; None without videos."""
    return bootstrap_mean(np.array([_is_hit(video) for video in videos], dtype=float))


def bootstrap_mean(values: NDArray[np.floating]) -> ConfidenceInterval | None:
    """Interval of 100 times the mean of (videos,) values; None without any."""
    if not values.size:
        return None
    distinct, counts = np.unique(values, return_counts=True)
    generator = np.random.default_rng(SEED)
    drawn = generator.multinomial(values.size, counts / values.size, size=RESAMPLES)
    means = 100 * (drawn @ distinct) / values.size
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return ConfidenceInterval(
        low=float(low), high=float(high), level=LEVEL, resamples=RESAMPLES, seed=SEED
    )


def compare_top1(first: Sequence[ScoredVideo], second: Sequence[ScoredVideo]) -> PairedTop1 | None:
    """Paired comparison on the videos that both have; None where there are none.

    Raises:
        UsageError: the two disagree about the class of a video.
    """
    known = {video.path: video for video in second}
    pairs = [(video, known[video.path]) for video in first if video.path in known]
    if not pairs:
        return None
    if wrong := [one.path for one, other in pairs if one.labels != other.labels]:
        raise UsageError(
            f"{counted(len(wrong), 'video')} with different classes in two dumps: "
            f"{name_some(wrong)}",
            hint="compare dumps of the same list",
        )
    hits = np.array([(_is_hit(one), _is_hit(other)) for one, other in pairs])
    interval = bootstrap_mean(hits[:, 1].astype(float) - hits[:, 0])
    assert interval is not None
    only_first = int((hits[:, 0] & ~hits[:, 1]).sum())
    only_second = int((~hits[:, 0] & hits[:, 1]).sum())
    return PairedTop1(
        both=int(hits.all(axis=1).sum()),
        only_first=only_first,
        only_second=only_second,
        neither=int((~hits.any(axis=1)).sum()),
        interval=interval,
        p_value=_mcnemar(only_first, only_second),
    )


def _is_hit(video: ScoredVideo) -> bool:
    return video.top[:1] == (video.label,)


def _mcnemar(first: int, second: int) -> float:
    """Two-sided, of the videos that one of two models has right: a fair coin's, exactly."""
    tosses = first + second
    term, tail = 1, 0
    for heads in range(min(first, second) + 1):
        tail += term  # the binomial coefficient
        term = term * (tosses - heads) // (heads + 1)
    return min(1.0, 2 * tail / 2**tosses) if tosses else 1.0
