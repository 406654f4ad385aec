"""Fixtures for several test files."""

import os
from collections.abc import Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # a process a core: threads would be in each other's way
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Threads that wait for others spin, and take the core from a process that would compute on it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
from plain_machine import make_home, plain_machine
from tiny import write_model

from videoswin_cli.io.atomic import atomic_write
from videoswin_cli.report import curves

TESTS = Path(__file__).parent
SAVE_PICTURE = curves._save
THOROUGH = {
    line
    for line in (TESTS / "thorough.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}
LONGEST = (  # files that take more than half a minute
    *("tasks/test_kills.py", "data/test_workers.py", "cli/test_extract.py", "cli/test_eval.py"),
    *("cli/test_finetune.py", "training/test_stops.py", "cli/test_predict.py"),
    *("model/test_swin3d.py", "test_end_to_end.py", "model/test_exported.py"),
    "tasks/test_feature_files.py",
)
VIDEOS = ("demo.mp4", "test.avi", "test.mp4", "example.avi")


def pytest_xdist_auto_num_workers() -> int:
    """A process more than cores: some tests wait, for other processes and for servers."""
    affinity = getattr(os, "sched_getaffinity", None)
    return 1 + (len(affinity(0)) if affinity else os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `thorough.txt` lists, and begin with the longest files.

    A file is run by one process: a long one that comes last would leave the other without work.
    """
    items.sort(key=lambda item: item.path.relative_to(TESTS).as_posix() not in LONGEST)
    for item in items:
        name = getattr(item, "originalname", item.name)
        if f"{item.path.relative_to(TESTS).as_posix()}::{name}" in THOROUGH:
            item.add_marker(pytest.mark.thorough)


@pytest.fixture(scope="session", autouse=True)
def _plain_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What this process and those that it starts know of the machine."""
    from videoswin_cli.model.cpu.profile import this_machine

    os.environ["VIDEOSWIN_HOME"] = str(make_home(tmp_path_factory.mktemp("machine") / "home"))
    assert this_machine() == plain_machine()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A weight file of `tiny.TINY`, which no test changes."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_model(path)
    return str(path)


@pytest.fixture(scope="session")
def real_videos() -> Path:
    """Folder of four clips, which are not part of this project.

    The references were run on two of them, demo/demo.mp4 and tests/data/test.avi of
    SwinTransformer/Video-Swin-Transformer. The others are its tests/data/test.mp4 and
    data/example.avi of PaddlePaddle/PaddleVideo.
    """
    folder = os.environ.get("VIDEOSWIN_TEST_VIDEOS")
    if not folder:
        pytest.skip(f"set VIDEOSWIN_TEST_VIDEOS to the folder that holds {', '.join(VIDEOS)}")
    missing = [name for name in VIDEOS if not (Path(folder) / name).is_file()]
    assert not missing, f"VIDEOSWIN_TEST_VIDEOS={folder} holds no {', '.join(missing)}"
    return Path(folder)


@pytest.fixture(scope="session", autouse=True)
def _plain_pictures() -> Iterator[None]:
    """Curves and confusions as a few bytes: matplotlib takes a second for those of a training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "_save", write_plain_picture)
        yield


@pytest.fixture(autouse=True)
def _real_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "pictures" in request.keywords:
        monkeypatch.setattr(curves, "_save", SAVE_PICTURE)


def write_plain_picture(figure: object, path: Path) -> None:
    with atomic_write(path) as part:
        part.write_bytes(b"\x89PNG")
