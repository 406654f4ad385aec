"""Waiting for a page of a browser."""

from typing import Any


def wait_for(page: Any, condition: str) -> None:
    """Wait until JavaScript is true; Playwright's own way needs `eval`, which pages forbid."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never true: {condition}; {page.locator('body').inner_text()}")
