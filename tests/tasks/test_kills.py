"""Long commands killed at every change they make to the disk: the same command ends the work.

The network is a stub: what is tried is the order of what is written. `tests/cli` kills real runs.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fault_server import serve
from kills import kill_everywhere
from typer.testing import CliRunner

import videoswin_cli
from videoswin_cli.cli.app import app
from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.data.window_dataset import Begun
from videoswin_cli.engine import runner
from videoswin_cli.engine.forward import ViewOutputs
from videoswin_cli.io.fetch import fetch
from videoswin_cli.model.loading import load
from videoswin_cli.records import VideoInfo, VideoPart
from videoswin_cli.tasks.extract import worker
from videoswin_cli.tasks.extract.features import Plan, Rows

pytestmark = pytest.mark.skipif(not hasattr(sys, "addaudithook") or sys.platform == "win32",
                                reason="forks")  # fmt: skip

NAMES = ("a.mp4", "bad.mp4", "sub/c.mp4")
FAILED = 3  # exit status: done, but some videos failed


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """All modules, so that not each of hundreds of forked processes imports them."""
    for module in pkgutil.walk_packages(videoswin_cli.__path__, "videoswin_cli."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    (folder / "sub").mkdir()
    for name in NAMES:
        (folder / name).write_text("no video")
    (folder / "list.txt").write_text("".join(f"{name} {n}\n" for n, name in enumerate(NAMES)))
    return folder


@pytest.fixture
def stubs(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers without videos: no network runs, and the model is read once."""
    model = load(tiny)

    def rows(
        _: Any, parts: Sequence[VideoPart], plan: Plan, *, begun: Begun, **__: Any
    ) -> Iterator[Rows | FailedVideo]:
        for place, part in enumerate(parts):
            if "bad" in part.path:
                yield FailedVideo(path=part.path, reason="damaged\rby hand")
                continue
            for number in range(0 if place else begun.windows // 2, 3):
                yield Rows(
                    path=part.path,
                    features=np.full((2, *plan.shape), number + len(part.path), dtype=plan.dtype),
                    times=((float(number), number + 0.5), (number + 0.5, number + 1.0)),
                    decoder="stub",
                    notes=() if number else ("odd",),
                    last=number == 2,
                )

    def scores(
        _: Any, parts: Sequence[VideoPart], **__: Any
    ) -> Iterator[ViewOutputs | FailedVideo]:
        for part in parts:
            if "bad" in part.path:
                yield FailedVideo(path=part.path, reason="damaged")
                continue
            info = VideoInfo(path=part.path, decoder="pyav", width=1, height=1, frames=9, fps=25.0)
            yield ViewOutputs(
                info=info,
                outputs=torch.arange(7.0)[None] + len(part.path),
                times=(),
                notes=("odd",),
                gaps=(),
                unread=0,
            )

    monkeypatch.setattr(runner, "load_found", lambda *_, **__: model)
    monkeypatch.setattr(worker, "compute_rows", rows)
    monkeypatch.setattr(runner.Runner, "views", lambda self, parts, monitor: parts)
    monkeypatch.setattr(runner.Runner, "forward", scores)


def command(*args: object) -> None:
    """Run a command line; ends the process with its status where that is not 0."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exit_code:
        if result.exit_code != FAILED:
            sys.stderr.write(result.output)
        sys.exit(result.exit_code)


def extract(videos: Path, tiny: str, out: str, *more: str) -> Callable[[Path], None]:
    source = ("--list", videos / "list.txt", "--model", tiny, "--workers", 0)
    return lambda folder: command("extract", *source, "--out", f"{folder}/{out}", *more)


def before(action: Callable[[Path], None]) -> Callable[[Path], None]:
    """Do something in a folder before the command that is killed."""

    def prepare(folder: Path) -> None:
        with pytest.raises(SystemExit) as ended:
            action(folder)
        assert ended.value.code == FAILED

    return prepare


# The other kinds of output end by the same code, and each is killed some twenty times.
slow = pytest.mark.slow


@pytest.mark.usefixtures("stubs")
@pytest.mark.parametrize(
    "out",
    [
        pytest.param("f.npy", marks=slow),  # over an old one below
        pytest.param("f.npz", marks=slow),
        pytest.param("f.safetensors", marks=slow),
        "f/",
    ],
)
def test_an_extraction(out: str, videos: Path, tiny: str, tmp_path: Path) -> None:
    changes = kill_everywhere(
        extract(videos, tiny, out, "--per", "window"), tmp_path, status=FAILED
    )
    assert changes > 15


@pytest.mark.usefixtures("stubs")
@pytest.mark.parametrize("out", [pytest.param("f.npy", marks=slow), pytest.param("f/", marks=slow)])
def test_an_extraction_that_tries_failed_videos_again(
    out: str, videos: Path, tiny: str, tmp_path: Path
) -> None:
    action = extract(videos, tiny, out)
    assert kill_everywhere(action, tmp_path, before=before(action), status=FAILED) > 15


@pytest.mark.usefixtures("stubs")
@pytest.mark.parametrize("out", [pytest.param("f.npy", marks=slow), pytest.param("f/", marks=slow)])
def test_an_extraction_over_an_old_one(out: str, videos: Path, tiny: str, tmp_path: Path) -> None:
    old = before(extract(videos, tiny, out, "--dtype", "fp16"))
    action = extract(videos, tiny, out, "--overwrite")
    assert kill_everywhere(action, tmp_path, before=old, status=FAILED) > 20


# Of all commands an extraction is killed by default.
@pytest.mark.slow
@pytest.mark.usefixtures("stubs")
@pytest.mark.parametrize("suffix", ["npz", pytest.param("pkl", marks=slow)])
def test_an_evaluation(suffix: str, videos: Path, tiny: str, tmp_path: Path) -> None:
    def action(folder: Path) -> None:
        source = ("--list", videos / "list.txt", "--model", tiny, "--workers", 0)
        tables = ("--per-class", folder / "c.csv", "--confusion", folder / "f.csv")
        command("eval", *source, *tables, "--dump", folder / f"d.{suffix}", "--resume")

    assert kill_everywhere(action, tmp_path, status=FAILED) > 20


@pytest.mark.slow
@pytest.mark.usefixtures("stubs")
@pytest.mark.parametrize("format", ["jsonl", pytest.param("json", marks=slow)])
def test_predictions_in_a_file(format: str, videos: Path, tiny: str, tmp_path: Path) -> None:
    def action(folder: Path) -> None:
        command("predict", videos, "--model", tiny, "--format", format, "--out", folder / "p")

    assert kill_everywhere(action, tmp_path, status=FAILED) >= 3


def test_a_conversion(tiny: str, tmp_path: Path) -> None:
    def action(folder: Path) -> None:
        command("convert", tiny, folder / "out.safetensors")

    assert kill_everywhere(action, tmp_path) >= 3


def test_a_download(tmp_path: Path) -> None:
    with serve(bytes(range(256)) * 900) as server:

        def action(folder: Path) -> None:
            fetch(server.url(), folder / "weights.pth")

        assert kill_everywhere(action, tmp_path) > 4


@pytest.mark.slow
def test_clips_of_our_own_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videoswin_cli.synthetic.dataset.make_clip", lambda *_, **__: b"clip")
    monkeypatch.setattr(
        "videoswin_cli.synthetic.dataset.write_clip", lambda path, clip: path.write_bytes(clip)
    )

    def action(folder: Path) -> None:
        options = ("--clips-per-class", 1, "--workers", 0)
        command("make-dataset", "camera-motion", folder / "made", *options)

    assert kill_everywhere(action, tmp_path) > 30
