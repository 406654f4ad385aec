"""Health of an installation as text: a block per part, and what to do at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter
from typing import Any

from videoswin_cli.io.visible import counted
from videoswin_cli.records import HealthRow

_MARKS = {"ok": " ", "note": "-", "problem": "!"}


def health_lines(rows: Sequence[HealthRow]) -> Iterator[str]:
    """Lines of the report."""
    width = max(len(row.name) for row in rows)
    for part, own in groupby(rows, key=attrgetter("part")):
        yield part
        for row in own:
            yield f"{_MARKS[row.state]} {row.name:<{width}}  {' '.join(row.value.split())}"
    problems = sum(row.state == "problem" for row in rows)
    yield ""
    yield counted(problems, "problem") if problems else "Nothing that makes runs fail was found."
    order = sorted(rows, key=lambda row: row.state != "problem")
    for number, advice in enumerate(dict.fromkeys(row.advice for row in order if row.advice), 1):
        named = next(row for row in order if row.advice == advice)
        yield f"{number}. {named.name}: {advice}"


def health_record(rows: Sequence[HealthRow]) -> dict[str, Any]:
    """The report as JSON."""
    return {"healthy": is_healthy(rows), "rows": [asdict(row) for row in rows]}


def is_healthy(rows: Sequence[HealthRow]) -> bool:
    """Whether nothing was found that makes runs fail."""
    return all(row.state != "problem" for row in rows)
