"""Folders of fine-tuning runs as sections of a page."""

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import read_csv
from videoswin_cli.io.text_files import parse_json, read_text
from videoswin_cli.io.visible import counted
from videoswin_cli.io.yaml_text import read_yaml
from videoswin_cli.records import METRIC_NAMES
from videoswin_cli.report.pages.charts import LineChart, line_chart
from videoswin_cli.report.pages.contents import Card, ClassRow, Facts, Matrix, TrainingSection
from videoswin_cli.tasks.report.evaluations import matrix_of, rows_of, spell

METRICS = "metrics.csv"  # what a folder of a run has from its first epoch on
_CLOSING = "best after epoch "  # how the closing paragraph in train.log begins
_MOST_PICTURE = 4 << 20  # bytes


def describe_run(folder: Path) -> TrainingSection:
    """Section of a run, finished or not.

    Raises:
        UsageError: a file of it cannot be read.
    """
    epochs = read_csv(folder / METRICS)
    numbers = [{key: _number(value, folder) for key, value in row.items()} for row in epochs]
    result = _read_result(folder)
    test = _read_test(result)
    classes, matrix = _read_confusions(folder)
    return TrainingSection(
        title=str(folder),
        cards=[*_test_cards(test), *_cards(numbers, result)],
        facts=_facts(folder, numbers, result),
        charts=_charts(numbers),
        epochs=(list(numbers[0]), [[f"{v:.6g}" for v in row.values()] for row in numbers]),
        classes=classes,
        measured=f"test, {test['views']} views" if test else "validation",
        matrix=matrix,
        picture=None if matrix else _read_picture(folder / "confusion.png"),
        failed=_read_failed(folder / "failed.jsonl"),
        environment=_recipe(folder),
    )


def _number(text: str, folder: Path) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{folder / METRICS}: {text!r} is no number") from error


def _titles(row: Mapping[str, float]) -> dict[str, str]:
    return {key: title for key, title in METRIC_NAMES.items() if key in row}


def _cards(rows: Sequence[Mapping[str, float]], result: Mapping[str, Any]) -> list[Card]:
    """Metrics of the best epoch, which is the one that the result names."""
    best = next((row for row in rows if row["epoch"] == result.get("best_epoch")), None)
    shown = rows[-1] if best is None else best
    epoch = f"{'last' if best is None else 'best'} epoch, {shown['epoch']:.0f} of {len(rows)}"
    which = f"validation, {epoch}"
    cards = [
        Card(name=title, value=f"{shown[key]:.2f} %", note=which)
        for key, title in _titles(shown).items()
    ]
    for key, name in (("train_clips", "training clips"), ("val_clips", "validation clips")):
        if key in result:
            cards.append(Card(name=name, value=str(result[key])))
    return cards


def _facts(folder: Path, rows: Sequence[Mapping[str, float]], result: Mapping[str, Any]) -> Facts:
    facts = [("folder", str(folder))]
    if not result:
        facts.append(("state", f"not finished: {counted(len(rows), 'epoch')} so far"))
    if closing := _read_closing(folder / "train.log"):
        facts.append(("conclusion", closing))
    names = {"start": "started from", "version": "videoswin"}
    facts += [(name, str(result[key])) for key, name in names.items() if key in result]
    times = result.get("times")
    if isinstance(times, dict):
        facts += [(str(name), str(value)) for name, value in times.items()]
    return facts


def _charts(rows: Sequence[Mapping[str, float]]) -> list[LineChart]:
    epochs = [row["epoch"] for row in rows]
    losses = {
        name: [row[key] for row in rows]
        for key, name in (("train_loss", "training"), ("val_loss", "validation"))
        if key in rows[0]
    }
    metrics = {title: [row[key] for row in rows] for key, title in _titles(rows[0]).items()}
    return [
        line_chart("Loss", "epoch", epochs, losses),
        line_chart("Validation, %", "epoch", epochs, metrics),
    ]


def _read_result(folder: Path) -> Mapping[str, Any]:
    path = folder / "result.json"
    if not path.exists():
        return {}
    found = parse_json(read_text(path, what="result"), source=str(path))
    return found if isinstance(found, dict) else {}


def _read_test(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Views and metrics of the test of the best epoch; empty where there was none."""
    test = result.get("test")
    if isinstance(test, dict) and "views" in test and isinstance(test.get("metrics"), dict):
        return test
    return {}


def _test_cards(test: Mapping[str, Any]) -> list[Card]:
    """Metrics of a test; null is one that is no number."""
    metrics = test.get("metrics", {})
    return [
        Card(
            name=title,
            value=f"{metrics[key]:.2f} %" if isinstance(metrics[key], int | float) else "unknown",
            note=f"test, {test['views']} views",
        )
        for key, title in _titles(metrics).items()
    ]


def _read_confusions(folder: Path) -> tuple[list[ClassRow], Matrix | None]:
    """Those of the test or the best validation; nothing where an older version drew them only."""
    path = folder / "confusion.csv"
    if not path.exists():
        return [], None
    names: dict[int, str] = {}
    confused: dict[tuple[int, int], int] = {}
    try:
        for row in read_csv(path):
            true, got = int(row["index"]), int(row["predicted_index"])
            names |= {true: row["label"], got: row["predicted_label"]}
            confused[true, got] = int(row["videos"])
    except (KeyError, ValueError) as error:
        raise UsageError(f"{path} is no table of confusions: {error!r}") from error
    videos: Counter[int] = Counter()
    for (true, _), count in confused.items():
        videos[true] += count
    accuracies = {n: (videos[n], confused.get((n, n), 0)) for n in sorted(videos)}
    return rows_of(accuracies, confused, names), matrix_of(confused, names)


def _read_picture(path: Path) -> str | None:
    if not path.exists() or path.stat().st_size > _MOST_PICTURE:
        return None
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _read_failed(path: Path) -> list[tuple[str, str]]:
    if not path.exists():
        return []
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        return [(str(row["path"]), str(row["error"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is no list of failed clips: {error!r}") from error


def _read_closing(path: Path) -> str:
    """The last closing paragraph of a log, whose lines begin with a time."""
    if not path.exists():
        return ""
    texts = [
        line.partition(" ")[2]
        for line in path.read_text(encoding="utf-8", errors="backslashreplace").splitlines()
    ]
    return next((text for text in reversed(texts) if text.startswith(_CLOSING)), "")


def _recipe(folder: Path) -> Facts:
    path = folder / "config.yaml"
    if not path.exists():
        return []
    return [(key.replace("_", " "), spell(value)) for key, value in read_yaml(path).items()]
