"""Few open files are left to a run: it ends as any other, or with an error, never with less."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sixty
from colors import write_color

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")

LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
import torch
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
from videoswin_cli.cli.app import app
app()
"""


def run_limited(limit: int, folder: Path, *args: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", LIMITED, str(limit), *map(str, args)]
    return sixty.run(line, folder)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine clips of each of two classes."""
    folder = tmp_path_factory.mktemp("clips")
    for channel, name in enumerate(("red", "green")):
        for number in range(9):
            write_color(folder / name / f"{number}.mp4", channel, 10 * channel + number)
    return folder


def check_end(done: subprocess.CompletedProcess[str], out: Path) -> bool:
    """Whether the run is complete; if not, it ended with an error that says why."""
    assert not list(out.rglob("*failed.jsonl")), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    if done.returncode == 0:
        return True
    assert done.returncode == 1, done.stderr
    assert "Too many open files" in done.stderr
    assert "ulimit -n" in done.stderr
    return False


@pytest.mark.parametrize(
    "limit",
    [32, pytest.param(64, marks=pytest.mark.slow)],  # the wider one, for its half minute
)
def test_extract_has_all_rows_or_ends(limit: int, clips: Path, tiny: str, tmp_path: Path) -> None:
    out = tmp_path / "f.npy"
    done = run_limited(
        limit, tmp_path, "extract", clips, "--out", out, "--model", tiny, "--workers", 4
    )
    if check_end(done, tmp_path):
        assert np.isfinite(np.load(out)).all()
        with (tmp_path / "f.index.csv").open(encoding="utf-8", newline="") as file:
            assert {row["status"] for row in csv.DictReader(file)} == {"ok"}
    else:
        assert limit < 64
        assert not out.exists()


@pytest.mark.slow  # half a minute; by default extract does so
@pytest.mark.parametrize(
    ("limit", "options"), [(64, ("batch_size=8", "accumulate=8")), (32, ("batch_size=8",))]
)
def test_finetune_learns_from_every_clip_or_ends(
    limit: int, options: tuple[str, ...], clips: Path, tiny: str, tmp_path: Path
) -> None:
    """`accumulate=8` makes a step of 64 clips, which must not be open at once."""
    settings = [word for option in options for word in ("--set", option)]
    done = run_limited(limit, tmp_path, "finetune", clips, "--out", tmp_path / "o", "--model",
                       tiny, "--workers", 4, "--epochs", 4, *settings)  # fmt: skip
    if check_end(done, tmp_path):
        assert (tmp_path / "o/best.safetensors").exists()
        assert "cannot be read" not in done.stderr
    else:
        assert limit < 64
