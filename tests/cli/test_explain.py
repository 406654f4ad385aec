"""`videoswin explain`, from outside."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import LABELS
from typer.testing import Result

from videoswin_cli.data.decoding.open import open_video

Run = Callable[..., Result]


def test_the_clip_is_written_with_its_heat_beside_the_numbers(
    run: Run, tiny: str, clips: Path
) -> None:
    result = run(
        *("explain", clips / "a [1].mp4", "--model", tiny, "--out", "heat.mp4"),
        *("--contact-sheet", "sheet.png", "--npy", "maps.npy", "--class", LABELS[3]),
    )
    assert result.exit_code == 0, result.output
    first, *files = result.stdout.splitlines()
    assert f"  {LABELS[3]} " in first
    assert "(stage 2 of tiny, 1x1 views, 4 frames from " in first
    assert files == ["heat.mp4", "sheet.png", "maps.npy"]
    about = json.loads(Path("maps.json").read_text(encoding="utf-8"))
    assert about["class"]["index"] == 3
    ((start, end),) = about["clips"]
    with open_video("heat.mp4") as video:
        assert (video.info.width, video.info.height) == (64, 48)
        assert video.info.frames == round((end - start) * 25)
    assert np.load("maps.npy", allow_pickle=False).shape == (4, 36, 48)
    with Image.open("sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 4 * 160


def test_a_gif_has_the_frames_that_were_seen(run: Run, tiny: str, clips: Path) -> None:
    options = ("--model", tiny, "--out", "heat.gif", "--npy", "maps.npy", "--views", "2x1")
    assert run("explain", clips / "a [1].mp4", *options).exit_code == 0
    about = json.loads(Path("maps.json").read_text(encoding="utf-8"))
    with Image.open("heat.gif") as image:
        assert image.n_frames == len(about["times"])
        shown = []
        for number in range(image.n_frames):
            image.seek(number)
            shown.append(image.info["duration"])
    clips_last = sum(end - start for start, end in about["clips"])  # what is between them is not
    assert sum(shown) == pytest.approx(1000 * clips_last, abs=20)


@pytest.mark.parametrize(("mine", "other"), [("maps.json", "maps.npy"), ("maps.npy", "maps.json")])
def test_a_file_of_something_else_is_not_written_over(
    run: Run, tiny: str, clips: Path, mine: str, other: str
) -> None:
    Path(mine).write_text("mine", encoding="utf-8")
    args = ("explain", clips / "b.mp4", "--model", tiny, "--npy", "maps.npy")
    result = run(*args)
    assert result.exit_code == 2
    assert f"{mine} exists, and {other} does not: it may be of something else" in result.output
    assert Path(mine).read_text(encoding="utf-8") == "mine"
    assert not Path(other).exists()

    Path(mine).unlink()
    assert run(*args).exit_code == 0
    assert run(*args).exit_code == 0  # both were its own


def test_without_a_file_the_video_is_named_after_it(run: Run, tiny: str, clips: Path) -> None:
    result = run("explain", clips / "b.mp4", "--model", tiny, "--start", "0.04")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1:] == ["b.explained.mp4"]
    assert Path("b.explained.mp4").is_file()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("b.mp4", "--class", "nothing"), 2, "no class nothing: the model has 7"),
        (("b.mp4", "--stage", "4"), 2, "--stage 4: tiny has 2 stages"),
        (("b.mp4", "--out", "b.avi"), 2, "unknown suffix '.avi'"),
        (("b.mp4", "--npy", "b.npz"), 2, "unknown suffix '.npz'"),
        (("text.mp4",), 3, "not a readable video file"),
        ((".",), 2, "videos"),
        (("no.mp4",), 2, "no such file"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_written(
    run: Run,
    tiny: str,
    clips: Path,
    tmp_path: Path,
    args: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    video, *more = args
    result = run("explain", clips / video, "--model", tiny, *more)
    assert result.exit_code == code
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_video_is_never_written_over(run: Run, tiny: str, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes((clips / "b.mp4").read_bytes())
    result = run("explain", "b.mp4", "--model", tiny, "--out", "b.mp4")
    assert result.exit_code == 2
    assert "it is an input" in result.stderr
