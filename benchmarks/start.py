"""Time whole processes: `videoswin --help`, and `predict` against what it cannot do without.

    python benchmarks/start.py VIDEO [--repeats 7]

The former is compared with a program of two commands in Typer and rich. The latter cannot do
without `import torch`, the view that it decodes, and the first forward pass of Swin-T; these two
are timed in a process of their own, with random weights. All take turns; medians are compared.
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
from videoswin_cli.data.view_dataset import ViewDataset
from videoswin_cli.model.inference_plan import InferencePlan
from videoswin_cli.model.loading import load
from videoswin_cli.data.views import resolve_views
from videoswin_cli.records import VideoPart
model = load("{model}", checkpoint=sys.argv[1])
network = InferencePlan(model.module)
protocol, parts = model.spec.protocol, [VideoPart(path=sys.argv[2])]
begun = time.perf_counter()
ViewDataset(parts, protocol=protocol, views=resolve_views("1x1", protocol))[0]
decoded = time.perf_counter()
network(torch.randn(1, 3, 32, 224, 224))
print(decoded - begun, time.perf_counter() - decoded)
"""
BARE = """
import typer
app = typer.Typer()
@app.command()
def one(count: int = 1) -> None: "The first."
@app.command()
def two(count: int = 1) -> None: "The second."
app()
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
            "bare Typer --help": [sys.executable, "-c", BARE, "--help"],
            "import torch": [sys.executable, "-c", "import torch"],
            "predict": [*videoswin, "predict", options.video, "--checkpoint", str(weights)],
        }
        seconds = defaultdict(list)
        for _ in range(options.repeats):
            for name, line in lines.items():
                seconds[name].append(seconds_of(line, environment))
            one = [sys.executable, "-c", ONE_VIEW.format(model=MODEL), str(weights), options.video]
            done = subprocess.run(one, check=True, capture_output=True, env=environment)
            decode, view = map(float, done.stdout.split())
            seconds["decode"].append(decode)
            seconds["first view"].append(view)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in medians.items():
        print(f"{name:<18} {value * 1e3:7.0f} ms")
    needed = medians["import torch"] + medians["decode"] + medians["first view"]
    print(f"predict takes {medians['predict'] / needed:.2f} times torch, decoding and one view")
    ratio = medians["videoswin --help"] / medians["bare Typer --help"]
    print(f"videoswin --help takes {ratio:.2f} times that of the bare program")


def write_weights(path: Path) -> None:
    import torch

    from videoswin_cli.model.catalog import load_spec
    from videoswin_cli.model.swin3d import Swin3D

    torch.save(Swin3D(load_spec(MODEL).architecture).state_dict(), path)


if __name__ == "__main__":
    main()
