"""What the command tests share: a tiny model, a folder of clips, and a way to run the command."""

from collections.abc import Callable
from pathlib import Path

import pytest
from colors import write_colors
from make_video import truncate_video, write_audio, write_video
from typer.testing import CliRunner, Result

from videoswin_cli.cli.app import app

BROKEN = ("audio.mp4", "empty.mp4", "text.mp4")


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No network, a cache of its own, and a folder to leave failed.jsonl in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("VIDEOSWIN_OFFLINE", "1")


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good videos, one of them in a subfolder, and three broken ones."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "sub").mkdir()
    write_video(folder / "a [1].mp4", frames=40, seed=1)
    write_video(folder / "b.mp4", frames=5, seed=2)
    write_video(folder / "sub" / "c.mp4", frames=30, fps=50, seed=3)
    write_audio(folder / "audio.mp4")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a video, only its name")
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture(scope="session")
def truncated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The start of an mp4 whose index was at its end."""
    folder = tmp_path_factory.mktemp("truncated")
    write_video(folder / "whole.mp4", frames=40)
    return truncate_video(folder / "whole.mp4", folder / "half.mp4", share=0.5)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips to learn from."""
    return write_colors(tmp_path_factory.mktemp("colors"))


@pytest.fixture
def run() -> Callable[..., Result]:
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])
