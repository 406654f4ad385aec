"""Accuracy as a table or JSON; accuracy by class and confusions as CSV; failed videos as JSONL."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from videoswin_cli.io.atomic import to_json, write_csv
from videoswin_cli.io.visible import counted
from videoswin_cli.records import METRIC_NAMES, ConfidenceInterval, EvalSummary
from videoswin_cli.report.timing import describe_timing

Format = Literal["table", "json"]


def format_summary(summary: EvalSummary, format: Format) -> str:
    """The summary as text, ending in a newline."""
    if format == "json":
        return to_json(_to_json(summary), indent=2) + "\n"
    rows = list(summary_rows(summary))
    width = max(len(name) for name, _ in rows)
    return "".join(f"{name:<{width}}  {text}\n" for name, text in rows)


def write_class_accuracies(
    path: Path, accuracies: Mapping[int, tuple[int, int]], labels: Sequence[str]
) -> None:
    """A row per class that has videos: index, name, videos, correct, accuracy in percent."""
    rows = [
        (index, _name(labels, index), videos, hits, round(100 * hits / videos, 4))
        for index, (videos, hits) in accuracies.items()
    ]
    write_csv(path, ("index", "label", "videos", "correct", "accuracy"), rows)


def write_confusions(
    path: Path, confusions: Mapping[tuple[int, int], int], labels: Sequence[str]
) -> None:
    """A row a pair of true and answered class that occurred, the most frequent first."""
    pairs = sorted(confusions.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = [
        (true, _name(labels, true), answered, _name(labels, answered), videos)
        for (true, answered), videos in pairs
    ]
    header = ("index", "label", "predicted_index", "predicted_label", "videos")
    write_csv(path, header, rows)


def _to_json(summary: EvalSummary) -> dict[str, object]:
    fields = asdict(summary)
    fields["difference"] = {
        key: round(summary.accuracy[key] - value, 4)
        for key, value in summary.published.items()
        if key in summary.accuracy
    }
    return {key: _without_nan(value) for key, value in fields.items()}


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if value != value else value


def summary_rows(summary: EvalSummary) -> Iterable[tuple[str, str]]:
    """Name and text of each row of the table."""
    for name, accuracy in summary.accuracy.items():
        yield (
            METRIC_NAMES.get(name, name.replace("top", "top-")),
            _accuracy_text(summary, name, accuracy),
        )
    if (interval := summary.interval) is not None:
        bounds = f"{interval.low:6.2f} to {interval.high:.2f} %"
        yield "top-1 interval", f"{bounds}  {describe_interval(interval)}"
    if summary.classes_with_videos:
        classes = counted(summary.classes_with_videos, "class")
        yield "mean class accuracy", f"{summary.mean_class_accuracy:6.2f} %  ({classes})"
    how = {"wrong": ", counted as wrong", "skip": ", left out"}.get(summary.on_error, "")
    failed = f"{summary.failed} failed{how if summary.failed else ''}"
    yield "videos", f"{summary.listed} listed, {summary.found} found, {failed}"
    for text in summary.lost:
        yield "damaged", text
    if summary.noted:
        yield "notes", f"{counted(summary.noted, 'video')} with notes"
    if summary.model is not None:
        dataset = f" ({summary.dataset})" if summary.dataset else ""
        yield "model", f"{summary.model}{dataset}"
    if summary.views is not None:
        what = {"prob": "probabilities", "score": "scores"}[summary.average or "prob"]
        rate = _rate_text(summary.frame_rate)
        yield "protocol", f"{summary.views} views (clips x crops){rate}, mean of their {what}"
        device = f" on {summary.device}" if summary.device else ""
        by = "" if summary.engine in (None, "torch") else f" by {summary.engine}"
        yield "precision", f"{summary.precision}{by}{device}"
    if summary.decoders:
        yield "decoder", ", ".join(f"{name} {count}" for name, count in summary.decoders.items())
    if summary.timing is not None:
        yield "time", describe_timing(summary.timing)


def describe_interval(interval: ConfidenceInterval) -> str:
    """Confidence and method of an interval."""
    return (
        f"{interval.level:g} % confidence: percentiles of a bootstrap of {interval.resamples} "
        f"resamples, seed {interval.seed}"
    )


def _rate_text(rate: float | Literal["source"] | None) -> str:
    if rate is None:
        return ""
    return ", own frame rate" if rate == "source" else f" at {rate:g} frames per second"


def _accuracy_text(summary: EvalSummary, name: str, accuracy: float) -> str:
    if math.isnan(accuracy):
        return "no videos"
    text = f"{accuracy:6.2f} %"
    if (published := summary.published.get(name)) is None:
        return text
    with_views = f" with {summary.published_views} views" if summary.views else ""
    return f"{text}  published {published:.1f}{with_views}, difference {accuracy - published:+.2f}"


def _name(labels: Sequence[str], index: int) -> str:
    return labels[index] if index < len(labels) else f"class {index}"
