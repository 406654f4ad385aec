"""Result of an evaluation, and its files."""

from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.engine.metrics import (
    ScoredVideo,
    class_accuracies,
    confusions,
)
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import atomic_write
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

    def write(self, folder: str | Path) -> None:
        """Write `result.json`, `failed.jsonl`, and `per_class.csv` and `confusion.csv`.

        The last two are of models that give a video one class.

        Raises:
            VideoSwinError: the folder cannot be written.
        """
        folder = Path(folder)
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
