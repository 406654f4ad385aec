"""Storage services behind addresses, by fsspec, of which this is the only importer.

What a service refuses fails at once and says what is missing; what may pass (a busy server, a
connection that is cut) is tried again, later each time. Credentials are found by the libraries of
the services, and no message has them.
"""

import errno
import logging
import posixpath
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.errors import FetchError, UsageError, VideoSwinError, install_extra
from videoswin_cli.io.addresses import (
    PACKAGES,
    forbid,
    is_out_of_reach,
    name_of,
    parent_address,
    scheme_of,
)
from videoswin_cli.io.visible import visible
from videoswin_cli.io.web_errors import HINT, name_host

Result = TypeVar("Result")

_BUCKETS = ("s3", "gs", "gcs", "az", "abfs", "abfss")
TRIES = 5
FIRST_WAIT = 0.5  # seconds before the second try; doubled before each further one
CONNECT_SECONDS, READ_SECONDS = 10, 30
_PIECE = 16 << 20  # bytes that are asked for at once: what a cut connection loses

# What the services say of an object that changes with its content. Where one of the first is there,
# the second do not count: a listing has fewer of them, or other digits of a time, than the object.
_CONTENT_KEYS = ("ETag", "etag", "generation", "blob_id", "content_md5")
_VERSION_KEYS = (
    *("VersionId", "version_id", "LastModified", "last_modified", "mtime", "created", "updated"),
    "size",
)
_PASSING = {  # what a server that is busy, or a connection that broke, leads to
    *(errno.EBUSY, errno.EIO, getattr(errno, "EREMOTEIO", errno.EIO), errno.EAGAIN, errno.EPIPE),
    *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ETIMEDOUT, errno.ENETDOWN),
    *(errno.ENETUNREACH, errno.EHOSTUNREACH),
}
_TRANSPORTS = (
    *("aiohttp", "aiobotocore", "botocore", "urllib3", "requests", "httpx", "httpcore"),
    "SlowError",
)
_UNREACHABLE = (  # as the libraries call it
    *("EndpointConnectionError", "ConnectTimeoutError", "ClientConnectorError", "ConnectError"),
    *("NewConnectionError", "NameResolutionError"),
)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)  # there may be a million
class Stored:
    """Facts of one object."""

    size: int  # bytes
    version: str  # another one for another content

    @property
    def is_identified(self) -> bool:
        """Whether the version is of the content, and so is the same in a listing."""
        return self.version.partition("=")[0] in _CONTENT_KEYS


