"""Parts of report pages: charts, clocks, URLs, JSON in scripts."""

import json
import math
import re
from pathlib import Path

import pytest
from report_sources import SCRIPT, make_timeline

from videoswin_cli.io import staging
from videoswin_cli.records import ActionSegment, UnreadSpan
from videoswin_cli.report.pages.charts import HEIGHT, WIDTH, line_chart, nice_ticks
from videoswin_cli.report.pages.render import _to_script, format_clock
from videoswin_cli.report.pages.timelines import relative_url, write_timeline_page
from videoswin_cli.report.percent import percent


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (90.0, 100.0, [90.0, 92.0, 94.0, 96.0, 98.0, 100.0]),
        (3.0, 3.0, [2.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6]),
        (-1.3, 27.0, [-10.0, 0.0, 10.0, 20.0, 30.0]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(
    low: float, high: float, expected: list[float]
) -> None:
    assert nice_ticks(low, high) == pytest.approx(expected)


def test_ticks_of_epochs_are_whole() -> None:
    assert nice_ticks(1, 3, whole=True) == [1, 2, 3]


def test_points_lie_between_their_axes() -> None:
    chart = line_chart("loss", "epoch", [1, 2, 3], {"a": [2.0, math.nan, 0.0]})
    assert chart.lines[0].points == [(0, 0), (WIDTH, HEIGHT)]
    assert chart.x_ticks == [(0, "1"), (WIDTH / 2, "2"), (WIDTH, "3")]


def test_json_cannot_leave_its_script() -> None:
    text = str(_to_script({"name": f"{SCRIPT}<!-- & '\u2028"}))
    assert not set(text) & set("<>&'\u2028")
    assert json.loads(text) == {"name": f"{SCRIPT}<!-- & '\u2028"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (750.04, "12:30.0"), (3723.4, "1:02:03.4")],
)
def test_times_are_those_of_players(seconds: float, text: str) -> None:
    assert format_clock(seconds) == text


def test_videos_are_found_from_the_folder_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "pages" / "x.html"
    assert relative_url(tmp_path / "a b?.mp4", page=page) == "../a%20b%3F.mp4"
    assert relative_url(tmp_path / "pages" / "javascript:x", page=page) == "javascript%3Ax"
    assert relative_url(tmp_path / "\udcff.mp4", page=page) == "../%FF.mp4"


@pytest.mark.parametrize(
    ("prob", "digits", "text"),
    [
        *((0.996, 1, "99.6"), (0.9996, 1, "99.9"), (1.0, 1, "100.0"), (1.0000001, 1, "100.0")),
        *((0.99996, 2, "99.99"), (0.12345, 2, "12.35"), (0.996, 0, "99"), (0.0, 1, "0.0")),
    ],
)
def test_only_certainty_is_100_percent(prob: float, digits: int, text: str) -> None:
    assert percent(prob, digits) == text


def test_a_timeline_has_a_page_of_its_own(tmp_path: Path) -> None:
    out = tmp_path / "t.html"
    write_timeline_page(out, make_timeline(), video=tmp_path / "clip.mp4")
    html = out.read_text(encoding="utf-8")
    assert '<video controls preload="metadata" playsinline src="clip.mp4">' in html
    write_timeline_page(out, make_timeline(), video=None)
    assert "<video" not in out.read_text(encoding="utf-8")


def test_the_axis_of_a_timeline_is_the_part_that_was_read(tmp_path: Path) -> None:
    parts = (
        ActionSegment(start=62.0, end=64.0, label="run", index=0, mean=0.8, peak=0.9),
        ActionSegment(start=66.0, end=68.0, label="run", index=0, mean=0.8, peak=0.9),
    )
    gaps = (UnreadSpan(start=65.0, end=66.0, reason='lost "it"'),)
    part = make_timeline(start=60.0, duration=8.0, segments=parts, gaps=gaps)
    write_timeline_page(tmp_path / "t.html", part, video=None)
    html = (tmp_path / "t.html").read_text(encoding="utf-8")
    assert 'data-from="60.0" data-duration="8.0"' in html
    lefts = re.findall(r'class="segment".*?style="left: ([0-9.]+)%; width: ([0-9.]+)%"', html)
    assert lefts == [("25.000", "25.000"), ("75.000", "25.000")]
    assert re.findall(r'<span style="left: \d+%">([0-9:.]+)</span>', html) == [
        *("1:00.0", "1:02.0", "1:04.0", "1:06.0", "1:08.0")
    ]
    gap = re.search(r'<div class="gap" style="left: 62.500%; width: 12.500%" title="(.*?)"', html)
    assert gap
    assert gap[1] == "1:05.0 to 1:06.0: lost &#34;it&#34;"
    assert "<td>lost &#34;it&#34;</td>" in html


def test_a_page_that_is_uploaded_plays_what_will_lie_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {str(tmp_path / "o1"): "s3://b/run/pages", str(tmp_path / "o2"): "s3://b/run/ann"}
    monkeypatch.setattr(staging, "_NAMES", names)
    page = tmp_path / "o1" / "v" / "a.html"
    assert relative_url(tmp_path / "o2" / "v" / "a b.mp4", page=page) == "../../ann/v/a%20b.mp4"
    here = tmp_path / "a.mp4"
    assert relative_url(here, page=page) == here.as_uri()
