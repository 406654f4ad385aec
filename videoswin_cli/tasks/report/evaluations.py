"""Dumps as sections of a page."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from videoswin_cli.engine.calibration import calibrate
from videoswin_cli.engine.metrics import (
    class_accuracies,
    confusions,
    video_class_precisions,
)
from videoswin_cli.engine.provenance import read_rates
from videoswin_cli.engine.summary import at_rates, summarise
from videoswin_cli.io.visible import counted
from videoswin_cli.options.tasks import EvalOptions
from videoswin_cli.records import METRIC_NAMES, EvalSummary
from videoswin_cli.report.evaluation import summary_rows
from videoswin_cli.report.pages.contents import (
    Calibration,
    Card,
    ClassRow,
    ErrorGallery,
    EvaluationSection,
    Facts,
    Matrix,
)
from videoswin_cli.tasks.report.dumps import Dump
from videoswin_cli.tasks.report.errors import list_errors, show_errors
from videoswin_cli.tasks.report.strips import Strips

_TOPS = (1, 5)
_LISTED_ERRORS = 2000  # paths behind the cells of a confusion matrix


def describe_dump(dump: Dump, strips: Strips, *, examples: int) -> EvaluationSection:
    """Section of a dump, with so many wrong videos of each kind."""
    videos, summary = dump.videos, summarize_dump(dump)
    calibration = None if dump.several else calibrate(videos)
    galleries: list[ErrorGallery] = []
    if calibration is not None and examples:
        galleries = show_errors(dump, strips, most=examples)
    return EvaluationSection(
        title=str(dump.path),
        cards=make_cards(summary, calibration),
        facts=[
            (name, text.strip().replace("  ", ", "))  # columns of a plain table
            for name, text in summary_rows(summary)
            if name not in METRIC_NAMES.values()  # the cards have them
        ],
        warnings=[*summary.warnings, *_doubts(dump, calibration)],
        measure="average precision" if dump.several else "top-1",
        classes=class_rows(dump),
        matrix=None if dump.several else make_matrix(dump, list_videos=calibration is not None),
        calibration=calibration,
        galleries=galleries,
        failed=[(video.path, video.error) for video in videos if video.error is not None],
        environment=_describe_run(dump),
    )


def summarize_dump(dump: Dump) -> EvalSummary:
    """Summary as `eval` has it, failed videos counted as wrong, with the interval of top-1."""
    kept = min((len(video.top) for video in dump.videos if video.top), default=0)
    tops = tuple(k for k in _TOPS if k <= max(1, kept))
    options = EvalOptions(topk=tops, ci=not dump.several)
    summary = summarise(dump.videos, spec=dump.spec, classes=dump.classes, options=options)
    summary = at_rates(summary, dump.spec, read_rates([dump.description]))
    average = dump.said("average")
    return replace(
        summary,
        model=summary.model or dump.said("model"),
        views=dump.said("views"),
        average=average if average in ("prob", "score") else None,
        precision=dump.said("precision"),
    )


def make_cards(summary: EvalSummary, calibration: Calibration | None) -> list[Card]:
    """Figures at the head of a section."""
    cards = []
    for key, value in summary.accuracy.items():
        published = summary.published.get(key)
        views = f" with {summary.published_views} views" if summary.published_views else ""
        note = "" if published is None else f"published {published:.1f} %{views}"
        if key == "top1" and summary.interval is not None:
            bounds = f"{summary.interval.low:.1f} to {summary.interval.high:.1f} %, 95 % confidence"
            note = f"{bounds}; {note}" if note else bounds
        name = METRIC_NAMES.get(key, key)
        cards.append(Card(name=name, value=f"{value:.2f} %", note=note))
    if summary.classes_with_videos:
        mean = f"{summary.mean_class_accuracy:.2f} %"
        note = f"{counted(summary.classes_with_videos, 'class')}"
        cards.append(Card(name=METRIC_NAMES["mean_class_accuracy"], value=mean, note=note))
    if calibration is not None:
        note = "expected calibration error"
        cards.append(Card(name="ECE", value=f"{calibration.error:.2f} %", note=note))
    failed = f"{summary.failed} failed, counted as wrong" if summary.failed else "none failed"
    return [*cards, Card(name="videos", value=str(summary.listed), note=failed)]


def class_rows(dump: Dump) -> list[ClassRow]:
    """A row per class that has videos."""
    if dump.several:
        counts = Counter(label for video in dump.videos for label in video.labels)
        return [
            ClassRow(index=n, label=dump.name(n), videos=counts[n], correct=None, accuracy=value)
            for n, value in video_class_precisions(dump.videos).items()
        ]
    return rows_of(class_accuracies(dump.videos), confusions(dump.videos), dump.names)


def rows_of(
    accuracies: Mapping[int, tuple[int, int]],
    confused: Mapping[tuple[int, int], int],
    names: Mapping[int, str],
) -> list[ClassRow]:
    """A row per class, from its (videos, videos correct) and what it was predicted as."""
    predicted: Counter[int] = Counter()
    wrong: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (true, answer), count in confused.items():
        predicted[answer] += count
        if true != answer:
            wrong[true].append((-count, answer))
    rows = []
    for index, (videos, hits) in accuracies.items():
        taken = ""
        if wrong[index]:
            count, answer = min(wrong[index])
            taken = f"{names.get(answer, f'class {answer}')} ({-count})"
        rows.append(
            ClassRow(
                index=index,
                label=names.get(index, f"class {index}"),
                videos=videos,
                correct=hits,
                accuracy=100 * hits / videos,
                precision=100 * hits / predicted[index] if predicted[index] else None,
                taken_for=taken,
            )
        )
    return rows


def make_matrix(dump: Dump, *, list_videos: bool) -> Matrix | None:
    """Confusions of a dump with the errors behind them; None where no video was answered."""
    wrong = list_errors(dump.videos) if list_videos else []
    errors = [(v.path, v.label, v.top[0], v.top_probs[0]) for v in wrong]
    failed = Counter(video.label for video in dump.videos if not video.top)
    return matrix_of(confusions(dump.videos), dump.names, errors[:_LISTED_ERRORS], failed)


def matrix_of(
    confused: Mapping[tuple[int, int], int],
    names: Mapping[int, str],
    errors: Sequence[tuple[str, int, int, float]] = (),
    failed: Mapping[int, int] = MappingProxyType({}),
) -> Matrix | None:
    """Matrix of (true class, predicted class) -> videos; None where there are none.

    Failed videos by their true class are in no cell, yet in the shares of its row.
    """
    if not confused:
        return None
    indices = sorted({index for pair in confused for index in pair}.union(failed))
    places = {index: place for place, index in enumerate(indices)}
    return Matrix(
        labels=[names.get(index, f"class {index}") for index in indices],
        indices=indices,
        failed=[failed.get(index, 0) for index in indices],
        cells=[(places[true], places[got], count) for (true, got), count in confused.items()],
        errors=[(path, places[true], places[got], prob) for path, true, got, prob in errors],
    )


def _doubts(dump: Dump, calibration: Calibration | None) -> list[str]:
    doubts = []
    if calibration is None and not dump.several and any(video.top for video in dump.videos):
        doubts.append("Its scores are no probabilities: no reliability and no wrong videos.")
    if not dump.names:
        doubts.append("The names of the classes are not known: --model or --labels gives them.")
    if not dump.description:
        doubts.append("No description beside the dump: its model and protocol are not known.")
    return doubts


def spell(value: object) -> str:
    """A value of JSON or YAML as text, a list without its brackets."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _describe_run(dump: Dump) -> Facts:
    """What the description beside the dump says, its records spelled out."""
    rows: list[tuple[str, str]] = [("dump", str(dump.path))]

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, entry in value.items():
                add(f"{name}.{key}" if name else str(key), entry)
        elif name == "protocol.frame_rate" and value is None:
            rows.append((name.replace("_", " "), "source"))  # as --fps spells it
        elif value is not None:
            rows.append((name.replace("_", " "), spell(value)))

    add("", dump.description)
    return rows
