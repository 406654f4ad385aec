"""Videos behind a URL: fetched once into the cache, like any other file."""

from hashlib import sha256
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from videoswin_cli.io.fetch import Limits, fetch
from videoswin_cli.io.paths import cache_dir, offline, private_redirects

MAX_SECONDS = 3600.0  # for all tries: no run waits longer for one video
PATIENCE_SECONDS = 60.0  # of them without a new byte
MAX_BYTES = 2 << 30  # 2 GiB: a film in high quality; more is more likely a mistake


def is_url(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def local_copy(url: str) -> Path:
    """Path of the video behind an http(s) URL, fetched at first use.

    Raises:
        FetchError: it cannot be fetched, or is larger than `MAX_BYTES`, or takes longer than
            `MAX_SECONDS`.
    """
    suffix = PurePosixPath(urlsplit(url).path).suffix[:8]
    name = sha256(url.encode()).hexdigest()[:24] + suffix
    return fetch(
        url,
        cache_dir() / "videos" / name,
        limits=Limits(
            max_bytes=MAX_BYTES,
            max_seconds=MAX_SECONDS,
            patience_seconds=PATIENCE_SECONDS,
            private_redirects=private_redirects(),
        ),
        offline=offline(),
    )
