"""`--engine slurm`: the scripts, and arrays that an `sbatch` of this test runs job by job."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from make_video import write_video
from typer.testing import CliRunner

from videoswin_cli.cli.app import app
from videoswin_cli.engine.cluster.slurm import make_scripts
from videoswin_cli.options.cluster import ClusterOptions

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="bash")

# Runs the script of its standard input, as an array or once, and prints the number of the job.
SBATCH = """#!/bin/bash
cat > job.sh
echo "$*" >> sbatch.log
last=$(sed -n 's/^#SBATCH --array=1-//p' job.sh)
for task in $(seq 1 "${last:-1}"); do
  SLURM_ARRAY_TASK_ID=$task bash job.sh >> out.log 2>> err.log || true
done
echo "17;cluster"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three videos and the programs `sbatch` and `videoswin`."""
    (tmp_path / "v").mkdir()
    for number in range(3):
        write_video(tmp_path / "v" / f"{number}.mp4", frames=8, seed=number)
    programs = tmp_path / "bin"
    programs.mkdir()
    own = f'#!/bin/bash\nexec {sys.executable} -m videoswin_cli "$@"\n'
    for name, text in (("sbatch", SBATCH), ("videoswin", own)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "videoswin_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow  # three processes
def test_an_array_writes_what_one_process_writes(folder: Path, tiny: str) -> None:
    line = ("extract", "v", "--model", tiny, "--out")
    assert run(*line, "plain.npy").returncode == 0
    array = run(*line, "feats.npy", "--engine", "slurm", "--max-workers", 2)
    assert (array.returncode, array.stdout) == (0, "17\n")
    assert array.stderr == "submitted videoswin-extract: job 17\n"
    assert Path("feats.npy").read_bytes() == Path("plain.npy").read_bytes()


# Four processes.
@pytest.mark.slow
def test_shards_of_an_evaluation_are_put_together(folder: Path, tiny: str) -> None:
    Path("list.txt").write_text("".join(f"{number}.mp4 {number}\n" for number in range(3)))
    line = ("eval", "--list", "list.txt", "--root", "v", "--views", "1x1", "--model", tiny)
    more = ("--out", "all", "--expect", 99, "--engine=slurm", "--max-workers=2")
    done = run(*line, "--dump", "d d.npz", *more)
    assert (done.returncode, done.stdout) == (0, "17\n17\n"), done.stderr
    assert Path("sbatch.log").read_text() == "--parsable\n--parsable --dependency=afterany:17\n"
    parts = [np.load(f"d d-{number}.npz") for number in (1, 2)]
    assert [len(part["paths"]) for part in parts] == [2, 1]
    summaries = Path("out.log").read_text()
    assert [line.split()[1] for line in summaries.splitlines() if line.startswith("videos")] == [
        "2",
        "1",
        "3",
    ]
    assert json.loads(Path("all/result.json").read_text())["listed"] == 3
    assert Path("err.log").read_text().count("expected 99 within") == 1  # of all, at the end


def test_a_dry_run_prints_the_script(folder: Path) -> None:
    line = ("extract", "a b", "--out", "f", "--output-format", "parquet", "--batch-size=2")
    array = ("--engine", "slurm", "--max-workers", 8, "--gpus-per-worker", 1, "--dry-run")
    done = run(*line, *array, "--worker-engine", "auto")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "#!/bin/bash",
        "#SBATCH --job-name=videoswin-extract",
        f"#SBATCH --chdir={folder}",
        "#SBATCH --output=%x-%A_%a.log",
        "#SBATCH --array=1-8",
        "#SBATCH --ntasks=1",
        "#SBATCH --requeue",
        "#SBATCH --gpus-per-task=1",
        "set -euo pipefail",
        "videoswin extract 'a b' --out f --output-format parquet --batch-size=2 --engine auto "
        "--shard $SLURM_ARRAY_TASK_ID/8",
    ]
    assert not Path("sbatch.log").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "slurm"), "how many jobs?"),
        (("--engine", "slurm", "--max-workers", "2", "--shard", "1/2"), "with --shard"),
        (("--engine", "slurm", "--max-workers", "2", "--overwrite"), "with --overwrite"),
        (("--max-workers", "2"), "--max-workers needs --engine ray or slurm: found torch"),
        (("--engine", "slurm", "--min-workers", "2"), "--min-workers needs --engine ray"),
        (("--engine", "ray", "--dry-run"), "--dry-run needs --engine slurm"),
        (("--engine", "slurm", "--max-workers", "2", "--gpus-per-worker", "0.5"), "whole GPUs"),
        (("--ray-address", "local"), "--ray-address needs --engine ray"),
    ],
)
def test_what_does_not_fit_is_told(
    arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_refused(("extract", "v", "--out", "f.npy", *arguments), message, monkeypatch)


def test_a_timeline_without_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    line = ("timeline", "v", "--engine", "slurm", "--max-workers", "2")
    check_refused(line, "the jobs write one output together", monkeypatch)


def test_names_that_are_no_text_reach_bash() -> None:
    name = b"caf\xe9 1.mp4"
    arguments = ["extract", os.fsdecode(name), "--out", "f.npy"]
    (script,) = make_scripts(arguments, ClusterOptions(max_workers=2))
    line = script.text.splitlines()[-1].replace("videoswin", "printf %s\\\\n", 1)
    done = subprocess.run(["bash", "-c", line], capture_output=True)
    assert done.stdout.splitlines()[:2] == [b"extract", name]


def check_refused(line: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["videoswin", *line])
    done = CliRunner().invoke(app, list(line))
    assert done.exit_code == 2
    assert message in done.stderr


def test_no_sbatch_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    line = ("extract", "v", "--out", "f.npy", "--engine", "slurm", "--max-workers", "2")
    check_refused(line, "there is no sbatch on this machine", monkeypatch)


def test_other_commands_know_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_video(tmp_path / "a.mp4", frames=8)
    line = ("predict", str(clip), "--engine", "ray")
    check_refused(line, "--engine ray: expected auto, torch or openvino", monkeypatch)
