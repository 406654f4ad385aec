"""Videos behind a URL: fetched once into the cache, like any other file."""

from hashlib import sha256
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from videoswin_cli.config import home, offline
from videoswin_cli.fetch import fetch

MAX_BYTES = 2 << 30  # 2 GiB: a film in high quality; more is more likely a mistake


def local_copy(url: str) -> Path:
    """Path of the video behind an http(s) URL, fetched at first use.

    Raises:
        FetchError: it cannot be fetched, or is larger than `MAX_BYTES`.
    """
    suffix = PurePosixPath(urlsplit(url).path).suffix[:8]
    name = sha256(url.encode()).hexdigest()[:24] + suffix
    return fetch(url, home() / "videos" / name, max_bytes=MAX_BYTES, offline=offline())
