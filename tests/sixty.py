"""Sixty short labelled videos, three of them broken, and ways to run a command over them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from make_video import truncate_video, write_audio, write_video
from plain_machine import make_home
from tiny import LABELS

COUNT = 60
BROKEN = {7: "truncated", 23: "text", 41: "audio"}
NAMES = tuple(f"c{n % 7}/v{n:02}.mp4" for n in range(COUNT))


def write_videos(folder: Path) -> Path:
    """Videos of 3 to 40 frames and a two-column list of them."""
    for label in range(len(LABELS)):
        (folder / f"c{label}").mkdir()
    for number, name in enumerate(NAMES):
        path = folder / name
        kind = BROKEN.get(number)
        if kind == "text":
            path.write_text("no video")
        elif kind == "audio":
            write_audio(path)
        elif kind == "truncated":
            write_video(folder / "whole.mp4", frames=40, seed=number)
            truncate_video(folder / "whole.mp4", path, share=0.5)
            (folder / "whole.mp4").unlink()
        else:
            write_video(path, frames=3 + number * 37 % 38, fps=25 + number % 3, seed=number)
    rows = [f"{name} {number % 7}\n" for number, name in enumerate(NAMES)]
    (folder / "list.txt").write_text("".join(rows))
    return folder


def environment(folder: Path, threads: int) -> dict[str, str]:
    """With a home beside the folder of the run."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    home = make_home(folder.with_name(f"{folder.name}.home"))
    own |= {"VIDEOSWIN_HOME": str(home), "VIDEOSWIN_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    return own | {"PYTHONWARNINGS": "error"}


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "videoswin_cli", *map(str, args)]


def torchrun(processes: int, *args: object) -> list[str]:
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *start, "-m", "videoswin_cli", *map(str, args)]


def run(line: list[str], folder: Path, *, threads: int = 1) -> subprocess.CompletedProcess[str]:
    """Run a command with as many threads a process as torchrun gives, or another number."""
    own = environment(folder, threads)
    return subprocess.run(line, capture_output=True, text=True, env=own, check=False, timeout=300)


def kill_after(line: list[str], journals: Path, folder: Path, *, lines: int) -> None:
    """SIGKILL the processes and all their children once the journals hold so many lines."""
    process = subprocess.Popen(
        line,
        env=environment(folder, 2),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for done in _counts(journals):
            assert process.poll() is None, process.communicate()[1]
            if done >= lines:
                break
    finally:
        for number in _family(process.pid):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        process.communicate()


def _family(number: int) -> list[int]:
    """A process and its descendants; torchrun gives each of its own a session of its own."""
    try:
        children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    except FileNotFoundError:
        return [number]
    return [number, *(each for child in children for each in _family(int(child)))]


def _counts(journals: Path) -> Iterator[int]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        yield sum(file.read_bytes().count(b"\n") for file in journals.glob("*.jsonl"))
        time.sleep(0.005)
    raise TimeoutError(journals)
