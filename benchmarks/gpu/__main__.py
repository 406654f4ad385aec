"""Measurements of a GPU as one JSON file and a table: see `benchmarks/gpu.sh`.

Each section is a process of its own with a limit of time, and writes its rows as it goes: one that
crashes, hangs or lacks something costs the others nothing. `report.py` has the form of the file.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from benchmarks.gpu.report import Report, Row, Section

# Name, and seconds at most. What may take long for a compiler comes last, and gets what is left.
SECTIONS = {
    "parity": 60,
    "views": 80,
    "batches": 30,
    "graphs": 45,
    "transfer": 40,
    "training": 60,
    "decoding": 60,
    "attention": 75,
    "compiling": 200,
}


def run_section(name: str, options: argparse.Namespace, rows: Path, limit: float) -> Section:
    """Run a section in a process of its own; what it wrote stays, however it ends."""
    line = [sys.executable, "-m", "benchmarks.gpu.one", name, str(rows), options.device]
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            line + ["--tiny"] * options.tiny, stdout=log, stderr=log, start_new_session=True
        )
        try:
            code = process.wait(limit)
            ended = "done" if code == 0 else f"exit code {code}"
        except subprocess.TimeoutExpired:
            ended = "out of time"
        finally:
            with suppress(ProcessLookupError):  # and its own processes, which decode or compile
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.seek(0)
        tail = log.readlines()[-5:]
    if ended != "done":
        print(*tail, sep="", file=sys.stderr, flush=True)
        ended = ": ".join([ended, *(line.strip() for line in tail[-1:])])
    return Section(name=name, seconds=time.monotonic() - begun, ended=ended)


def run_sections(options: argparse.Namespace) -> Report:
    begun = time.monotonic()
    sections: list[Section] = []
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "rows.jsonl")
        file.touch()
        for name in options.sections:
            left = 60 * options.minutes - (time.monotonic() - begun)
            print(f"{name} ...", file=sys.stderr, flush=True)
            sections.append(run_section(name, options, file, max(1.0, min(SECTIONS[name], left))))
        lines = file.read_text(encoding="utf-8").splitlines()
    return Report(
        machine=describe_machine(),
        tiny=options.tiny,
        seconds=time.monotonic() - begun,
        sections=sections,
        rows=[Row(**json.loads(line)) for line in lines],
    )


def describe_machine() -> dict[str, str]:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.machine(),
        "cores": str(cores),
    }
    if torch.cuda.is_available():
        about = torch.cuda.get_device_properties(0)
        found |= {
            "device": about.name,
            "memory": f"{about.total_memory / 2**30:.0f} GiB",
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),
        }
    return found


def tabulate(report: Report) -> str:
    """The rows as a table in Markdown."""
    lines = ["| section | what | found |", "| --- | --- | --- |"]
    for row in report.rows:
        found = f"needs {row.needs}" if row.needs else f"ERROR {row.error}"
        if row.values is not None:
            found = ", ".join(f"{name} {_shown(value)}" for name, value in row.values.items())
        lines.append(f"| {row.section} | {row.name} | {found} |")
    lines += [f"| {s.name} | | {s.ended.upper()} |" for s in report.sections if s.ended != "done"]
    return "\n".join(lines)


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="benchmarks/gpu.sh")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=7.5, help="of all sections at most")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--tiny", action="store_true", help="a rehearsal with small clips")
    options = parser.parse_args(words)
    report = run_sections(options)
    options.out.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    print(", ".join(f"{name} {value}" for name, value in report.machine.items()))
    print(tabulate(report))
    print(f"{report.seconds:.0f} s; {options.out}")


if __name__ == "__main__":
    main()
