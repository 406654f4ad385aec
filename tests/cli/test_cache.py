"""`videoswin cache`: what it says was removed is gone, and what stayed is named."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def graphs(tmp_path: Path) -> Path:
    """Two files in the cache of this test."""
    folder = tmp_path / "own" / "graphs"
    folder.mkdir(parents=True)
    (folder / "a.graph").write_bytes(bytes(3 << 20))
    (folder / "b.graph").write_bytes(bytes(1 << 20))
    return folder


@pytest.fixture
def _one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == "a.graph":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)


def test_all_of_a_kind_is_removed(run: Run, graphs: Path) -> None:
    done = run("cache", "--clear", "graphs")
    assert (done.exit_code, list(graphs.iterdir())) == (0, [])
    assert "2 files removed, 4.0 MiB" in done.stderr


@pytest.mark.usefixtures("_one_stays")
def test_what_cannot_be_removed_is_named_and_not_counted(run: Run, graphs: Path) -> None:
    done = run("cache", "--clear", "graphs")
    assert done.exit_code == 1
    assert "1 file removed, 1.0 MiB" in done.stderr
    said = f"1 file could not be removed: {graphs / 'a.graph'}: Permission denied"
    assert said in done.stderr.replace("\n", "")
    assert "graphs          1 files         3.0 MiB" in done.stdout


@pytest.mark.usefixtures("_one_stays")
def test_json_says_what_stayed(run: Run, graphs: Path) -> None:
    done = run("cache", "--clear", "graphs", "--format", "json")
    assert done.exit_code == 1
    row = next(row for row in json.loads(done.stdout) if row["kind"] == "graphs")
    assert row["removed"] == {"files": 1, "bytes": 1 << 20}
    assert row["stayed"] == [{"path": str(graphs / "a.graph"), "reason": "Permission denied"}]
