"""Files from the network: resumed, checked, put in place whole, and never waited for without end.

Beside the target NAME live NAME.part (the bytes so far), NAME.part.json (which version of the file
they are of) and NAME.lock (empty; it stays, because removing it would race with other processes).
"""

import hashlib
import json
import logging
import os
import re
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.errors import FetchError, OfflineError, UsageError
from videoswin_cli.io import web_errors
from videoswin_cli.io.transport import Exchange, RedirectError, SlowError
from videoswin_cli.io.visible import visible

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from requests import RequestException, Response

PATIENCE_SECONDS = 180.0  # without a byte that no earlier try had: then no further try
TOTAL_SECONDS = 3600.0  # for a whole fetch, and one more for each SLOW_RATE bytes of the file
SLOW_RATE = 1 << 16  # bytes per second
FIRST_WAIT = 1.0  # seconds before the second try; doubled before each further one
LONGEST_WAIT = 30.0  # seconds; a Retry-After is not waited for longer than this
TRIES = {
    "refused": 1,  # the same answer would come again
    "late": 1,  # the time for all tries is over
    "wrong": 2,  # bytes of another hash: once more, from the first byte
    "unreachable": 3,  # no connection: most often a wrong name or no network at all
    "broken": 5,  # stalled, cut off or busy, and not GAIN bytes further than any try before
}
GAIN = 1 << 20  # bytes; a try that got this much further starts the count of "broken" anew
CHUNK = 1 << 16  # bytes that must come within SLOW_SECONDS; a broken connection may lose them

_LOG = logging.getLogger(__name__)


