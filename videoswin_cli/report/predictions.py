"""Predictions as a table, JSON, JSON lines or CSV: to stdout, or to a file that appears when whole.

Formats: `table` for eyes (plain text where stdout is no terminal), `json` one list, `jsonl` one
object per line as each video ends, `csv` one row per class.
"""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from videoswin_cli.io.atomic import atomic_write, to_json
from videoswin_cli.io.csv_text import join_notes, to_csv
from videoswin_cli.io.visible import counted, for_stream, visible
from videoswin_cli.records import ClassProbability, Prediction
from videoswin_cli.report.percent import percent

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

Format = Literal["table", "json", "jsonl", "csv"]
CSV_COLUMNS = (
    "path", "model", "views", "decoder", "frames", "fps", "rank", "label", "index", "prob", "error",
    "notes",
)  # fmt: skip
_BAR_CELLS = 24


@contextmanager
def open_report(format: Format, out: Path | None = None) -> Iterator[Callable[[Prediction], None]]:
    """Give a function that writes one prediction; the report is complete when the block ends.

    With `out`, rows go to `OUT.PID.part`, renamed at the end; it stays, with the rows done so far,
    when the block is left by an error.
    """
    if out is None:
        whole = io.StringIO() if format == "json" else None  # no half a list
        with _writer(format, whole or sys.stdout) as write:
            yield write
        if whole is not None:
            _write_line(sys.stdout, whole.getvalue())
        sys.stdout.flush()
        return
    with (
        atomic_write(out, keep=True) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
        _writer(format, stream) as write,
    ):
        yield write


def to_json_line(prediction: Prediction) -> str:
    """One object in one line."""
    return to_json(_fields(prediction)) + "\n"


def _fields(prediction: Prediction) -> dict[str, Any]:
    """One object as docs/formats.md shows it; `logits` only where they were requested."""
    fields = asdict(prediction)
    if prediction.logits is None:
        del fields["logits"]
    return fields


@contextmanager
def _writer(format: Format, stream: TextIO) -> Iterator[Callable[[Prediction], None]]:
    if format == "json":
        joints = chain(["["], repeat(",\n "))
        yield lambda p: _write_line(stream, next(joints) + to_json_line(p).rstrip("\n"))
        _write_line(stream, "[]\n" if next(joints) == "[" else "]\n")
    elif format == "jsonl":
        yield lambda p: _write_line(stream, to_json_line(p))
    elif format == "csv":
        _write_line(stream, to_csv([CSV_COLUMNS]))
        shown = visible if stream.isatty() else str
        yield lambda prediction: _write_line(stream, to_csv(_csv_rows(prediction, shown)))
    elif stream.isatty():
        from rich.console import Console

        console = Console(file=stream)
        yield lambda prediction: console.print(_rich_table(prediction))
    else:
        yield lambda prediction: _write_line(stream, _plain_table(prediction))


def _write_line(stream: TextIO, text: str) -> None:
    stream.write(for_stream(text, stream))
    stream.flush()


def _csv_rows(prediction: Prediction, shown: Callable[[str], str]) -> list[tuple[Any, ...]]:
    video = (
        shown(prediction.path), shown(prediction.model), prediction.views,
        prediction.decoder, prediction.frames, prediction.fps,
    )  # fmt: skip
    if prediction.error is not None:
        return [(*video, None, None, None, None, shown(prediction.error), None)]
    notes = shown(join_notes(prediction.notes)) or None
    return [
        (*video, rank, shown(score.label), score.index, score.prob, None, notes)
        for rank, score in enumerate(prediction.top, start=1)
    ]


def _describe(prediction: Prediction) -> str:
    if prediction.frames is None:
        return visible(prediction.model)
    rate = "" if prediction.fps is None else f" {prediction.fps:.4g} fps,"
    return (
        f"{counted(prediction.frames, 'frame')},{rate} {prediction.decoder}, "
        f"{visible(prediction.model)}, {prediction.views} views"
    )


def _plain_table(prediction: Prediction) -> str:
    if prediction.error is not None:
        return f"{visible(prediction.path)}\n  failed: {visible(prediction.error)}\n"
    rows = [f"{percent(score.prob, 2):>7}%  {visible(score.label)}" for score in prediction.top]
    return "\n".join([f"{visible(prediction.path)}  ({_describe(prediction)})", *rows]) + "\n"


def _rich_table(prediction: Prediction) -> "Group":
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    title = Text.assemble((visible(prediction.path), "bold"), "  ", (_describe(prediction), "dim"))
    if prediction.error is not None:
        reason = Text(f"failed: {visible(prediction.error)}", style="red")
        return Group(title, Padding(reason, (0, 0, 0, 2)), "")
    return Group(title, class_table(prediction.top), "")


def class_table(top: Sequence[ClassProbability]) -> "Table":
    """Classes with bars, likeliest first, for a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(justify="right")
    table.add_column(width=_BAR_CELLS)
    table.add_column()
    for rank, score in enumerate(top):
        style = "bold" if rank == 0 else ""
        bar = Text(_bar(score.prob), style="green")
        table.add_row(
            Text(f"{percent(score.prob, 2)}%", style=style),
            bar,
            Text(visible(score.label), style=style),
        )
    return table


def _bar(share: float) -> str:
    """Length in eighths of a cell."""
    eighths = round(share * _BAR_CELLS * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
