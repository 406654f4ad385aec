"""Parts dealt by `--engine ray` against Ray Data's `map_batches`, on one local cluster.

    python benchmarks/ray_engines.py FOLDER [--videos N] [--rounds N] [--workers N]

Both compute the pooled features of the same clips by the bundled model, with as many actors, whose
start is part of the time. In turns; the rows are the same to the bit.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import ray

from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import open_runner
from videoswin_cli.model.loading import find_model
from videoswin_cli.options.cluster import ClusterOptions
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.tasks import FeatureOptions
from videoswin_cli.records import ListedVideo, VideoPart
from videoswin_cli.tasks.extract.extract import extract_to_files
from videoswin_cli.tasks.extract.output import parse_output

MODEL = "camera-motion"


class Extractor:
    """The network in an actor of Ray Data; a batch is some paths."""

    def __init__(self) -> None:
        self.runner = open_runner(find_model(MODEL), RunOptions(workers=0))

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        runner, monitor = self.runner, Monitor()
        parts = [VideoPart(path=path) for path in batch["item"]]
        views = runner.views(parts, monitor)
        found = list(runner.forward(views, runner.network.pool, monitor=monitor))
        return {"path": batch["item"], "feature": np.stack([each.outputs[0] for each in found])}


def by_ray_data(files: list[str], workers: int) -> tuple[float, np.ndarray]:
    begun = time.perf_counter()
    pool = ray.data.ActorPoolStrategy(size=workers)
    found = ray.data.from_items(files).map_batches(Extractor, batch_size=8, compute=pool)
    rows = sorted(found.take_all(), key=lambda row: files.index(row["path"]))
    return time.perf_counter() - begun, np.stack([row["feature"] for row in rows])


def by_parts(listed: list[ListedVideo], workers: int) -> tuple[float, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        cluster = ClusterOptions(max_workers=workers, min_workers=workers, part_size=8).on("ray")
        begun = time.perf_counter()
        extract_to_files(
            listed,
            parse_output(f"{folder}/f.npy"),
            find_model(MODEL),
            RunOptions(workers=0),
            FeatureOptions(),
            JobOptions(cluster=cluster),
            Monitor().reporter,
        )
        return time.perf_counter() - begun, np.load(f"{folder}/f.npy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--videos", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    found = find_inputs([str(options.folder)], SourceOptions()).listed[: options.videos]
    listed = [replace(video, file=str(Path(str(video.file)).resolve())) for video in found]
    files = [str(video.file) for video in listed]
    ray.init(num_cpus=options.workers, include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    seconds: dict[str, list[float]] = {"parts": [], "Ray Data": []}
    for _ in range(options.rounds):
        one, rows = by_parts(listed, options.workers)
        other, columns = by_ray_data(files, options.workers)
        assert np.array_equal(rows, columns)
        seconds["parts"].append(one)
        seconds["Ray Data"].append(other)
        print(f"parts {one:.1f} s, Ray Data {other:.1f} s", flush=True)
    for name, each in seconds.items():
        print(f"{name}: median {statistics.median(each):.1f} s of {len(each)}")


if __name__ == "__main__":
    main()
