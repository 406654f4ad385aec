"""Result of a fine-tuning run: its record, closing paragraph and files."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoswin_cli.engine.metrics import confusions
from videoswin_cli.io.atomic import atomic_write, to_json
from videoswin_cli.records import METRIC_NAMES, Views
from videoswin_cli.report.curves import can_draw, draw_confusion, draw_curves
from videoswin_cli.report.evaluation import write_confusions
from videoswin_cli.report.failures import write_failures
from videoswin_cli.report.training import TrainingOutcome, describe_outcome
from videoswin_cli.training.recipe import Recipe
from videoswin_cli.training.run_folder import BEST
from videoswin_cli.training.trainer import Trainer
from videoswin_cli.training.validation import Validation
from videoswin_cli.version import __version__

FAILED = "failed.jsonl"
_RESULT = "result.json"


@dataclass(frozen=True, kw_only=True)
class FinalTest:
    """Test of the best epoch at the end, with several views of each validation clip."""

    views: str  # CLIPSxCROPS
    metrics: Mapping[str, float]  # percent
    confusions: tuple[tuple[int, int, int], ...]  # true class, predicted class, clips


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """A run at its end. The metrics are those of the best epoch's validation."""

    folder: Path
    start: str  # model that it started from
    interrupted: bool  # by a signal: the folder may hold no weights yet
    recipe: Recipe  # as it was run
    classes: tuple[str, ...]
    train_clips: int
    val_clips: int
    val_counts: tuple[int, ...]  # validation clips of each class
    best_epoch: int  # from 1; 0: none yet
    best: float  # top-1 accuracy or mean average precision, percent
    epochs: tuple[Mapping[str, int | float], ...]  # rows of metrics.csv
    losses: tuple[float, ...]  # of each training step; NaN: no clip could be read
    confusions: tuple[tuple[int, int, int], ...]  # true class, predicted class, clips
    test: FinalTest | None  # None: `test_views` of the recipe asks for none beyond the validation
    failed: tuple[tuple[str, str], ...]  # path and reason of clips that could not be read
    started: str  # ISO 8601, of the last call, where it was resumed
    seconds: float  # that this call took

    @property
    def model(self) -> Path:
        """Weights of the best epoch."""
        return self.folder / BEST

    @property
    def metrics(self) -> dict[str, float]:
        """Losses and metrics of the best epoch; empty before the first one."""
        return next((dict(row) for row in self.epochs if row["epoch"] == self.best_epoch), {})

    def summary(self) -> str:
        """Paragraph for the user: how good, what is confused, what would help."""
        return describe_outcome(
            TrainingOutcome(
                model=self.model,
                classes=self.classes,
                multi_label=self.recipe.multi_label,
                frozen=self.recipe.freeze != "none",
                best=self.best,
                best_epoch=self.best_epoch,
                planned_epochs=self.recipe.epochs,
                rows=self.epochs,
                val_clips=self.val_clips,
                val_counts=self.val_counts,
                confusions=self.confusions,
                test_views=None if self.test is None else self.test.views,
                test=math.nan if self.test is None else next(iter(self.test.metrics.values())),
            )
        )

    def write(self, folder: Path) -> None:
        """Write curves, confusions, clips that failed, and result.json.

        Pictures only where the extra `plots` is installed.

        Raises:
            VideoSwinError: a file cannot be written.
        """
        titles = {key: title for key, title in METRIC_NAMES.items() if key in self.epochs[0]}
        pictures = can_draw()
        if pictures:
            draw_curves(folder / "curves.png", self.losses, self.epochs, titles)
        if not self.recipe.multi_label:
            cells = self.confusions if self.test is None else self.test.confusions
            counts = {(true, predicted): clips for true, predicted, clips in cells}
            if pictures:
                draw_confusion(folder / "confusion.png", counts, self.classes)
            write_confusions(folder / "confusion.csv", counts, self.classes)
        if self.failed:
            write_failures(folder / FAILED, self.failed)
        _write_result(folder / _RESULT, self._describe())

    def _describe(self) -> dict[str, Any]:
        return {
            "model": BEST,
            "start": self.start,
            "best_epoch": self.best_epoch,
            "epochs": len(self.epochs),
            "metrics": _to_json(self.metrics),
            "test": None
            if self.test is None
            else {"views": self.test.views, "metrics": _to_json(self.test.metrics)},
            "classes": len(self.classes),
            "train_clips": self.train_clips,
            "val_clips": self.val_clips,
            "failed_clips": len(self.failed),
            "version": __version__,
            "times": {"started": self.started, "seconds": round(self.seconds, 3)},
        }


def _to_json(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {key: value if math.isfinite(value) else None for key, value in metrics.items()}


def describe_test(found: Validation, views: Views) -> FinalTest:
    """Record of a test with these views."""
    counts = confusions(found.videos)
    return FinalTest(
        views=str(views),
        metrics=found.metrics,
        confusions=tuple((true, got, n) for (true, got), n in counts.items()),
    )


def describe_result(
    trainer: Trainer,
    *,
    start: str,
    test: FinalTest | None,
    interrupted: bool,
    started: str,
    seconds: float,
) -> FinetuneResult:
    """Result of a run whose trainer is done, or was interrupted."""
    examples, progress = trainer.examples, trainer.progress
    listed = {clip.file or "": clip.path for clip in (*examples.train, *examples.val)}
    failures = [(listed.get(path, path), reason) for path, reason in progress.failures.items()]
    return FinetuneResult(
        folder=trainer.folder,
        start=start,
        interrupted=interrupted,
        recipe=trainer.plan.recipe,
        classes=examples.classes,
        train_clips=len(examples.train),
        val_clips=len(examples.val),
        val_counts=tuple(examples.counts(examples.val)),
        best_epoch=progress.best_epoch,
        best=progress.best,
        epochs=tuple(progress.epochs),
        losses=tuple(progress.losses),
        confusions=tuple(progress.confusions),
        test=test,
        failed=(*examples.broken, *failures),
        started=started,
        seconds=seconds,
    )


def _write_result(path: Path, content: dict[str, Any]) -> None:
    """Write result.json, unless nothing but its times would change."""
    with suppress(OSError, ValueError, AttributeError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if found | {"times": None} == content | {"times": None}:
            return
    with atomic_write(path) as part:
        part.write_text(to_json(content, indent=1) + "\n", encoding="utf-8")