class _Failure(Exception):  # noqa: N818  (an event of the loop, never seen outside)
    """One try that came to nothing."""

    def __init__(
        self,
        kind: Literal["refused", "late", "wrong", "unreachable", "broken"],
        reason: str,
        *,
        wait: float = 0.0,  # seconds that the server asked for
        restart: bool = False,  # the bytes so far are of no use
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.wait = wait
        self.restart = restart


@dataclass(frozen=True, kw_only=True)
class _Version:
    """Version of a file that a partial download belongs to."""

    url: str  # its SHA-256, as the address may let anybody in
    header: str  # "ETag" or "Last-Modified"
    value: str
    size: int | None  # bytes, of the whole file


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a download, over all its tries."""

    max_bytes: int | None = None
    max_seconds: float | None = None  # None: TOTAL_SECONDS, and more for a large file
    patience_seconds: float = PATIENCE_SECONDS  # without a new byte
    private_redirects: bool = False  # from a public address to a private one
    public_only: bool = False  # no private address at all: others than the user name them


@dataclass(kw_only=True)
class _Request:
    """A download that is under way."""

    url: str
    sha256: str | None
    limits: Limits
    begun: float  # of time.monotonic
    size: int = 0  # bytes, as the server says

    @property
    def deadline(self) -> float:
        seconds, most = TOTAL_SECONDS + self.size / SLOW_RATE, self.limits.max_seconds
        return self.begun + (seconds if most is None else most)


def fetch(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    limits: Limits = Limits(),
    force: bool = False,
    offline: bool = False,
) -> Path:
    """Download `url` to `path` unless it is there, and return `path`.

    An interrupted download leaves NAME.part and is resumed by the next call; a failed one leaves
    nothing. `sha256` is the hex digest or its first 8 or more digits, and a file already there is
    held against it too. `force` replaces a file that is there.

    Raises:
        FetchError: the file could not be had, written, or has another hash or more
            bytes than the limit; or it is missing and `offline` is set.
        UsageError: `url` is no address of http or https.
        ValueError: `sha256` is no hash.
    """
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{8,64}", sha256):
        raise ValueError(f"not the first 8 to 64 hex digits of a SHA-256: {sha256!r}")
    if not _is_web(url):
        raise UsageError(f"cannot fetch {url!r}", hint="Give an http:// or https:// address.")
    try:
        if path.is_dir():
            raise FetchError(f"{path} is a directory", hint="Name the file to write.")
        part = path.with_name(path.name + ".part")
        if path.is_file() and not part.exists():
            with suppress(OSError):  # killed just after the file was put in its place
                _version_path(part).unlink(missing_ok=True)
        if force or not path.is_file():
            if offline:
                raise OfflineError(
                    f"{path} is missing and offline mode forbids fetching {url}",
                    hint=f"Fetch it on a connected machine and put it at {path}, or leave offline "
                    "mode (--offline, VIDEOSWIN_OFFLINE).",
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            with _hold_lock(path):
                if force or not path.is_file():  # another process may have been faster
                    begun = time.monotonic()
                    _download(path, _Request(url=url, sha256=sha256, limits=limits, begun=begun))
                    return path
        if sha256 is not None and not (digest := hash_file(path)).startswith(sha256.lower()):
            raise FetchError(
                f"{path} has SHA-256 {digest}, expected {sha256}",
                hint=f"Remove it to download it again from {url}.",
            )
    except OSError as error:
        raise FetchError(
            f"cannot read or write {path}: {error.strerror or error}",
            hint=f"Free some space, or make {path.parent} a directory you can write to. "
            "Nothing half-written is left.",
        ) from error
    return path


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex. Raises OSError if it cannot be read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _hold_lock(path: Path) -> "AbstractContextManager[object]":
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.lock")
    try:
        return lock.acquire(blocking=False)
    except Timeout:
        _LOG.warning("%s: another process is downloading it; waiting", visible(path.name))
        return lock.acquire()


def _download(path: Path, request: _Request) -> None:
    part = path.with_name(path.name + ".part")
    failures: Counter[str] = Counter()
    tries = furthest = 0
    moved = time.monotonic()  # when a try last got further than those before
    try:
        while True:
            tries += 1
            try:
                _receive(part, request)
            except _Failure as failure:
                size = part.stat().st_size if part.is_file() else 0
                if size >= furthest + GAIN:
                    failures["broken"] = 0
                if size > furthest:
                    furthest, moved = size, time.monotonic()
                if failure.restart:
                    _discard(part)
                failures[failure.kind] += 1
                count = failures[failure.kind]
                wait = min(max(FIRST_WAIT * 2 ** (count - 1), failure.wait), LONGEST_WAIT)
                again = time.monotonic() + wait
                late = again - moved > request.limits.patience_seconds or again > request.deadline
                if count >= TRIES[failure.kind] or late:
                    by_hand = (
                        f"Fetch it by other means and put it at {path}; "
                        "nothing half-written is left there."
                    )
                    raise FetchError(
                        f"cannot fetch {request.url} ({tries} {'try' if tries == 1 else 'tries'}): "
                        f"{failure}",
                        hint=web_errors.HINT if failure.kind == "unreachable" else by_hand,
                    ) from failure
                name = PurePosixPath(urlsplit(request.url).path).name or path.name
                text = f"{name}: {failure}; next try in {wait:.0f} s"
                _LOG.warning("%s", visible(hide_credentials(text)))
                time.sleep(wait)
            else:
                part.replace(path)
                _discard(part)
                return
    except (OSError, FetchError):  # not KeyboardInterrupt: that partial is resumed
        _discard(part)
        raise


def _receive(part: Path, request: _Request) -> None:
    """Make one try: after it `part` is the whole file, on disk and checked, or _Failure tells."""
    from http.client import HTTPException

    from requests import RequestException
    from urllib3.exceptions import HTTPError

    version = _read_version(part, url=request.url)
    offset = part.stat().st_size if version and part.is_file() else 0
    headers = {"Accept-Encoding": "identity"}  # else Content-Length would not be the file's size
    if version and offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": version.value}
    try:
        with Exchange(
            deadline=request.deadline,
            private_redirects=request.limits.private_redirects,
            public_only=request.limits.public_only,
        ) as exchange:
            try:
                with exchange.get(request.url, headers) as response:
                    _save(response, part, request, exchange, version=version, offset=offset)
            except Exception:
                exchange.check()  # what was ended for being late fails in many ways
                raise
            exchange.check()
    except SlowError as error:
        late = time.monotonic() >= request.deadline
        raise _Failure("late" if late else "broken", str(error)) from error
    except RedirectError as error:
        raise _Failure("refused", str(error)) from error
    except RequestException as error:
        raise _explain(error, request.url) from error
    except (HTTPError, HTTPException, ValueError) as error:  # of answers that are no HTTP
        raise _Failure("refused", f"{type(error).__name__}: {str(error)[:200]}") from error


def _save(
    response: "Response",
    part: Path,
    request: _Request,
    exchange: Exchange,
    *,
    version: _Version | None,
    offset: int,
) -> None:
    """Write the body of a reply to `part` and check it; it goes on where a partial ended."""
    from tqdm import tqdm

    sha256 = request.sha256
    _check_status(response, offset=offset)
    kind = response.headers.get("Content-Type", "no Content-Type")
    if sha256 is None and kind.startswith("text/html"):
        raise _Failure("refused", f"the server sent a web page ({kind}), not the file")
    total = _read_size(response)
    request.size = total or 0
    exchange.deadline = request.deadline
    if response.status_code == 206 and version:
        _check_range(response, offset=offset, version=version, total=total)
    else:  # also where a Range was asked for: the file changed, or the server has no ranges
        offset = 0
        _discard(part)  # before its version, so that no old partial gets the new one
        _write_version(part, url=request.url, response=response, size=total)
    _check_limit(total or 0, request.limits.max_bytes)
    with (
        part.open("ab") as file,
        tqdm(
            desc=visible(part.stem),
            total=total,
            initial=offset,
            unit="B",
            unit_scale=True,
            disable=None,  # unless stderr is a terminal
        ) as bar,
    ):
        for chunk in response.iter_content(CHUNK):
            exchange.advance()
            offset += len(chunk)
            _check_limit(offset, request.limits.max_bytes)
            file.write(chunk)
            bar.update(len(chunk))
        exchange.check()  # the end of a connection may look like the end of the file
        file.flush()
        os.fsync(file.fileno())
    if total is not None and offset != total:
        raise _Failure("broken", f"{offset} of {total} bytes received", restart=offset > total)
    if sha256 is not None and not (digest := hash_file(part)).startswith(sha256.lower()):
        raise _Failure(
            "wrong",
            f"{offset} bytes ({kind}) received with SHA-256 {digest}, expected {sha256}",
            restart=True,
        )


def _check_status(response: "Response", *, offset: int) -> None:
    status = response.status_code
    text = f"HTTP {status} {response.reason}"
    if status == 416 and offset:
        raise _Failure("broken", text, restart=True)
    if status in (408, 425, 429) or status >= 500:
        raise _Failure("broken", text, wait=_read_wait(response))
    if status != 200 and not (status == 206 and offset):
        raise _Failure("refused", text)
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise _Failure("refused", f"the server sent the file with Content-Encoding {encoding}")


def _check_range(
    response: "Response", *, offset: int, version: _Version, total: int | None
) -> None:
    # A server may honor Range and not If-Range: its answer is compared, not trusted.
    begin = re.match(r"bytes ([0-9]{1,15})-", response.headers.get("Content-Range", ""))
    if begin is None or int(begin[1]) != offset:
        raise _Failure(
            "broken", f"the server sent another range than from byte {offset}", restart=True
        )
    value = response.headers.get(version.header, version.value)
    if value != version.value or (version.size is not None and total != version.size):
        raise _Failure("broken", "the file changed on the server", restart=True)


def _check_limit(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise _Failure("refused", f"{size} bytes or more; the limit is {max_bytes}")


def _read_size(response: "Response") -> int | None:
    """Size of the whole file in bytes, None where the server does not tell.

    Raises:
        _Failure: what it tells is no size.
    """
    if response.status_code == 206:
        size = response.headers.get("Content-Range", "").rpartition("/")[2]
        size = "" if size == "*" else size
    else:
        size = response.headers.get("Content-Length", "")
    if not size:
        return None
    match = re.fullmatch(r"([0-9]{1,15})( *, *\1)*", size.strip())
    if match is None:
        raise _Failure("refused", f"the server sent an invalid size: {size[:60]!r}")
    return int(match[1])


def _read_wait(response: "Response") -> float:
    """Retry-After in seconds, 0 where there is none."""
    text = response.headers.get("Retry-After", "")
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        return parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError, OSError):  # no date, or none of this calendar
        return 0.0


def _explain(error: "RequestException", url: str) -> _Failure:
    from requests import ConnectionError, Timeout
    from requests.exceptions import ChunkedEncodingError, InvalidURL

    if isinstance(error, InvalidURL):
        return _Failure("refused", str(error))
    unreachable, text = web_errors.describe(error, url)
    if unreachable:
        return _Failure("unreachable", text)
    if isinstance(error, ConnectionError | Timeout | ChunkedEncodingError):
        return _Failure("broken", text)
    return _Failure("refused", text)


def name_cause(error: Exception) -> tuple[Exception, str]:
    """Cause of an error of a connection, and its text, without the address that was asked for."""
    from urllib3.exceptions import ProtocolError

    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)  # what MaxRetryError wraps
    text = str(cause.args[0] if isinstance(cause, ProtocolError) else cause)
    return cause, re.sub(r"^<?\S*Connection(Pool)?\b.*?[)>]: ", "", text)  # the object that failed


def _version_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_version(part: Path, *, url: str) -> _Version | None:
    try:
        version = _Version(**json.loads(_version_path(part).read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # none, or cut short by a crash
        return None
    return version if version.url == _digest(url) else None


def _write_version(part: Path, *, url: str, response: "Response", size: int | None) -> None:
    etag = response.headers.get("ETag", "W/")
    header = "Last-Modified" if etag.startswith("W/") else "ETag"  # a weak one is not for ranges
    if value := response.headers.get(header):  # without either, a partial is not resumed
        version = {"url": _digest(url), "header": header, "value": value, "size": size}
        _version_path(part).write_text(json.dumps(version))


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # an open bracket in its host, or a port that is none
        return False


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_path(part).unlink(missing_ok=True)
