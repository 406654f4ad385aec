"""Reach of servers: whether one answers, without fetching anything."""

import time

from videoswin_cli.io.fetch import name_cause
from videoswin_cli.io.transport import Exchange

_SECONDS = 20


def find_obstacle(url: str) -> str | None:
    """The reason why the file behind a URL cannot be fetched, or None; one byte is asked for."""
    headers = {"Accept-Encoding": "identity", "Range": "bytes=0-0"}
    try:
        with (
            Exchange(deadline=time.monotonic() + _SECONDS) as exchange,
            exchange.get(url, headers) as response,
        ):
            bad = response.status_code >= 400
            return f"HTTP {response.status_code}" if bad else None
    except Exception as error:  # noqa: BLE001 - of any layer of the network
        return name_cause(error)[1]
