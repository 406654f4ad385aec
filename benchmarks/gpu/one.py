"""One section of the measurements of a GPU, in this process."""

import argparse
import importlib
from pathlib import Path

import torch

from benchmarks.gpu.section import Bench


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("section")
    parser.add_argument("rows", type=Path)
    parser.add_argument("device", type=torch.device)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    bench = Bench(
        section=options.section, device=options.device, tiny=options.tiny, out=options.rows
    )
    importlib.import_module(f"benchmarks.gpu.{options.section}").measure(bench)


if __name__ == "__main__":
    main()
