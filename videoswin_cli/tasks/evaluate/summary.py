"""Accuracies of scored videos, beside the published ones."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.engine.metrics import (
    ScoredVideo,
    class_accuracies,
    confusions,
    looks_like_chance,
    mean_class_accuracy,
    topk_accuracy,
    video_average_precision,
)
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.options.tasks import EvalOptions
from videoswin_cli.records import EvalSummary
from videoswin_cli.report.evaluation import (
    format_summary,
    write_class_accuracies,
    write_confusions,
)
from videoswin_cli.report.failures import write_failures


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All videos of a list with their top classes, and their accuracies."""

    videos: tuple[ScoredVideo, ...]
    labels: tuple[str, ...]  # class names; empty where they are not known
    summary: EvalSummary

    @property
    def failed(self) -> tuple[ScoredVideo, ...]:
        return tuple(video for video in self.videos if video.error is not None)

    def write(self, folder: Path) -> None:
        """Write `result.json`, `failed.jsonl`, and `per_class.csv` and `confusion.csv`.

        The last two are of models that give a video one class.

        Raises:
            VideoSwinError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / "result.json") as part:
            part.write_text(format_summary(self.summary, "json"), encoding="utf-8")
        self.write_failed(folder / "failed.jsonl")
        if "map" not in self.summary.accuracy:
            self.write_class_accuracies(folder / "per_class.csv")
            self.write_confusions(folder / "confusion.csv")

    def write_failed(self, file: Path) -> None:
        """Write path and error of each failed video; without any there is no such file."""
        if self.failed:
            write_failures(file, ((video.path, video.error or "") for video in self.failed))
        else:
            file.unlink(missing_ok=True)  # of an earlier run

    def write_class_accuracies(self, file: Path) -> None:
        """Write the accuracy of each class as CSV; raises UsageError for several labels."""
        self._check_single_label()
        write_class_accuracies(file, class_accuracies(self.videos), self.labels)

    def write_confusions(self, file: Path) -> None:
        """Write confused class pairs as CSV; raises UsageError for several labels."""
        self._check_single_label()
        write_confusions(file, confusions(self.videos), self.labels)

    def _check_single_label(self) -> None:
        if "map" in self.summary.accuracy:
            raise single_label_only()


def single_label_only() -> UsageError:
    return UsageError("--per-class and --confusion are for models that give a video one class")


def summarise(
    videos: Sequence[ScoredVideo], *, spec: ModelSpec | None, classes: int, options: EvalOptions
) -> EvalSummary:
    """Accuracies of the videos, beside the published ones. `classes` is 0 where not known.

    Where videos may have several classes, the mean average precision instead.
    """
    several = spec.multi_label if spec else any(video.more_labels for video in videos)
    failed = sum(video.error is not None for video in videos)
    counted = [v for v in videos if v.error is None] if options.on_error == "skip" else videos
    published: dict[str, float | None] = {}
    if spec is not None:
        published = {"top1": spec.publication.top1, "top5": spec.publication.top5}
    warnings = []
    if not several and looks_like_chance(counted, classes=classes):
        warnings.append(
            f"top-1 is no better than guessing one of {classes} classes: does the list number the "
            "classes in the order of this model? (--labels, or class names instead of numbers)"
        )
    return EvalSummary(
        model=spec.name if spec else None,
        dataset=spec.publication.dataset if spec else None,
        views=None,
        average=None,
        precision=None,
        device=None,
        decoders=dict(sorted(Counter(v.decoder for v in videos if v.decoder).items())),
        listed=len(videos),
        found=len(videos),
        failed=failed,
        noted=sum(bool(video.notes) for video in videos),
        on_error=options.on_error,
        accuracy={"map": video_average_precision(counted)}
        if several
        else {f"top{k}": topk_accuracy(counted, k) for k in options.topk},
        mean_class_accuracy=math.nan if several else mean_class_accuracy(counted),
        classes_with_videos=0 if several else len(class_accuracies(counted)),
        published={key: value for key, value in published.items() if value is not None},
        published_views=f"{spec.protocol.clips}x{spec.protocol.crops}" if spec else None,
        timing=None,
        warnings=tuple(warnings),
    )
