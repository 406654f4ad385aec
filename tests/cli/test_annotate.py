"""`videoswin predict --annotate`, from outside."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from videoswin_cli import predict
from videoswin_cli.data.decoding.open import open_video

Run = Callable[..., Result]


def test_each_good_video_is_annotated_and_the_others_stay_rows(
    run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    out = tmp_path / "seen"
    result = run("predict", clips, "--model", tiny, "-f", "jsonl", "--annotate", out, "-j", 0)
    assert result.exit_code == 3
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    good = [row["path"] for row in rows if row["error"] is None]
    assert (len(good), len(rows)) == (3, 6)
    written = {path.relative_to(out).as_posix() for path in out.rglob("*.mp4")}
    assert written == {f"{path.lstrip('/')}.mp4" for path in good}
    with (
        open_video(next(out.rglob("b.mp4.mp4"))) as after,
        open_video(clips / "b.mp4") as before,
    ):
        assert after.info.frames == before.info.frames == 5
        assert (after.read_frames([2]) != before.read_frames([2])).mean() > 0.3


def test_a_copy_that_lacks_something_is_a_note_of_the_row(
    run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "seen").mkdir()
    taken = tmp_path / "seen" / f"{str(clips / 'b.mp4').lstrip('/')}.mp4"
    taken.mkdir(parents=True)
    options = ("--model", tiny, "-f", "json", "--annotate", tmp_path / "seen")
    result = run("predict", clips / "b.mp4", *options)
    assert result.exit_code == 0
    (row,) = json.loads(result.stdout)
    assert row["error"] is None
    assert row["notes"][-1].startswith("its annotated video cannot be written: ")
    assert row["notes"][-1] in result.stderr


def test_python_annotates_too(tiny: str, clips: Path, tmp_path: Path) -> None:
    (found,) = predict(clips / "b.mp4", model=tiny, annotate=tmp_path / "seen")
    assert found.error is None
    assert len(list((tmp_path / "seen").rglob("*.mp4"))) == 1


def test_an_input_is_never_written_over(run: Run, tiny: str, clips: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes((clips / "b.mp4").read_bytes())
    (tmp_path / "a.mp4").write_bytes((clips / "b.mp4").read_bytes())
    result = run("predict", "a", "a.mp4", "--model", tiny, "--annotate", ".")
    assert result.exit_code == 2
    assert "it is an input" in result.stderr


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_a_resumed_run_keeps_the_videos_that_it_has(
    run: Run, tiny: str, clips: Path, tmp_path: Path, suffix: str
) -> None:
    options = ("--model", tiny, "--out", f"out.{suffix}", "--resume", "--annotate", "seen")
    assert run("predict", clips / "b.mp4", *options).exit_code == 0
    (file,) = (tmp_path / "seen").rglob("*.mp4")
    before = file.stat().st_mtime_ns
    assert run("predict", clips / "b.mp4", *options).exit_code == 0
    assert file.stat().st_mtime_ns == before


def test_copies_of_other_videos_stay_and_that_of_a_failed_one_goes(
    run: Run, tiny: str, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "seen" / "old.mp4").parent.mkdir()
    (tmp_path / "seen" / "old.mp4").touch()
    (tmp_path / "seen" / "bad.mp4.mp4").touch()
    Path("bad.mp4").write_text("no video")
    result = run("predict", "bad.mp4", "--model", tiny, "--annotate", tmp_path / "seen", "-j", 0)
    assert "has 1 .mp4 file of other videos, such as" in result.stderr
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["old.mp4"]
