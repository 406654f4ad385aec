"""Facts and ranges of files of web servers."""

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from videoswin_cli.errors import FetchError, OfflineError
from videoswin_cli.io.paths import private_redirects
from videoswin_cli.io.storage import Stored, try_again
from videoswin_cli.io.transport import CONNECT_SECONDS, READ_SECONDS, Exchange, RedirectError

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")
_SECONDS = 600.0  # for one range
_TRIES = 2  # of a range; then the whole file is fetched, which has a patience of its own


def look_up_web(url: str) -> Stored | None:
    """Size and version of a file; None where the server has no ranges, or tells no version.

    None as well where it cannot be asked for: fetching it tries again, and says why.

    Raises:
        OfflineError: nothing may be asked for.
    """

    def ask() -> Stored | None:
        with _get(url, 0, 1) as response:
            found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            version = _version(response)
            if response.status_code != 206 or found is None or not version:
                return None
            return Stored(size=int(found[3]), version=version)

    try:
        return try_again(ask, url, tries=1)
    except OfflineError:
        raise
    except FetchError:
        return None


def is_missing(url: str) -> bool | None:
    """Whether a server says that it has no such file; None where it cannot be asked."""
    try:
        with _get(url, 0, 1, check=False) as response:
            return response.status_code in (404, 410)
    except Exception:  # noqa: BLE001 - whatever it is, fetching the file says so
        return None


def read_web_range(url: str, start: int, end: int, stored: Stored) -> bytes:
    """Bytes `start` to below `end` of a file.

    Raises:
        FetchError: they cannot be had, or are of another version.
    """

    def ask() -> bytes:
        with _get(url, start, end) as response:
            found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            wanted = (str(start), str(end - 1), str(stored.size))
            if response.status_code != 206 or found is None or found.groups() != wanted:
                raise FetchError(f"{url}: the server sent another range")
            if _version(response) != stored.version:
                raise FetchError(f"{url}: the file changed on the server")
            data: bytes = response.raw.read(end - start)
            if len(data) != end - start:
                raise ConnectionError(f"{len(data)} of {end - start} bytes received")
            return data

    return try_again(ask, url, tries=_TRIES)


@contextmanager
def _get(url: str, start: int, end: int, *, check: bool = True) -> "Iterator[Any]":
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
    deadline = time.monotonic() + _SECONDS
    exchange = Exchange(
        deadline=deadline,
        private_redirects=private_redirects(),
        read_seconds=max(READ_SECONDS, CONNECT_SECONDS),
    )
    with exchange:
        try:
            with exchange.get(url, headers) as response:
                if check:
                    response.raise_for_status()
                yield response
        except RedirectError as error:
            raise FetchError(f"cannot fetch {url}: {error}") from error
        except Exception:
            exchange.check()
            raise


def _version(response: Any) -> str:
    """What tells one content of a file from another; empty where the server says nothing."""
    etag = response.headers.get("ETag", "")
    return str(etag if etag[:2] not in ("", "W/") else response.headers.get("Last-Modified", ""))
