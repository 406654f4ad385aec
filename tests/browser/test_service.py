"""The page of the server in a real Chromium: a clip, a long clip, the camera, a broken file."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browser_waits import wait_for
from make_video import write_video
from served import Client
from tiny import write_model

pytestmark = pytest.mark.browser
_HOSTILE = "<img src=x onerror=alert(1)>.webm"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    model = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_model(model)
    found = Client(model)
    yield found
    found.close()


@pytest.fixture
def page(browser: Any, client: Client) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    tab = context.new_page()
    problems: list[str] = []
    asked: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
    tab.on("console", lambda said: problems.append(said.text) if "CSP" in said.text else None)
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(client.url)
    yield tab
    wide = tab.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert problems == []
    assert [url for url in asked if not url.startswith((client.url, "blob:", "data:"))] == []
    assert wide <= 390  # nothing is beside the screen of a phone


_DONE = "document.getElementById('state').textContent === 'Done'"


def test_a_clip_gets_its_classes_with_bars(page: Any, client: Client, tmp_path: Path) -> None:
    clip = write_video(tmp_path / _HOSTILE, codec="libvpx", frames=20)
    page.locator("#file").set_input_files(str(clip))
    wait_for(page, _DONE)
    top = client.send("predict", clip).json()["top"]
    shares = [f"{100 * each['prob']:.2f} %" for each in top]
    assert page.locator("#classes .share").all_inner_texts() == shares
    assert page.locator("#name").inner_text() == _HOSTILE
    assert page.locator("#seen").inner_text() == "From the middle of the clip"
    assert page.locator("#lanes").is_hidden()


def test_a_long_clip_has_a_timeline_over_its_player(page: Any, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "long.webm", codec="libvpx", frames=100, fps=10)
    page.route("**/timeline", lambda route: route.continue_(url=f"{route.request.url}?threshold=0"))
    page.locator("#file").set_input_files(str(clip))
    wait_for(page, _DONE)
    segment = page.locator("#lanes button.segment").last
    length = float(page.evaluate("document.getElementById('lanes').dataset.length"))
    assert length == pytest.approx(10, abs=0.2)
    times = [each.bounding_box() for each in page.locator(".axis .track span:visible").all()]
    assert all(one["x"] + one["width"] < other["x"] for one, other in pairwise(times))
    segment.focus()
    page.keyboard.press("Enter")
    wait_for(page, "!document.getElementById('player').paused")


def test_a_clip_is_dropped_on_the_page(page: Any, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "dragged.webm", codec="libvpx", frames=20)
    box = page.locator("#drop").bounding_box()
    middle = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    dragged = {"items": [], "files": [str(clip)], "dragOperationsMask": 1}
    mouse = page.context.new_cdp_session(page)  # playwright itself drags no files
    for kind in ("dragEnter", "dragOver"):
        mouse.send("Input.dispatchDragEvent", {"type": kind, **middle, "data": dragged})
    wait_for(page, "document.getElementById('drop').classList.contains('over')")
    mouse.send("Input.dispatchDragEvent", {"type": "drop", **middle, "data": dragged})
    wait_for(page, _DONE)
    assert page.locator("#name").inner_text() == "dragged.webm"
    assert page.locator("#classes li").count() == 5
    assert page.evaluate("!document.getElementById('drop').classList.contains('over')")


def test_a_token_of_any_letters_opens_the_door(
    browser: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_model(model)
    client = Client(model, token="sécret-€à")
    try:
        page = browser.new_page()
        page.goto(client.url)
        clip = str(write_video(tmp_path / "a.webm", codec="libvpx", frames=20))
        page.locator("#token").fill("secret")
        page.locator("#file").set_input_files(clip)
        wait_for(page, "!document.getElementById('problem').hidden")
        assert "the token is wrong" in page.locator("#problem").inner_text()
        page.locator("#token").fill("sécret-€à")
        page.locator("#file").set_input_files(clip)
        wait_for(page, _DONE)
        page.close()
    finally:
        client.close()


def test_the_camera_is_recorded(page: Any) -> None:
    page.locator("#camera").focus()
    page.keyboard.press("Enter")
    wait_for(page, _DONE)
    assert page.locator("#name").inner_text() == "camera.webm"
    assert page.locator("#classes li").count() == 5


def test_a_broken_file_is_named_with_the_reason(page: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    page.locator("#file").set_input_files(str(broken))
    wait_for(page, "!document.getElementById('problem').hidden")
    assert page.locator("#problem").inner_text().startswith("broken.mp4: not a readable video")
