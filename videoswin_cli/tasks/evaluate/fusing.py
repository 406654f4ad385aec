"""Several models' probabilities of the same videos, averaged."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from videoswin_cli.engine.dumps import rank_all, read_dump
from videoswin_cli.engine.metrics import ScoredVideo
from videoswin_cli.errors import UsageError
from videoswin_cli.io.visible import counted, name_some

_SLACK = 0.01  # by which probabilities, in whatever precision, may miss the sum 1


def fuse_dumps(
    files: Sequence[Path], weights: Sequence[float] | None, *, multi_label: bool
) -> list[ScoredVideo]:
    """Videos with the weighted mean of their probabilities, in the order of the first dump.

    A video that failed for one of the models has failed.

    Args:
        files: a dump per model, with the scores of all classes.
        weights: of the dumps; None: equal ones.
        multi_label: whether each class has a probability of its own.

    Raises:
        UsageError: the dumps are not of the same videos and classes, or have no probabilities.
    """
    if len(files) < 2:
        raise UsageError(f"--fuse averages dumps: {len(files)} given, expected two or more")
    if weights is None:
        weights = [1.0] * len(files)
    if len(weights) != len(files):
        raise UsageError(f"--weights has {len(weights)} numbers for {len(files)} dumps")
    dumps = [{video.path: video for video in read_dump(file)} for file in files]
    for file, dump in zip(files, dumps, strict=True):
        _check_scores(file, list(dump.values()), multi_label=multi_label)
        _check_lists(files[0], dumps[0], file, dump)
    widths = {len(v.scores) for dump in dumps for v in dump.values() if v.scores is not None}
    if len(widths) > 1:
        raise UsageError(
            f"the dumps have scores of different numbers of classes: {sorted(widths)}",
            hint="only models of the same classes can be averaged",
        )
    return [_fuse([dump[path] for dump in dumps], files, weights) for path in dumps[0]]


def _fuse(
    videos: Sequence[ScoredVideo], files: Sequence[Path], weights: Sequence[float]
) -> ScoredVideo:
    first = replace(videos[0], notes=tuple(dict.fromkeys(n for v in videos for n in v.notes)))
    for video, file in zip(videos, files, strict=True):
        if video.error is not None:
            return replace(
                first, top=(), top_probs=(), scores=None, error=f"{file.name}: {video.error}"
            )
    scores = np.stack([video.scores for video in videos if video.scores is not None])
    mean = np.average(scores.astype(np.float64), axis=0, weights=weights)
    return rank_all(first, mean.astype(np.float32))


def _check_scores(file: Path, videos: Sequence[ScoredVideo], *, multi_label: bool) -> None:
    """Raises UsageError for scores of some classes only, and for those that are no probabilities.

    mmaction2 may dump raw ones, which would outweigh probabilities.
    """
    several = multi_label or any(video.more_labels for video in videos)
    for video in videos:
        if video.error is not None:
            continue
        if video.scores is None:
            raise UsageError(
                f"{file} has the likeliest classes only: their probabilities cannot be averaged",
                hint="dump the scores of all classes: eval --dump FILE.npz",
            )
        low, high = float(video.scores.min()), float(video.scores.max())
        total = float(video.scores.sum(dtype=np.float64))
        if low < -_SLACK or high > 1 + _SLACK or not (several or abs(total - 1) <= _SLACK):
            raise UsageError(
                f"{file}: the scores of {video.path} are no probabilities: "
                f"{low:.4g} to {high:.4g}, sum {total:.4g}",
                hint="dump probabilities (mmaction2: average_clips='prob')",
            )


def _check_lists(
    first: Path, known: dict[str, ScoredVideo], file: Path, dump: dict[str, ScoredVideo]
) -> None:
    """Raises UsageError for dumps of other videos, or of other classes of these."""
    hint = "give one dump per model, all of the same list; join the shards of a model before"
    for here, there, more, fewer in ((known, dump, first, file), (dump, known, file, first)):
        if extra := [path for path in here if path not in there]:
            raise UsageError(
                f"{more} has {counted(len(extra), 'video')} that {fewer} has not: "
                f"{name_some(extra)}",
                hint=hint,
            )
    if wrong := [path for path, video in dump.items() if video.labels != known[path].labels]:
        raise UsageError(
            f"{first} and {file} disagree about the class of {counted(len(wrong), 'video')}: "
            f"{name_some(wrong)}",
            hint="only models that number the classes alike can be averaged",
        )
