"""Rehearsal of `benchmarks/gpu.sh` on a CPU: every section gives rows, and none fails."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[1]


def rehearse(out: Path) -> object:
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    line = ["bash", "benchmarks/gpu.sh", "--device", "cpu", "--tiny", "--out", str(out)]
    subprocess.run(line, check=True, cwd=ROOT, env=environment, capture_output=True)
    return json.loads(out.read_text(encoding="utf-8"))


def check(found: object, sections: int) -> None:
    sys.path.insert(0, str(ROOT))
    try:
        form = importlib.import_module("benchmarks.gpu.report")
    finally:
        sys.path.remove(str(ROOT))
    report = msgspec.convert(found, form.Report)  # the documented form
    assert [section.ended for section in report.sections] == ["done"] * sections
    assert {row.section for row in report.rows} == {section.name for section in report.sections}
    assert [row for row in report.rows if row.error is not None] == []
    for row in report.rows:
        assert (row.values is None) == (row.needs in ("CUDA", "torchvision")), row
        if row.section == "parity":
            assert row.values["holds"] is True, row


@pytest.mark.slow  # a minute: nine processes, each of which imports torch and makes networks
def test_every_section_gives_rows_and_none_fails(tmp_path: Path) -> None:
    check(rehearse(tmp_path / "gpu.json"), 9)
