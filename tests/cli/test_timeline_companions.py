"""Files beside timelines for people to look at: annotated videos and pages."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import av
import pytest
from make_video import write_video
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    write_video(tmp_path / "in/sub/a #1 <b>.mp4", frames=40)
    (tmp_path / "in/text.mp4").write_text("no video")
    return tmp_path / "in"


def played(page: Path) -> Path:
    """The video that a page plays."""
    (source,) = set(re.findall(r'<video[^>]* src="([^"]+)"', page.read_text(encoding="utf-8")))
    return (page.parent / unquote(source)).resolve()


def test_a_page_plays_the_video_and_one_that_failed_has_none(
    run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    result = run("timeline", folder, "--model", tiny, "--html", tmp_path / "pages")
    assert result.exit_code == 3
    (page,) = (tmp_path / "pages").rglob("*.html")
    assert page.name == "a #1 <b>.mp4.html"
    assert played(page) == folder / "sub/a #1 <b>.mp4"
    assert "<b>" not in page.read_text(encoding="utf-8")


def test_a_page_plays_the_annotated_copy_where_there_is_one(
    run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    line = ("timeline", folder, "--model", tiny, "--html", tmp_path / "pages")
    assert run(*line, "--annotate", tmp_path / "drawn").exit_code == 3
    (page,) = (tmp_path / "pages").rglob("*.html")
    (drawn,) = (tmp_path / "drawn").rglob("*.mp4")
    assert played(page) == drawn
    with av.open(str(drawn)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 40


def test_the_copy_of_a_part_has_its_own_clock_so_the_page_plays_the_video(
    run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    line = ("timeline", folder / "sub", "--model", tiny, "--start", "0.4")
    beside = ("--html", tmp_path / "pages", "--annotate", tmp_path / "drawn")
    assert run(*line, *beside).exit_code == 0
    (page,) = (tmp_path / "pages").rglob("*.html")
    assert played(page) == folder / "sub/a #1 <b>.mp4"


def test_files_of_other_videos_stay_and_a_notice_says_so(
    run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    write_video(folder / "b.mp4", frames=12)
    line = ("--model", tiny, "-f", "vtt", "--out", tmp_path / "out", "--html", tmp_path / "pages")
    assert "not touched" not in run("timeline", folder, *line).stderr
    assert "not touched" not in run("timeline", folder, *line).stderr  # the same videos again
    (folder / "b.mp4").write_text("no video any more")
    again = run("timeline", folder / "b.mp4", *line)
    for name in ("out", "pages"):
        assert f"{tmp_path / name} has 1 .{ {'out': 'vtt', 'pages': 'html'}[name] } file of" in (
            again.stderr
        )
        (left,) = (path for path in (tmp_path / name).rglob("*.*") if path.name != "index.csv")
        assert left.name.startswith("a #1 <b>")  # that of b.mp4, which failed now, is gone
