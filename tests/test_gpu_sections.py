"""Sections of `benchmarks/gpu` on a CPU, what becomes of failures, and its exact candidates."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from formula import formula_input
from golden_forward import random_network

from videoswin_cli.data.transforms import resize_cv2

ROOT = Path(__file__).parents[1]
NEEDS = {"CUDA", "torchvision"}  # what a rehearsal may lack


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let `benchmarks` be imported, behind the package that is tested."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(ROOT)])
    yield
    torch._dynamo.reset()


def module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.gpu.{name}")


MORE = ("batches", "graphs", "transfer", "attention")
# The quick ones, each in this process; all of them as the script runs them: test_gpu_benchmark.py.
SECTIONS = ("parity", *(pytest.param(name, marks=pytest.mark.slow) for name in MORE))


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_a_section_measures(section: str, tmp_path: Path) -> None:
    found = tmp_path / "rows.jsonl"
    bench = module("section").Bench(
        section=section, device=torch.device("cpu"), tiny=True, out=found
    )
    module(section).measure(bench)
    rows = [json.loads(line) for line in found.read_text().splitlines()]
    assert [row for row in rows if row["error"]] == []
    assert {row["needs"] for row in rows if row["values"] is None} <= NEEDS
    assert any(row["values"] for row in rows)
    assert len({row["name"] for row in rows}) == len(rows)
    if section == "parity":
        assert all(row["values"]["holds"] for row in rows)


def test_what_fails_or_hangs_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    main, out = module("__main__"), tmp_path / "gpu.json"
    monkeypatch.setattr(main, "SECTIONS", {"no_such_section": 60, "parity": 0.01})
    main.main(["--device", "cpu", "--tiny", "--out", str(out)])
    report = json.loads(out.read_text())
    ended = [section["ended"] for section in report["sections"]]
    assert ended[0].startswith("exit code 1: ModuleNotFoundError")
    assert ended[1].startswith("out of time")


def test_a_measurement_that_fails_is_a_row(tmp_path: Path) -> None:
    found = tmp_path / "rows.jsonl"
    bench = module("section").Bench(
        section="parity", device=torch.device("cpu"), tiny=True, out=found
    )

    def fail() -> dict[str, float]:
        raise RuntimeError("no kernel\nand more")

    bench.row("first", fail)
    bench.row("second", lambda: {"ms": 1.0})
    first, second = (json.loads(line) for line in found.read_text().splitlines())
    assert first["error"] == "RuntimeError: no kernel"
    assert second["values"] == {"ms": 1.0}


@pytest.mark.parametrize("shape", [(2, 3, 8, 48, 48), (1, 3, 9, 50, 46), (2, 3, 2, 12, 12)])
def test_all_windows_in_one_call_give_the_same_numbers(shape: tuple[int, ...]) -> None:
    network, clips = random_network().double(), formula_input(shape).double()
    other = module("candidates").in_one_call(network)
    with torch.inference_mode():
        for _ in range(2):  # the second with what was kept
            torch.testing.assert_close(other(clips), network(clips), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("source", "target"),
    [((256, 340), (224, 298)), ((48, 64), (24, 32)), ((30, 17), (61, 40)), ((7, 5), (7, 9))],
)
def test_the_resize_in_one_piece_is_that_of_cv2(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    frames = torch.randint(256, (2, *source, 3), dtype=torch.uint8)
    assert torch.equal(
        module("resizing").resize_cv2_at_once(frames, target), resize_cv2(frames, target)
    )
