"""Videos behind addresses: fetched once into the cache, like any other file.

A file is named after its address and, of a storage service, its version: one that was replaced
there is another file here, and the old one goes in its time.
"""

import math
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from videoswin_cli.errors import FetchError, OfflineError, VideoSwinError
from videoswin_cli.io.addresses import is_out_of_reach, is_web, join_address, parent_address
from videoswin_cli.io.fetch import Limits, fetch
from videoswin_cli.io.locks import release, take_lock
from videoswin_cli.io.paths import offline, private_redirects
from videoswin_cli.io.storage import NothingThereError, Stored, download, list_folder, look_up
from videoswin_cli.io.video_cache import (
    SIZE_VARIABLE,
    default_cache_size,
    held,
    make_room,
    videos_folder,
)

MAX_SECONDS = 3600.0  # for all tries: no run waits longer for one video
PATIENCE_SECONDS = 60.0  # of them without a new byte
MAX_BYTES = 2 << 30  # 2 GiB: a film in high quality; more is more likely a mistake
TRUSTED_SECONDS = 300.0  # after which this process asks again whether an object was replaced

_WORTH_LISTING = 100  # objects of a folder; of the folder they may be a small share
_LISTINGS = 16  # at a time

_no_objects: dict[str, float] = {}  # folders and what is not there: when they were looked up
_seen: dict[str, tuple[float, Stored]] = {}  # by address: when it was looked up, and what it was


@contextmanager
def local_copy(url: str, *, cache_size: int | None = None) -> Iterator[Path]:
    """The video behind an address, fetched at first use; it stays for the length of the block.

    Args:
        url: of a web server or a storage service.
        cache_size: bytes that fetched videos may take; None: as the environment says.

    Raises:
        FetchError: it cannot be fetched, takes longer than `MAX_SECONDS`, or is larger than
            `MAX_BYTES` on the web, than the cache elsewhere.
        UsageError: a package for such addresses is missing.
    """
    size = default_cache_size() if cache_size is None else cache_size
    while True:
        path = _fetch_web(url, size) if is_web(url) else _fetch_stored(url, size)
        with held(path) as here:
            if here:
                yield path
                return


def find_copy(url: str) -> Path | None:
    """The copy of a video that is here already, of the version that is there now."""
    path = _web_path(url) if is_web(url) else _stored_path(url, look_up_again(url))
    return path if path.is_file() else None


def has_copy(url: str) -> bool:
    """Whether the file of a web server is here already."""
    return _web_path(url).is_file()


def _web_path(url: str) -> Path:
    return videos_folder() / f"{_digest(url, 24)}{_suffix(url)}"


def _stored_path(address: str, stored: Stored) -> Path:
    name = f"{_digest(address, 24)}-{_digest(stored.version, 8)}{_suffix(address)}"
    return videos_folder() / name


def _fetch_web(url: str, cache_size: int) -> Path:
    path = _web_path(url)
    if path.is_file():
        return path
    make_room(cache_size)
    limits = Limits(
        max_bytes=MAX_BYTES,
        max_seconds=MAX_SECONDS,
        patience_seconds=PATIENCE_SECONDS,
        private_redirects=private_redirects(),
    )
    fetch(url, path, limits=limits, offline=offline())
    make_room(cache_size, keep=path)  # its size was not known before
    return path


def _fetch_stored(address: str, cache_size: int) -> Path:
    if is_out_of_reach(address):
        return _latest(address)
    stored = look_up_again(address)
    path = _stored_path(address, stored)
    if path.is_file():
        return path
    if stored.size > cache_size:
        raise FetchError(
            f"cannot fetch {address}: {stored.size} bytes; the cache takes {cache_size}",
            hint=f"give it more: --cache-size, or {SIZE_VARIABLE}",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = take_lock(path.with_name(f"{path.name}.lock"), wait=True)
        assert lock is not None
        try:
            if not path.is_file():  # another process may have been faster
                make_room(cache_size - stored.size)
                _download(address, path, stored)
        finally:
            with suppress(OSError):
                path.with_name(f"{path.name}.lock").unlink()
            release(lock)
    except OSError as error:
        raise FetchError(
            f"cannot read or write {path}: {error.strerror or error}",
            hint=f"free some space, or make {path.parent} a directory you can write to",
        ) from error
    return path


def _download(address: str, path: Path, stored: Stored) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        download(address, part, stored, deadline=time.monotonic() + MAX_SECONDS)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def look_up_again(address: str) -> Stored:
    """Facts of an object, as this process knows them from a short time ago, or asked for.

    Raises:
        FetchError: there is no such object.
    """
    when, stored = _seen.get(address, (0.0, None))
    if stored is None or time.monotonic() - when > TRUSTED_SECONDS:
        stored = look_up(address)
        if stored is None:
            raise NothingThereError(f"cannot fetch {address}: it is a folder")
        _seen[address] = time.monotonic(), stored
    return stored


def look_up_folders(addresses: Sequence[str]) -> None:
    """Ask for many objects at once, for `look_up_again`: a listing tells a thousand of a folder.

    A folder of which few objects are wanted is not listed, nor one that cannot be: its objects are
    asked for one by one.
    """
    now = time.monotonic()
    unknown = (
        each for each in addresses if now - _seen.get(each, (-math.inf,))[0] > TRUSTED_SECONDS
    )
    wanted = Counter(map(parent_address, unknown))
    folders = [folder for folder, count in wanted.items() if count >= _WORTH_LISTING]
    with ThreadPoolExecutor(_LISTINGS) as pool:
        for _ in pool.map(_list_folder, folders):
            pass


def _list_folder(folder: str) -> None:
    with suppress(VideoSwinError):
        remember(folder, list_folder(folder))


def remember(folder: str, objects: Mapping[str, Stored]) -> None:
    """Keep what a listing of a folder told, by the names in it."""
    now = time.monotonic()
    for name, stored in objects.items():
        if stored.is_identified:
            _seen[join_address(folder, name)] = now, stored


def is_object(address: str) -> bool:
    """Whether an address is that of a file, not of a folder; also where that cannot be asked for.

    A web server has files only. Without a network a copy tells.
    """
    if is_web(address):
        return True
    if time.monotonic() - _no_objects.get(address, -TRUSTED_SECONDS) < TRUSTED_SECONDS:
        return False
    try:
        if is_out_of_reach(address):
            return _latest(address).is_file()
        look_up_again(address)
    except (NothingThereError, OfflineError):
        _no_objects[address] = time.monotonic()
        return False
    except VideoSwinError:
        return True
    return True


def _latest(address: str) -> Path:
    """The version that was used last; without a network there is no other."""
    files = [
        Path(entry)
        for entry in videos_folder().glob(f"{_digest(address, 24)}-*{_suffix(address)}")
        if not entry.name.endswith((".lock", ".part"))
    ]
    if not files:
        raise OfflineError(
            f"offline mode forbids fetching {address}, which is not in the cache",
            hint="leave offline mode (VIDEOSWIN_OFFLINE)",
        )
    return max(files, key=lambda file: (file.stat().st_mtime, os.fspath(file)))


def _digest(text: str, digits: int) -> str:
    return sha256(text.encode()).hexdigest()[:digits]


def _suffix(address: str) -> str:
    path = urlsplit(address).path if is_web(address) else address.partition("://")[2]
    return PurePosixPath(path).suffix[:8]
