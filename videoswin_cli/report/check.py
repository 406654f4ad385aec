"""Findings of a check as a table, JSON, JSON lines or CSV: to stdout, or to a file."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from videoswin_cli.io.atomic import atomic_write, to_json
from videoswin_cli.io.csv_text import to_csv
from videoswin_cli.io.visible import counted, for_stream, visible
from videoswin_cli.report.findings import NOTES, PROBLEMS, CheckReport, Finding

if TYPE_CHECKING:
    from rich.table import Table

Format = Literal["table", "json", "jsonl", "csv"]
CSV_COLUMNS = ("severity", "kind", "split", "path", "partner", "text")
_EXAMPLES = 3  # of a kind, in a table
_STYLES = {"problem": "red", "note": "yellow"}


def write_check(report: CheckReport, format: Format, out: Path | None = None) -> None:
    """Write a report to a file that appears when it is whole, or to stdout.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    if out is None:
        _write(report, format, sys.stdout)
        sys.stdout.flush()
        return
    with (
        atomic_write(out) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        _write(report, format, stream)


def summarize(report: CheckReport) -> str:
    """One line on the whole: videos, splits, classes, what was found."""
    text = counted(report.videos, "video")
    if report.splits:
        text += f" ({', '.join(f'{name} {count}' for name, count in report.splits.items())})"
    if sizes := [count for count in report.classes.values() if count]:
        span = f"{min(sizes)} to {max(sizes)}" if min(sizes) < max(sizes) else f"{sizes[0]}"
        text += f", {counted(len(sizes), 'class')} of {span}"
    found = counted(len(report.problems), "problem")
    if report.bad_videos:
        found += f" in {counted(report.bad_videos, 'video')}"
    return f"{text}: {found}, {counted(len(report.notes), 'note')}"


def _write(report: CheckReport, format: Format, stream: TextIO) -> None:
    if format == "table" and stream.isatty():
        from rich.console import Console

        console = Console(file=stream)
        if report.findings:
            console.print(_rich_table(report))
        console.print(visible(summarize(report)), markup=False, highlight=False)
        return
    for text in _FORMATS[format](report, visible if stream.isatty() else str):
        stream.write(for_stream(text, stream))


def _to_table(report: CheckReport, _: Any) -> Iterator[str]:
    for title, count, examples in _groups(report):
        yield f"{title} ({count})\n"
        yield from (f"  {line}\n" for line in examples)
    yield f"{visible(summarize(report))}\n"


def _to_json(report: CheckReport, _: Any) -> Iterator[str]:
    yield "{"
    facts = {
        "videos": report.videos,
        "bad_videos": report.bad_videos,
        "problems": len(report.problems),
        "notes": len(report.notes),
        "splits": report.splits,
        "classes": report.classes,
    }
    yield "".join(f"{to_json(key)}: {to_json(value)},\n " for key, value in facts.items())
    yield (
        '"findings": [' + ",\n  ".join(to_json(_fields(each)) for each in report.findings) + "]}\n"
    )


def _to_json_lines(report: CheckReport, _: Any) -> Iterator[str]:
    for finding in report.findings:
        yield to_json(_fields(finding)) + "\n"


def _to_csv(report: CheckReport, show: Any) -> Iterator[str]:
    yield to_csv([CSV_COLUMNS])
    for finding in report.findings:
        fields = _fields(finding)
        cells = (fields[column] for column in CSV_COLUMNS)
        yield to_csv([[None if cell is None else show(cell) for cell in cells]])


_FORMATS = {"table": _to_table, "json": _to_json, "jsonl": _to_json_lines, "csv": _to_csv}


def _fields(finding: Finding) -> dict[str, Any]:
    return {"severity": finding.severity, **asdict(finding)}


def _groups(report: CheckReport) -> Iterator[tuple[str, int, list[str]]]:
    """Of each kind its title, how often it was found, and some of these."""
    for kind, group in groupby(report.findings, key=lambda finding: finding.kind):
        found = list(group)
        meaning = {**PROBLEMS, **NOTES}[kind]
        examples = [_describe(finding) for finding in found[:_EXAMPLES]]
        if len(found) > _EXAMPLES:
            examples.append(f"and {len(found) - _EXAMPLES} more")
        yield f"{found[0].severity} {kind}: {meaning}", len(found), examples


def _describe(finding: Finding) -> str:
    where = "" if finding.path is None else f"{finding.path}: "
    return visible(where + finding.text)


def _rich_table(report: CheckReport) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for title, count, examples in _groups(report):
        severity = title.partition(" ")[0]
        table.add_row(str(count), Text(title, style=f"bold {_STYLES[severity]}"))
        for line in examples:
            table.add_row("", Text(line, style="dim" if line.startswith("and ") else ""))
    return table
