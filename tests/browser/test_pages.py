"""Report pages in a real Chromium: opened, clicked and read."""

from pathlib import Path
from typing import Any

import pytest
from browser_waits import wait_for
from make_video import write_video
from report_sources import (
    QUOTED,
    SCRIPT,
    make_timeline,
    scored,
    write_dumps,
    write_run,
    write_timelines,
)
from typer.testing import CliRunner

from videoswin_cli.cli.app import app
from videoswin_cli.engine.dumps import write_dump
from videoswin_cli.records import ActionSegment

pytestmark = pytest.mark.browser
_VIDEO = "document.querySelector('video')"


class Tab:
    """A page, and all that went wrong in it or was fetched by it."""

    def __init__(self, browser: Any, file: Path, **context: Any) -> None:
        self.page = browser.new_context(**context).new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("dialog", lambda dialog: self.problems.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.page.locator(selector).all_inner_texts()
        return found

    def wait_for(self, condition: str) -> None:
        wait_for(self.page, condition)

    def close(self) -> None:
        """Close it, and check that it was silent and fetched nothing but files."""
        self.page.context.close()
        assert self.problems == []
        assert [url for url in self.requests if not url.startswith(("file:", "data:"))] == []


def report(*args: object) -> None:
    done = CliRunner().invoke(app, ["report", *map(str, args)])
    assert done.exit_code == 0, done.stderr


@pytest.fixture
def compared(tmp_path: Path) -> Path:
    first, second, labels = write_dumps(tmp_path)
    out = tmp_path / "page.html"
    run = write_run(tmp_path / "run")
    report(first, second, run, "--labels", labels, "--root", tmp_path, "--out", out)
    return out


def test_tables_are_sorted_and_filtered(browser: Any, compared: Path) -> None:
    tab = Tab(browser, compared)
    table = "#section-1 h3:has-text('Classes') + .listing"
    names = f"{table} tbody tr:visible td:nth-child(2)"
    assert tab.texts(names) == ["run", SCRIPT, 'sit "down"']
    header = tab.page.locator(f"{table} th button", has_text="index")
    header.click()
    header.click()
    assert tab.texts(names) == ['sit "down"', SCRIPT, "run"]
    tab.page.locator(f"{table} input").fill("SIT")
    assert tab.texts(names) == ['sit "down"']
    assert tab.texts(f"{table} [data-count]") == ["1 of 3 rows"]
    tab.page.locator(f"{table} input").fill("")
    assert len(tab.texts(names)) == 3
    tab.close()


def test_a_cell_of_the_matrix_lists_its_videos(browser: Any, compared: Path) -> None:
    tab = Tab(browser, compared)
    matrix = tab.page.locator("#section-1 [data-matrix]")
    assert matrix.locator("rect.cell").count() == 5
    matrix.locator('rect.cell[data-pair="1,0"]').click()
    said = matrix.locator("[data-cell]").inner_text()
    assert said.startswith(f"{SCRIPT} predicted as run: 1 video")
    assert f"{QUOTED} (90.0 %)" in said
    tab.close()


def test_the_matrix_is_ordered_and_zoomed(browser: Any, tmp_path: Path) -> None:
    names = [f"class {n:02d}" for n in range(30)]
    videos = []
    for label in range(30):
        for number in range(2):
            scores = [0.0] * 30
            scores[(label + 1) % 30 if label < 12 and number <= label % 2 else label] = 1.0
            videos.append(scored(f"{label}-{number}.mp4", label, *scores))
    dump, labels, out = tmp_path / "d.npz", tmp_path / "names.txt", tmp_path / "page.html"
    write_dump(dump, videos, names)
    labels.write_text("\n".join(names))
    report(dump, "--labels", labels, "--out", out)
    tab = Tab(browser, out)
    left = "[data-matrix] text.label[text-anchor=end]"
    shown = tab.page.locator(left).evaluate_all("all => all.map(e => e.firstChild.data)")
    assert len(shown) == 20
    assert shown[:6] == [f"class {n:02d}" for n in (1, 3, 5, 7, 9, 11)]
    tab.page.locator("[data-order]").select_option("name")
    tab.page.locator("[data-show]").select_option("0")
    shown = tab.page.locator(left).evaluate_all("all => all.map(e => e.firstChild.data)")
    assert shown == names
    tab.page.locator(left).nth(5).click()
    shown = tab.page.locator(left).evaluate_all("all => all.map(e => e.firstChild.data)")
    assert shown == ["class 04", "class 05", "class 06"]
    tab.page.locator("[data-reset]").click()
    assert tab.page.locator(left).count() == 30
    tab.close()


def test_hostile_names_are_read_as_text(browser: Any, compared: Path) -> None:
    tab = Tab(browser, compared)
    text = tab.page.locator("body").inner_text()
    assert SCRIPT in text
    assert QUOTED in text
    assert tab.page.locator("body script:not([type])").count() == 1
    assert tab.page.locator("img[src=x]").count() == 0
    tab.close()


def test_the_policy_stops_what_escaping_would_miss(browser: Any, compared: Path) -> None:
    broken = compared.read_text(encoding="utf-8").replace(
        "<main>", "<main><script>document.title = 'owned'</script><img src=http://127.0.0.1:9/x>"
    )
    compared.write_text(broken, encoding="utf-8")
    tab = Tab(browser, compared)
    assert tab.page.title() == "3 results"
    assert len(tab.problems) >= 2
    assert all("Content Security Policy" in problem for problem in tab.problems)
    tab.page.context.close()


def test_a_segment_is_played_from_its_start_to_its_end(browser: Any, tmp_path: Path) -> None:
    name = "a #1 'x' 100%.webm"
    write_video(tmp_path / name, frames=250, codec="libvpx-vp9")  # 10 s
    out = tmp_path / "t.html"
    source = write_timelines(tmp_path / "t.json", make_timeline(name))
    report(source, "--root", tmp_path, "--out", out)
    tab = Tab(browser, out)
    tab.wait_for(f"{_VIDEO}.readyState >= 1")
    tab.page.locator(".segment").nth(1).click()  # of the first lane, from 1.2 to 2 s
    tab.wait_for(f"{_VIDEO}.currentTime >= 1.2")
    assert tab.page.locator("[data-unplayable]").is_hidden()
    tab.page.locator("tr.play", has_text=SCRIPT).click()  # from 0.5 to 1.2 s
    tab.wait_for(f"{_VIDEO}.currentTime < 1.2")
    tab.wait_for(f"{_VIDEO}.paused && {_VIDEO}.currentTime >= 1.2")
    assert not tab.page.evaluate(f"{_VIDEO}.ended")
    assert tab.page.locator("[data-playhead]").is_visible()
    tab.close()


def test_the_playhead_is_where_the_video_is_on_the_axis_of_a_part(
    browser: Any, tmp_path: Path
) -> None:
    write_video(tmp_path / "a.webm", frames=250, codec="libvpx-vp9")  # 10 s
    segment = ActionSegment(start=6.0, end=6.5, label="run", index=0, mean=0.8, peak=0.9)
    part = make_timeline("a.webm", start=4.0, duration=4.0, segments=(segment,), gaps=())
    report(
        *(write_timelines(tmp_path / "t.json", part), "--root", tmp_path),
        *("--out", tmp_path / "t.html"),
    )
    tab = Tab(browser, tmp_path / "t.html")
    tab.wait_for(f"{_VIDEO}.readyState >= 1")
    for seconds, share in ((2, 0), (6, 0.5), (9, 1)):
        tab.page.evaluate(f"{_VIDEO}.currentTime = {seconds}")
        tab.wait_for(f"!{_VIDEO}.seeking && {_VIDEO}.currentTime == {seconds}")
        track = tab.page.locator(".track").first.bounding_box()
        head = tab.page.locator("[data-playhead]").bounding_box()
        assert abs(head["x"] - track["x"] - share * track["width"]) < 4
    tab.close()


def test_a_timeline_is_filtered_by_class(browser: Any, tmp_path: Path) -> None:
    out = tmp_path / "t.html"
    report(write_timelines(tmp_path / "t.json", make_timeline()), "--out", out)
    tab = Tab(browser, out)
    rows = "tr.play:visible td:nth-child(3)"
    assert tab.texts(rows) == ["run", SCRIPT, "run"]
    tab.page.locator("[data-class-filter]").select_option(label=SCRIPT)
    assert tab.texts(rows) == [SCRIPT]
    assert tab.texts(".lane[data-class]:visible .name") == [SCRIPT]
    assert tab.page.locator("video").count() == 0
    assert "nothing to play" in tab.page.locator("body").inner_text()
    tab.close()


def test_a_video_that_is_gone_is_said(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("not a video")
    out = tmp_path / "t.html"
    source = write_timelines(tmp_path / "t.json", make_timeline())
    report(source, "--root", tmp_path, "--out", out)
    tab = Tab(browser, out)
    tab.page.locator("[data-unplayable]").wait_for(state="visible")
    tab.page.context.close()


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_follow_the_reader(
    browser: Any, compared: Path, scheme: str, dark: bool, width: int
) -> None:
    viewport = {"width": width, "height": 800}
    tab = Tab(browser, compared, color_scheme=scheme, viewport=viewport)
    back = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(20, 23, 27)") == dark
    assert tab.page.evaluate("document.documentElement.scrollWidth") == width
    tab.page.emulate_media(media="print", color_scheme=scheme)
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert tab.page.locator(".controls").first.is_hidden()
    tab.close()
