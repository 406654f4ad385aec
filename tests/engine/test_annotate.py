"""Annotated videos in a folder: their names, and what stands in their way."""

from pathlib import Path

import pytest
from make_video import write_video

from videoswin_cli.engine import annotate as folder
from videoswin_cli.engine.annotate import annotate
from videoswin_cli.engine.video_files import name_files
from videoswin_cli.errors import UsageError, VideoSwinError
from videoswin_cli.io.atomic import write_error
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import ListedVideo


def listed(path: str, file: Path) -> ListedVideo:
    return ListedVideo(path=path, file=str(file), label=None, line=1)


def write(video: ListedVideo, out: Path) -> tuple[str, ...]:
    return annotate(video, out, lambda canvas: lambda frame, t: None, opening=OpenOptions())


def test_the_name_is_the_path_with_its_suffix_so_that_none_is_met_twice(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames=3)
    for path in ("sub/a.mp4", "sub/a.avi", "../up.mp4"):
        assert write(listed(path, source), tmp_path / "out") == ()
    found = sorted(
        p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("out/**/*.mp4")
    )
    assert found == ["sub/a.avi.mp4", "sub/a.mp4.mp4", "up.mp4.mp4"]


def test_two_videos_of_one_name_are_refused_before_any_work(tmp_path: Path) -> None:
    videos = [listed("../a.mp4", tmp_path / "x"), listed("a.mp4", tmp_path / "y")]
    with pytest.raises(UsageError, match="would both be written to"):
        name_files(tmp_path / "out", videos, ".mp4")


def test_no_input_is_written_over(tmp_path: Path) -> None:
    videos = [listed("a", tmp_path / "a"), listed("b", tmp_path / "a.mp4")]
    with pytest.raises(UsageError, match="it is an input"):
        name_files(tmp_path, videos, ".mp4")
    name_files(tmp_path / "out", videos, ".mp4")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(UsageError, match="it is no folder"):
        name_files(tmp_path / "out", [], ".mp4")


@pytest.mark.parametrize(
    ("path", "reason"), [("..", "no name is left"), ("x" * 300, "too long"), ("a\0b", "null")]
)
def test_a_name_that_cannot_be_is_a_note(tmp_path: Path, path: str, reason: str) -> None:
    source = write_video(tmp_path / "a.mp4", frames=3)
    (note,) = write(listed(path, source), tmp_path / "out")
    assert note.startswith("its annotated video cannot be written: ")
    assert reason in note


def test_a_full_disk_ends_the_run_and_an_odd_video_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, out = listed("a.mp4", tmp_path / "a.mp4"), tmp_path / "out"
    raised: list[Exception] = [
        write_error(out, OSError(28, "No space left on device")),
        OSError(28, "No space left on device"),
        RuntimeError("stranger than we know"),
    ]

    def fail(*args: object, **options: object) -> tuple[str, ...]:
        raise raised.pop(0)

    monkeypatch.setattr(folder, "write_annotated", fail)
    for _ in range(2):
        with pytest.raises(VideoSwinError, match="No space left"):
            write(video, out)
    assert write(video, out)[0].endswith("RuntimeError: stranger than we know")
