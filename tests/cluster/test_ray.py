"""Runs on a Ray cluster of two nodes on this machine, whose parts are killed at random.

Minutes: each node starts a dozen processes. `pytest -m cluster`, or `nox -s cluster`.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from deadly import DeadlyWorker
from make_video import write_video
from notices import Notices
from s3_server import Bucket, forget_connections, serve_s3
from sixty import BROKEN, NAMES, write_videos

from videoswin_cli.engine.batch_job import run_job
from videoswin_cli.engine.cluster import pool
from videoswin_cli.engine.cluster.versions import library_versions
from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.job import Job
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.errors import UsageError
from videoswin_cli.model.loading import find_model
from videoswin_cli.options.cluster import ClusterOptions
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.tasks import FeatureOptions
from videoswin_cli.records import ListedVideo
from videoswin_cli.tasks.extract.parts import PartSink, open_parts
from videoswin_cli.tasks.extract.sink import Extraction

ray = pytest.importorskip("ray")
pytest.importorskip("pyarrow")
from ray.cluster_utils import Cluster  # noqa: E402

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
    pytest.mark.filterwarnings("ignore"),  # of Ray
]

KILLS = 20
MODEL = "camera-motion"
CLIENT_PORT = 31_000 + os.getpid() % 1000
NODE = {"num_cpus": 2, "object_store_memory": 100 << 20}


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    """An S3 server of this machine, which the nodes know by their environment."""
    with serve_s3() as found, pytest.MonkeyPatch.context() as patch:
        for key, value in found.environment.items():
            patch.setenv(key, value)
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "VIDEOSWIN_OFFLINE"):
            patch.delenv(name, raising=False)
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forget_connections()
        yield found


@pytest.fixture(scope="module")
def cluster(bucket: Bucket) -> Iterator[Cluster]:
    head = {**NODE, "include_dashboard": False, "ray_client_server_port": CLIENT_PORT}
    found = Cluster(initialize_head=True, head_node_args=head)
    found.add_node(**NODE)
    yield found
    found.shutdown()


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("videos"))


def start(
    out: str | Path, videos: Path, *more: object, program: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    arguments = ["extract", "--list", videos / "list.txt", "--root", videos, "--model", MODEL]
    command = [*(program or (sys.executable,)), "-m", "videoswin_cli", *arguments, "--out", out]
    command += ["--output-format", "parquet", "--part-size", 4, *more]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end(process: subprocess.Popen[str], out: str | Path) -> str:
    """Messages of a run; videos of it failed."""
    printed, messages = process.communicate(timeout=300)
    assert process.returncode == 3, messages
    assert printed == f"{out}\n"
    return messages


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def plain(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Output of one process."""
    out = tmp_path_factory.mktemp("plain") / "feats"
    assert f"{len(BROKEN)} of 60 videos failed" in end(start(out, videos), out)
    found = contents(out)
    assert len(found) == 15 + 2
    return found


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("decoders", [0, 2])
def test_any_number_of_workers_writes_the_same_bytes(
    workers: int, decoders: int, cluster: Cluster, videos: Path, tmp_path: Path,
    plain: dict[str, bytes],
) -> None:  # fmt: skip
    out = tmp_path / "feats"
    more = ("--engine", "ray", "--ray-address", cluster.address, "--max-workers", workers,
            "--min-workers", workers, "--workers", decoders)  # fmt: skip
    messages = end(start(out, videos, *more), out)
    assert "2 nodes, 4 CPUs" in messages
    assert contents(out) == plain


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "videoswin_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_scores_and_timelines_have_the_same_bits(
    cluster: Cluster, videos: Path, tmp_path: Path
) -> None:
    source = ("--list", videos / "list.txt", "--root", videos, "--model", MODEL, "--limit", 20)
    ray = ("--engine", "ray", "--ray-address", cluster.address)
    dumps = []
    for name, more in (("plain", ()), ("ray", ray)):
        dump = tmp_path / f"{name}.npz"
        done = run("eval", *source, "--views", "1x1", "--dump", dump, *more)
        assert done.returncode == 3, done.stderr
        dumps.append(np.load(dump)["scores"])
    assert np.array_equal(dumps[0], dumps[1], equal_nan=True)
    plain, dealt = (run("timeline", *source, "--format", "jsonl", *more) for more in ((), ray))
    assert plain.returncode == dealt.returncode == 3, dealt.stderr
    assert dealt.stdout == plain.stdout