class NothingThereError(FetchError):
    """Neither an object nor a folder."""


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Names that a glob with `*`, `?`, `[...]` and `**` means."""
    from fsspec.utils import glob_translate

    return re.compile(glob_translate(pattern))


def look_up(address: str) -> Stored | None:
    """Facts of an object; None where the address is that of a folder.

    Raises:
        NothingThereError: it is neither.
        FetchError: it cannot be found out.
        UsageError: a package is missing.
    """
    info = patiently(address, lambda files, path: files.info(path))
    if info.get("type") == "directory":
        return None
    return _describe(info)


def list_below(address: str) -> dict[str, Stored]:
    """All objects below a folder, by their names relative to it; one listing.

    Raises:
        FetchError: there is no such bucket, or it cannot be listed.
        UsageError: a package is missing.
    """

    def find(files: Any, path: str) -> dict[str, Stored]:
        try:
            infos = files.find(path, detail=True)
        except FileNotFoundError:
            return {}
        start = path.strip("/") + "/"
        names = {name.strip("/"): info for name, info in infos.items() if name[-1:] != "/"}
        return {
            name.removeprefix(start): _describe(info)
            for name, info in sorted(names.items())
            if name.startswith(start) and info.get("type") != "directory"
        }

    return patiently(address, find)


def list_folder(address: str) -> dict[str, Stored]:
    """Objects of one folder by name, without those of its subfolders.

    Raises:
        FetchError: there is no such folder, or it cannot be listed.
        UsageError: a package is missing.
    """

    def find(files: Any, path: str) -> dict[str, Stored]:
        infos = files.ls(path, detail=True)
        return {
            posixpath.basename(info["name"]): _describe(info)
            for info in infos
            if info.get("type") == "file"
        }

    return patiently(address, find)


def check_bucket(address: str) -> None:
    """Raises FetchError where there is no such bucket, before anything is made for it."""
    if scheme_of(address) not in _BUCKETS:
        return

    def is_there(files: Any, path: str) -> bool:
        bucket = path.strip("/").partition("/")[0]
        try:
            if not files.exists(bucket):  # or nobody could be asked
                files.info(bucket)
        except FileNotFoundError:
            return False
        except PermissionError:  # who may write need not be allowed to list
            pass
        return True

    if not patiently(address, is_there, what="write"):
        raise FetchError(
            f"cannot write {address}: there is no such bucket",
            hint="make it, or fix the name",
        )


def read_range(address: str, start: int, end: int) -> bytes:
    """Bytes `start` to below `end` of an object.

    Raises:
        FetchError: they cannot be had.
    """

    def read(files: Any, path: str) -> bytes:
        data: bytes = files.cat_file(path, start=start, end=end)
        if len(data) != end - start:
            raise OSError(errno.EIO, f"{len(data)} of {end - start} bytes received")
        return data

    return patiently(address, read) if end > start else b""


def download(address: str, path: Path, stored: Stored, *, deadline: float) -> None:
    """Write an object to `path`; what a cut connection loses is asked for again.

    Raises:
        FetchError: it cannot be had, takes longer than `deadline` of `time.monotonic`, or is
            another one at the end.
        OSError: `path` cannot be written.
    """
    with path.open("wb") as file:
        for start in range(0, stored.size, _PIECE):
            if time.monotonic() > deadline:
                raise FetchError(f"cannot fetch {address}: it takes too long")
            file.write(read_range(address, start, min(start + _PIECE, stored.size)))
    if look_up(address) != stored:
        raise FetchError(
            f"cannot fetch {address}: it was changed meanwhile",
            hint="run the same command again once it is there",
        )


def remove(address: str) -> None:
    """Remove an object; one that is not there is no error.

    Raises:
        FetchError: it cannot be removed.
    """

    def act(files: Any, path: str) -> None:
        with suppress(FileNotFoundError):
            files.rm_file(path)

    patiently(address, act, what="remove")


def list_starting(address: str) -> dict[str, Stored]:
    """Objects of one folder whose names start as an address ends, by name.

    Raises:
        FetchError: they cannot be listed.
    """
    folder, start = parent_address(address), name_of(address)

    def find(files: Any, path: str) -> dict[str, Stored]:
        with suppress(FileNotFoundError):
            if scheme_of(address) in _BUCKETS:
                infos = files.find(path, detail=True, prefix=start).values()
            else:
                infos = files.ls(path, detail=True)
            names = {posixpath.basename(info["name"]): info for info in infos}
            return {
                name: _describe(info)
                for name, info in names.items()
                if name.startswith(start)
                and info.get("type") == "file"
                and posixpath.dirname(info["name"].strip("/")) == path.strip("/")
            }
        return {}

    return patiently(folder, find)


def upload(path: Path, address: str) -> Stored:
    """Write a file as an object, which appears when it is whole.

    Raises:
        FetchError: it cannot be written.
    """
    size = path.stat().st_size
    patiently(address, lambda files, target: files.put_file(str(path), target), what="write")
    found = look_up(address)
    if found is None or found.size != size:
        raise FetchError(f"cannot write {address}: it is not {size} bytes there")
    return found


def patiently(address: str, act: Callable[[Any, str], Result], *, what: str = "fetch") -> Result:
    """Result of `act` for the file system of an address and the path in it.

    Raises:
        FetchError: it fails for good.
        UsageError: the package for such addresses is missing.
    """
    return try_again(lambda: act(*_connect(address)), address, what=what)


def try_again(
    act: Callable[[], Result],
    address: str,
    *,
    what: str = "fetch",
    shown: str = "",
    tries: int | None = None,
) -> Result:
    """Result of `act`; tried again where that may help.

    Args:
        act: asks for the address.
        address: that offline mode may bar.
        what: is done with it, for messages.
        shown: in messages, in place of the address.
        tries: at most; None: TRIES.

    Raises:
        FetchError: it fails for good.
    """
    shown = shown or address
    tries = tries or TRIES
    if is_out_of_reach(address):
        raise forbid(what, shown)
    for number in range(1, tries + 1):
        wait = FIRST_WAIT * 2 ** (number - 1)
        try:
            return act()
        except VideoSwinError:
            raise
        except Exception as error:
            failure = _explain(error, shown, what)
            if number == tries or not _may_pass(error):
                raise failure from error
            text = f"{failure.message}; try {number + 1} of {tries} in {wait:g} s"
            _LOG.warning("%s", visible(text))
            time.sleep(wait)
    raise AssertionError


def _connect(address: str) -> tuple[Any, str]:
    """The file system of an address, one of this process, and the path in it."""
    scheme = scheme_of(address)
    try:
        from fsspec.config import conf
        from fsspec.registry import get_filesystem_class

        kind: Any = get_filesystem_class(scheme)
        options = kind._get_kwargs_from_urls(address)
        if scheme == "s3":  # tried again here, where it is said and where it ends
            own = dict(conf.get("s3", {}).get("config_kwargs", {}))
            limits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
            options["config_kwargs"] = {"retries": {"total_max_attempts": 1}, **limits, **own}
        files = kind(**options, use_listings_cache=False)
        if hasattr(files, "retries"):
            files.retries = 1
        return files, str(kind._strip_protocol(address))
    except ImportError as error:
        raise UsageError(
            f"{scheme}:// needs the package {PACKAGES[scheme] or 'fsspec'}, which is not installed",
            hint=install_extra("remote"),
        ) from error


def _describe(info: dict[str, Any]) -> Stored:
    content = [f"{key}={info[key]}" for key in _CONTENT_KEYS if info.get(key)]
    known = content or [f"{key}={info[key]}" for key in _VERSION_KEYS if info.get(key) is not None]
    return Stored(size=int(info.get("size") or 0), version="|".join(known))


def _status(error: BaseException) -> int | None:
    """HTTP status of the answer that an error is about, where a library keeps it."""
    for cause in _chain(error):  # s3fs translates those of botocore
        response = getattr(cause, "response", None)
        found = getattr(response, "status_code", None)
        if isinstance(response, dict):
            found = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(found, int):
            return found
    own = (getattr(error, name, None) for name in ("status", "code", "status_code"))
    return next((found for found in own if isinstance(found, int)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _may_pass(error: Exception) -> bool:
    status = _status(error)
    if status is not None and status >= 400:
        return status in (408, 425, 429) or status >= 500
    if isinstance(error, FileNotFoundError | PermissionError) or _lacks_credentials(error):
        return False
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(error, OSError) and error.errno in _PASSING:
        return True
    kind = type(error)
    return kind.__name__ in _TRANSPORTS or kind.__module__.partition(".")[0] in _TRANSPORTS


def _lacks_credentials(error: BaseException) -> bool:
    name = type(error).__name__
    if "Credential" in name or name in ("RefreshError", "TokenRetrievalError", "LoginRequired"):
        return True
    return isinstance(error, ValueError) and "with credentials" in str(error)  # adlfs


def _is_unreachable(error: BaseException) -> bool:
    kinds = (kind for cause in _chain(error) for kind in type(cause).__mro__)
    return any(kind.__name__ in _UNREACHABLE for kind in kinds)


def _name_service(error: BaseException) -> str:
    """Host that a library could not reach, where it says so."""
    found = re.search(r"https?://[^/\s\"']+|host='([^']+)'", str(error))
    return "the service" if found is None else name_host(found[0]) or found[1]


def _explain(error: Exception, shown: str, what: str) -> FetchError:
    status = _status(error)
    refused = f"cannot {what} {shown}"
    if isinstance(error, FileNotFoundError) or status == 404:
        return NothingThereError(f"{refused}: there is no such object, folder or bucket")
    if _lacks_credentials(error):
        return FetchError(
            f"{refused}: no credentials were found",
            hint="set them as the tools of the service do, such as AWS_PROFILE or `hf auth login`",
        )
    if isinstance(error, PermissionError) or status in (401, 403):
        return FetchError(
            f"{refused}: access is denied",
            hint="check the address, and whether your credentials allow it (services also answer "
            "so where there is no such object)",
        )
    if _is_unreachable(error):
        return FetchError(f"{refused}: {_name_service(error)} cannot be reached", hint=HINT)
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    reason = " ".join(hide_credentials(text).split())[:300] or type(error).__name__
    return FetchError(f"{refused}: {reason}")
