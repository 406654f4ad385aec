"""Where the time of one view of 32x224x224 goes, by operation, in one thread; and the floor.

    python benchmarks/profile_view.py [--model swin-tiny-k400]

The floor is the counted arithmetic of the network at the speed of a large matrix product in the
same thread. The plan computes less than is counted: windows at the border fall apart into smaller
ones.
"""

import argparse
import time

import torch
from torch.profiler import profile

from videoswin_cli.engine.runtime import choose_runtime
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.inference_plan import InferencePlan
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.tasks.bench.bench import count_gmacs, measure_matmul


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="swin-tiny-k400")
    options = parser.parse_args()
    torch.set_num_threads(1)
    spec = load_spec(options.model)
    plan = InferencePlan(Swin3D(spec.architecture).eval())
    clip = torch.randn(1, 3, 32, 224, 224)
    plan(clip)
    begun = time.perf_counter()
    plan(clip)
    seconds = time.perf_counter() - begun
    with profile() as found:
        plan(clip)
    matmul = measure_matmul(choose_runtime(device="cpu"))
    floor = 2 * count_gmacs(spec) / matmul
    print(f"{seconds * 1e3:.0f} ms; floor {floor * 1e3:.0f} ms at {matmul:.0f} GFLOP/s")
    rows = sorted(found.key_averages(), key=lambda row: -row.self_cpu_time_total)
    whole = sum(row.self_cpu_time_total for row in rows)
    for row in rows[:10]:
        print(f"{row.self_cpu_time_total / whole:6.1%}  {row.key}")


if __name__ == "__main__":
    main()
