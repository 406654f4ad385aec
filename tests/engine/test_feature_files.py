"""What is on disk after a kill, a full disk or a strange name."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_video import write_video
from tiny import write_model

from videoswin_cli.engine.extraction import Extraction, extract_to_files
from videoswin_cli.engine.feature_files import Output, parse_output
from videoswin_cli.engine.features import FeatureOptions
from videoswin_cli.engine.monitoring import Monitor
from videoswin_cli.engine.processes import Shard
from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.records import ListedVideo


class KilledError(BaseException):
    pass


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_model(path)
    return str(path)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> list[ListedVideo]:
    folder = tmp_path_factory.mktemp("videos")
    (folder / "bad.mp4").write_text("no video")
    for n in range(3):
        write_video(folder / f"{n}.mp4", frames=10 + 9 * n, seed=n)
    names = ("0.mp4", "bad.mp4", "1.mp4", "2.mp4")
    return [
        ListedVideo(path=f"sub/{name}", file=str(folder / name), label=None, line=n)
        for n, name in enumerate(names, 1)
    ]


def run(
    listed: list[ListedVideo], out: str, tiny: str, monitor: Monitor | None = None
) -> Extraction:
    done = extract_to_files(
        listed,
        parse_output(out),
        FeatureOptions(per="window"),
        model=tiny,
        checkpoint=None,
        shard=Shard(),
        resume=True,
        overwrite=False,
        monitor=monitor or Monitor(),
    )
    assert done is not None
    return done


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End the process at the step-th call that changes a name or removes a folder."""
    calls = 0

    def count(do: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == step:
                raise KilledError
            return do(*args, **kwargs)

        return counted

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", count(Path.replace))
        patch.setattr(Path, "touch", count(Path.touch))
        patch.setattr(shutil, "rmtree", count(shutil.rmtree))
        yield


@pytest.mark.parametrize("out", ["f.npy", "f.npz", "f.safetensors", "f/"])
@pytest.mark.parametrize("again", [False, True])
def test_killed_at_any_step(
    again: bool,
    out: str,
    tiny: str,
    listed: list[ListedVideo],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`again`: the run goes on with a finished output, of which a failed video was mended."""
    (tmp_path / "undisturbed").mkdir()
    run(listed, f"{tmp_path}/undisturbed/{out}", tiny)
    expected = contents(tmp_path / "undisturbed")
    before = [replace(video, file=None) if video.line == 3 else video for video in listed]
    for step in range(1, 40):
        folder = tmp_path / str(step)
        folder.mkdir()
        if again:
            run(before, f"{folder}/{out}", tiny)
        with killed_at(step, monkeypatch):
            try:
                run(listed, f"{folder}/{out}", tiny)
            except KilledError:
                survived = False
            else:
                survived = True
        run(listed, f"{folder}/{out}", tiny)
        assert contents(folder) == expected, step
        if survived:
            assert step > 5
            return
    pytest.fail("it takes more steps than were tried")


@pytest.mark.parametrize("out", ["f.npy", "f.npz", "f/"])
def test_a_full_disk_is_told_and_gone_on_with(
    out: str,
    tiny: str,
    listed: list[ListedVideo],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "undisturbed").mkdir()
    run(listed, f"{tmp_path}/undisturbed/{out}", tiny)
    (tmp_path / "full").mkdir()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("videoswin_cli.engine.feature_tables._reserve", fail)
        with pytest.raises(VideoSwinError, match="No space left on device") as caught:
            run(listed, f"{tmp_path}/full/{out}", tiny)
    assert "start the same command again" in caught.value.hint
    notices: list[str] = []
    run(listed, f"{tmp_path}/full/{out}", tiny, Monitor(notice=notices.append))
    assert contents(tmp_path / "full") == contents(tmp_path / "undisturbed")
    if out != "f/":
        assert "3 of 4 videos were done before: skipped" in notices


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("a.mp4", "a.mp4.npy"),
        ("/data/x/a.mp4", "data/x/a.mp4.npy"),
        ("../../a b/c.mp4", "a b/c.mp4.npy"),
        ("./a/../b.mp4", "a/b.mp4.npy"),
        ("https://host/v/a.mp4?x=1", "https/host/v/a.mp4?x=1.npy"),
    ],
)
def test_files_stay_in_their_folder(path: str, file: str, tmp_path: Path) -> None:
    output = Output(path=tmp_path, kind="folder")
    assert output.feature_file(path) == tmp_path / file


@pytest.mark.parametrize(
    ("text", "kind"),
    [("f.npy", ".npy"), ("f.safetensors", ".safetensors"), ("f", "folder"), ("f.npy/", "folder")],
)
def test_kinds_of_output(
    text: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_output(text) == Output(path=tmp_path / text.rstrip("/"), kind=kind)  # type: ignore[arg-type]


def test_unknown_kinds_of_output() -> None:
    with pytest.raises(UsageError, match=r"unknown suffix '\.h5'"):
        parse_output("f.h5")


def test_a_large_matrix_is_mapped(tiny: str, listed: list[ListedVideo], tmp_path: Path) -> None:
    """The rows on disk are never all in memory: they are read and written through maps."""
    run(listed, f"{tmp_path}/f.npy", tiny)
    rows = np.load(tmp_path / "f.npy", mmap_mode="r")
    assert isinstance(rows, np.memmap)
    assert rows.flags.c_contiguous
