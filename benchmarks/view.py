"""Time one view of our Swin-T against torchvision's swin3d_t: one process, same weights and clip.

    pip install --no-deps torchvision==0.28.0     # the version that goes with torch 2.13
    python benchmarks/view.py [--repeats 7] [--threads N]

The two take turns, so that a slow spell of the machine hits both; medians are compared. Prints the
ratio (above 1: we are faster) and how far apart the logits are.
"""

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torchvision_network import import_swin3d_t

from videoswin_cli.model.loading import load


def time_call(network: torch.nn.Module, clip: torch.Tensor) -> float:
    """Seconds of one forward pass."""
    start = time.perf_counter()
    network(clip)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    theirs = import_swin3d_t()().eval()
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "swin3d_t.pth"
        torch.save(theirs.state_dict(), weights)
        ours = load("swin-tiny-k400-torchvision", checkpoint=weights).network
        clip = torch.randn(1, 3, 32, 224, 224)
        with torch.inference_mode():
            difference = (ours(clip) - theirs(clip)).abs().max().item()  # warms both up
            pairs = [
                (time_call(ours, clip), time_call(theirs, clip)) for _ in range(options.repeats)
            ]
    our_times, their_times = zip(*pairs, strict=True)
    print(f"{platform.machine()}, {options.threads} threads, torch {torch.__version__}, float32")
    print(f"ours         {statistics.median(our_times) * 1e3:8.0f} ms")
    print(f"torchvision  {statistics.median(their_times) * 1e3:8.0f} ms")
    print(f"ratio        {statistics.median(t / o for o, t in pairs):8.2f}")
    print(f"logits apart {difference:8.1e}")


if __name__ == "__main__":
    main()
