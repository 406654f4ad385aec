"""Time whole processes: `videoswin --help`, and `predict` against what it cannot do without.

    python benchmarks/start.py VIDEO [--repeats 7]

The second is `import torch` and one forward pass of Swin-T on a view in memory, in a process of its
own. `predict` reads weights (random ones, written here), decodes, and computes one view. All take
turns; medians are compared.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

MODEL = "swin-tiny-k400"
ONE_VIEW = """
import sys, time, torch
from videoswin_cli.model.inference_plan import InferencePlan
from videoswin_cli.model.loading import load
network = InferencePlan(load("{model}", checkpoint=sys.argv[1]).network)
begun = time.perf_counter()
network(torch.randn(1, 3, 32, 224, 224))
print(time.perf_counter() - begun)
"""


def seconds_of(line: list[str], environment: dict[str, str]) -> float:
    begun = time.perf_counter()
    subprocess.run(line, check=True, capture_output=True, env=environment)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    videoswin = [sys.executable, "-m", "videoswin_cli"]
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.pth"
        write_weights(weights)
        environment = os.environ | {"VIDEOSWIN_HOME": folder, "VIDEOSWIN_OFFLINE": "1"}
        lines = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "videoswin --help": [*videoswin, "--help"],
            "import torch": [sys.executable, "-c", "import torch"],
            "predict": [*videoswin, "predict", options.video, "--checkpoint", str(weights)],
        }
        seconds = defaultdict(list)
        for _ in range(options.repeats):
            for name, line in lines.items():
                seconds[name].append(seconds_of(line, environment))
            one = [sys.executable, "-c", ONE_VIEW.format(model=MODEL), str(weights)]
            done = subprocess.run(one, check=True, capture_output=True, env=environment)
            seconds["first view"].append(float(done.stdout))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"{name:<18} {value * 1e3:7.0f} ms")
    needed = medians["import torch"] + medians["first view"]
    print(f"predict takes {medians['predict'] / needed:.2f} times `import torch` and one view")


def write_weights(path: Path) -> None:
    import torch

    from videoswin_cli.model.catalog import load_spec
    from videoswin_cli.model.swin3d import Swin3D

    torch.save(Swin3D(load_spec(MODEL).architecture).state_dict(), path)


if __name__ == "__main__":
    main()
