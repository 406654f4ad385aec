"""A real Chromium for all pages."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium whose camera is a drawn one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, _CHROMIUMS)), None)
    if found is None:
        pytest.skip(f"no Chromium on this machine: none of {', '.join(_CHROMIUMS)}")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", *_CAMERA]
        )
        yield chromium
        chromium.close()
