"""Accuracy of scored videos, as pure functions of them."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)  # there may be a million
class ScoredVideo:
    """One listed video with its label and its ranked classes."""

    path: str
    label: int
    top: tuple[int, ...] = ()  # class indices, likeliest first; empty for a failed video
    top_probs: tuple[float, ...] = ()  # of these classes
    scores: NDArray[np.float32] | None = None  # (classes,), where they are kept
    error: str | None = None
    decoder: str | None = None
    more_labels: tuple[int, ...] = ()  # further classes that it has
    notes: tuple[str, ...] = ()  # what is odd about it
    file_stamp: str = ""  # size and time of the file that was read, where they are known

    @property
    def labels(self) -> tuple[int, ...]:
        """All its classes, in rising order."""
        return tuple(sorted({self.label, *self.more_labels}))


def topk_accuracy(videos: Sequence[ScoredVideo], k: int) -> float:
    """Share of videos whose class is among the k likeliest, in percent; NaN without videos.

    A failed video counts as wrong. With fewer than k classes every class counts.
    """
    hits = sum(video.label in video.top[:k] for video in videos)
    return 100 * hits / len(videos) if videos else math.nan


def class_accuracies(videos: Sequence[ScoredVideo]) -> dict[int, tuple[int, int]]:
    """Class index -> (videos, videos correct), for the classes that have videos."""
    counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for video in videos:
        counts[video.label][0] += 1
        counts[video.label][1] += video.top[:1] == (video.label,)
    return {label: (counts[label][0], counts[label][1]) for label in sorted(counts)}


def mean_class_accuracy(videos: Sequence[ScoredVideo]) -> float:
    """Mean of the top-1 accuracy of each class that has videos, in percent; NaN without videos."""
    shares = [hits / count for count, hits in class_accuracies(videos).values()]
    return 100 * sum(shares) / len(shares) if shares else math.nan


def confusions(videos: Sequence[ScoredVideo]) -> Counter[tuple[int, int]]:
    """(true class, answered class) -> videos; failed videos answer nothing and are left out."""
    return Counter((video.label, video.top[0]) for video in videos if video.top)


def video_average_precision(videos: Sequence[ScoredVideo]) -> float:
    """Mean of `video_class_precisions`; NaN without videos."""
    found = list(video_class_precisions(videos).values())
    if not found:
        return 0.0 if videos else math.nan
    return float(np.mean(found))


def video_class_precisions(videos: Sequence[ScoredVideo]) -> dict[int, float]:
    """`class_average_precisions` of videos whose scores are kept; a failed one ranks below all."""
    classes = max((len(v.scores) for v in videos if v.scores is not None), default=0)
    if not classes:
        return {}
    nothing = np.full(classes, -1.0, dtype=np.float32)
    scores = np.stack([nothing if v.scores is None else v.scores for v in videos])
    positives = np.zeros(scores.shape, dtype=bool)
    for row, video in zip(positives, videos, strict=True):
        row[list(video.labels)] = True
    return class_average_precisions(scores, positives)


def mean_average_precision(scores: NDArray[np.floating], positives: NDArray[np.bool_]) -> float:
    """Mean of `class_average_precisions`; NaN without positives."""
    found = list(class_average_precisions(scores, positives).values())
    return float(np.mean(found)) if found else math.nan


def class_average_precisions(
    scores: NDArray[np.floating], positives: NDArray[np.bool_]
) -> dict[int, float]:
    """Average precision in percent of each class that has positives.

    It is the sum of precisions weighed by the gain in recall at each distinct score, as
    scikit-learn and mmaction2 have it.

    Args:
        scores: (videos, classes), higher is likelier.
        positives: (videos, classes), what is true.
    """
    return {
        number: 100 * _average_precision(scores[:, number], positives[:, number])
        for number in range(scores.shape[1])
        if positives[:, number].any()
    }


def _average_precision(scores: NDArray[np.floating], positives: NDArray[np.bool_]) -> float:
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))  # of each run of equal scores
    hits = np.cumsum(positives[order])[last]
    gains = np.diff(hits, prepend=0) / hits[-1]
    return float(np.sum(gains * hits / (last + 1)))


def looks_like_chance(videos: Sequence[ScoredVideo], *, classes: int) -> bool:
    """Whether top-1 is no better than guessing, with videos enough to tell.

    Within three standard deviations of 1 / classes; a list that numbers the classes in another
    order looks like this.
    """
    scored = [video for video in videos if video.top]
    if len(scored) < 100 or classes < 2:
        return False
    expected = len(scored) / classes
    hits = sum(video.top[0] == video.label for video in scored)
    return hits <= expected + 3 * math.sqrt(expected * (1 - 1 / classes))


def rank_scores(scores: NDArray[np.float32], *, k: int) -> tuple[int, ...]:
    """The k likeliest classes of (classes,) scores, likeliest first, ties by index."""
    order = np.argsort(-scores, kind="stable")[:k]
    return tuple(int(index) for index in order)
