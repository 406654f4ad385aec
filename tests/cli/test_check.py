"""`videoswin check` from the outside."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from planted import write_clip
from typer.testing import Result

from videoswin_cli.io.csv_text import from_csv
from videoswin_cli.report.check import CSV_COLUMNS

Run = Callable[..., Result]
HOSTILE = 'b\x1b[31m\n<i>,".mp4'


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A sound video, one with a hostile name that is none, and one that is missing."""
    write_clip(tmp_path / "a.mp4", 1)
    (tmp_path / HOSTILE).write_text("no video")
    rows = [{"path": name, "label": "x"} for name in ("a.mp4", HOSTILE, "gone.mp4")]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    return tmp_path / "list.json"


def test_a_table_ends_with_a_summary(run: Run, listed: Path) -> None:
    result = run("check", "--list", listed, "--workers", 0)
    assert result.exit_code == 3, result.output
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        "problem missing: there is no such file (1)",
        "  gone.mp4: no such file",
        "problem unreadable: it cannot be opened, or not one frame can be decoded (1)",
    ]
    assert lines[3].startswith('  b\\x1b[31m\\n<i>,".mp4: not a readable video file')
    assert lines[4:] == ["3 videos, 1 class of 3: 2 problems in 2 videos, 0 notes"]
    assert "3 rows (json)" in result.stderr


@pytest.mark.parametrize("to_file", [False, True])
@pytest.mark.parametrize("format", ["json", "jsonl", "csv"])
def test_each_format_has_all_findings(
    run: Run, listed: Path, tmp_path: Path, format: str, to_file: bool
) -> None:
    out = tmp_path / f"found.{format}"
    where = ("--out", out) if to_file else ("--format", format)
    result = run("check", "--list", listed, "--workers", 0, *where)
    assert result.exit_code == 3, result.output
    assert "2 problems in 2 videos" in result.stderr
    text = out.read_text() if to_file else result.stdout
    assert bool(result.stdout) != to_file
    if format == "csv":
        header, *cells = from_csv(text)
        assert tuple(header) == CSV_COLUMNS
        found = [dict(zip(header, row, strict=True)) for row in cells]
    elif format == "json":
        whole = json.loads(text)
        assert (whole["videos"], whole["bad_videos"], whole["classes"]) == (3, 2, {"x": 3})
        found = whole["findings"]
    else:
        found = [json.loads(line) for line in text.splitlines()]
    assert [(row["severity"], row["kind"], row["path"]) for row in found] == [
        ("problem", "missing", "gone.mp4"),
        ("problem", "unreadable", HOSTILE),
    ]


def test_notes_alone_are_no_failure(run: Run, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    write_clip(tmp_path / "videos/a.mp4", 1, frames=1)
    result = run("check", tmp_path / "videos", "--format", "csv", "--workers", 0)
    assert result.exit_code == 0, result.output
    assert "few-frames" in result.stdout


def test_a_list_without_any_of_its_videos_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("gone.mp4 0\n")
    result = run("check", "--list", tmp_path / "list.txt")
    assert result.exit_code == 2
    assert "is --root the folder" in result.stderr