def test_paths_are_relative_to_the_folder_of_the_command(
    cluster: Cluster, videos: Path, tmp_path: Path
) -> None:
    line = ("extract", *NAMES[:4], "--model", MODEL, "--engine", "ray", "--ray-address")
    command = [sys.executable, "-m", "videoswin_cli", *line, cluster.address, "--out"]
    for decoders in (0, 1):
        out = tmp_path / f"{decoders}.npy"
        more = [str(out), "--workers", str(decoders)]
        done = subprocess.run([*command, *more], cwd=videos, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert np.isfinite(np.load(out)).all()


def test_a_client_writes_the_same_bytes(
    cluster: Cluster, videos: Path, tmp_path: Path, plain: dict[str, bytes]
) -> None:
    out = tmp_path / "feats"
    address = f"ray://127.0.0.1:{CLIENT_PORT}"
    end(start(out, videos, "--engine", "ray", "--ray-address", address), out)
    assert contents(out) == plain


def test_without_cpus_for_decoders_workers_decode(
    cluster: Cluster, videos: Path, tmp_path: Path, plain: dict[str, bytes]
) -> None:
    node = cluster.add_node(**{**NODE, "num_cpus": 1, "num_gpus": 1})  # a GPU in name only
    out = tmp_path / "feats"
    more = ("--engine", "ray", "--ray-address", cluster.address, "--gpus-per-worker", 1)
    try:
        end(start(out, videos, *more), out)
    finally:
        cluster.remove_node(node)
    assert contents(out) == plain


def test_torchrun_writes_the_same_bytes(
    videos: Path, tmp_path: Path, plain: dict[str, bytes]
) -> None:
    out = tmp_path / "feats"
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python")
    program = (sys.executable, *torchrun, sys.executable)
    process = start(out, videos, program=program)
    process.communicate(timeout=300)
    assert contents(out) == plain


class Victims:
    """What can be killed of a run: its driver, a process of a node, or a node."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster = cluster
        self.chosen: list[str] = []
        self._random = random.Random(seed)

    def wait(self) -> float:
        """Seconds to the next kill."""
        return self._random.uniform(0.5, 9)

    def kill(self, driver: subprocess.Popen[str]) -> None:
        kind = self._random.choice(("driver", "worker", "worker", "decoder", "raylet"))
        self.chosen.append(kind)
        if kind == "driver":
            driver.kill()
        elif kind == "raylet":
            (node,) = self.cluster.worker_nodes
            self.cluster.remove_node(node, allow_graceful=False)
            self.cluster.add_node(**NODE)
        else:
            title = b"ray::ClusterWorker" if kind == "worker" else b"ray::Decoder"
            pids = sorted(find_processes(title))
            if pids:
                os.kill(self._random.choice(pids), signal.SIGKILL)
            else:
                self.chosen[-1] = "nobody"


def find_processes(title: bytes) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if title in (folder / "cmdline").read_bytes():
                yield int(folder.name)


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_kills_at_random_moments_lose_nothing(
    place: str, cluster: Cluster, bucket: Bucket, videos: Path, tmp_path: Path,
    plain: dict[str, bytes],
) -> None:  # fmt: skip
    victims, left, runs = Victims(cluster, seed=len(place)), KILLS // 2, 0
    while left:
        runs += 1
        out = f"s3://data/{tmp_path.name}-{runs}" if place == "s3" else tmp_path / f"run{runs}"
        while True:
            driver = start(out, videos, "--engine", "ray", "--ray-address", cluster.address)
            while left and wait_or_end(driver, victims.wait()):
                victims.kill(driver)
                left -= victims.chosen[-1] != "nobody"
            printed, messages = driver.communicate(timeout=300)
            if driver.returncode != -signal.SIGKILL:
                break
        assert driver.returncode == 3, messages
        assert printed == f"{out}\n"
        if place == "s3":
            keys = bucket.keys(f"{tmp_path.name}-{runs}/")
            found = {key.rpartition("/")[2]: bucket.get(key) for key in keys}
        else:
            found = contents(Path(out))
        assert found == plain, victims.chosen


def wait_or_end(process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether it still runs after so many seconds."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if process.poll() is not None:
            return False
        time.sleep(0.05)
    return True


def extract(listed: list[ListedVideo], out: Path, address: str, notices: list[str]) -> Extraction:
    options = FeatureOptions()
    output = open_parts(str(out), "parquet", 4, options, len(listed))
    job = Job(
        model=find_model(MODEL),
        options=RunOptions(),
        with_head=False,
        worker=DeadlyWorker(options=options),
        sink=PartSink(listed, output, options, resume=True, overwrite=False),
        cluster=ClusterOptions(cluster="ray", ray_address=address),
        part_size=4,
    )
    monitor = Monitor(reporter=Notices(notices))
    return run_job(job, listed, world=World(), monitor=monitor)


@pytest.fixture
def listed(videos: Path) -> list[ListedVideo]:
    names = [name for number, name in enumerate(NAMES) if number not in BROKEN][:12]
    return [
        ListedVideo(path=name, file=str(videos / name), label=None, line=line)
        for line, name in enumerate(names)
    ]


def test_a_video_that_kills_its_workers_is_set_aside(
    cluster: Cluster, listed: list[ListedVideo], videos: Path, tmp_path: Path
) -> None:
    poison = videos / "poison.mp4"
    write_video(poison, frames=8)
    listed[5] = ListedVideo(path="poison.mp4", file=str(poison), label=None, line=5)
    notices: list[str] = []
    done = extract(listed, tmp_path / "f", cluster.address, notices)
    failed = {video.path: video.error for video in done.videos if video.error is not None}
    assert failed == {"poison.mp4": "3 workers died with it: set aside"}
    assert done.complete
    assert sum("was lost with" in text for text in notices) == 3


def test_other_versions_are_refused_with_both_named(
    cluster: Cluster, listed: list[ListedVideo], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    real = library_versions()
    monkeypatch.setattr(pool, "library_versions", lambda: real | {"torch": "0.1"})
    with pytest.raises(UsageError, match=r"other versions: torch [0-9.]+ there and 0\.1 here"):
        extract(listed, tmp_path / "f", cluster.address, [])


def test_a_folder_that_nodes_do_not_share_is_refused(
    cluster: Cluster, listed: list[ListedVideo], tmp_path: Path
) -> None:
    gone = Path(str(listed[0].file)).rename(tmp_path / "elsewhere.mp4")
    try:
        with pytest.raises(UsageError, match=r"does not see .*expected a folder that all nodes"):
            extract(listed, tmp_path / "f", cluster.address, [])
    finally:
        gone.rename(str(listed[0].file))


def test_no_cluster_is_told(listed: list[ListedVideo], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Ray cluster answers"):
        extract(listed, tmp_path / "f", "127.0.0.1:1", [])
