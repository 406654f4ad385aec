"""Videos of requests as temporary files, which are gone when the request is answered."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from videoswin_cli.errors import FetchError
from videoswin_cli.io.addresses import is_web
from videoswin_cli.io.fetch import Limits, fetch
from videoswin_cli.io.paths import offline
from videoswin_cli.ranges import shown
from videoswin_cli.tasks.serve.gate import Gate
from videoswin_cli.tasks.serve.refusals import RefusedError

UPLOAD_SECONDS = 300.0  # for one body, and for one address
ARRAY_TYPE = "application/x-npy"
_TAKEN = f'multipart/form-data with a file, {ARRAY_TYPE}, or application/json {{"url": ...}}'
_LONGEST_JSON = 1 << 16  # bytes


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A video that was received."""

    file: Path
    name: str  # that the client gave it: results call it so


@dataclass(frozen=True, kw_only=True)
class IntakeRules:
    """Rules of what is received, on all routes together."""

    max_body: int  # bytes
    allow_urls: bool
    receiving: Gate  # of bodies on their way, and of those that wait to be computed
    fetching: Gate  # of addresses among them, each of which holds a thread
    computing: Gate  # of videos that are there


@asynccontextmanager
async def received(request: Request, rules: IntakeRules) -> AsyncIterator[Upload]:
    """The video of a request, in a folder that is removed when the block ends.

    It has its place among those that are computed, for which it waits where it was received.

    Raises:
        RefusedError: too large, too slow, too many, or nothing that is taken.
        FetchError: an address that cannot be fetched.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    _check_length(request, rules.max_body)
    with TemporaryDirectory(prefix="videoswin-") as name:
        async with AsyncExitStack() as computed:
            async with rules.receiving.entered():
                upload = await _receive_in_time(request, kind, Path(name), rules)
                await computed.enter_async_context(rules.computing.entered(waits=True))
            yield upload


async def _receive_in_time(request: Request, kind: str, folder: Path, rules: IntakeRules) -> Upload:
    try:
        return await asyncio.wait_for(_receive(request, kind, folder, rules), UPLOAD_SECONDS)
    except asyncio.TimeoutError as error:
        raise RefusedError(408, f"the video took more than {UPLOAD_SECONDS:.0f} s") from error
    except ClientDisconnect as error:
        raise RefusedError(400, "the upload ended in its middle") from error
    except OSError as error:
        raise RefusedError(507, f"the video cannot be stored: {error.strerror}") from error


def _check_length(request: Request, limit: int) -> None:
    text = request.headers.get("content-length", "0")
    if text.isascii() and text.isdigit() and int(text) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(
        413, f"more than {limit} bytes", hint="send a shorter or smaller video (--max-body)"
    )


async def _receive(request: Request, kind: str, folder: Path, rules: IntakeRules) -> Upload:
    if kind == "multipart/form-data":
        return await _receive_form(request, folder, rules.max_body)
    if kind == ARRAY_TYPE:
        file = folder / "frames.npy"
        with file.open("wb") as target:
            async for chunk in _bounded(request, rules.max_body):
                await run_in_threadpool(target.write, chunk)
        return Upload(file=file, name=file.name)
    if kind == "application/json":
        return await _receive_address(request, folder, rules)
    raise RefusedError(415, f"a body of type {shown(kind)}", hint=f"send {_TAKEN}")


async def _bounded(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Pieces of the body, whose header may say less than comes or nothing."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk


async def _receive_form(request: Request, folder: Path, limit: int) -> Upload:
    parser = MultiPartParser(request.headers, _bounded(request, limit), max_files=1, max_fields=0)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise RefusedError(422, f"no form with one file: {error}", hint=_TAKEN) from error
    sent = next(iter(form.values()), None)
    if not isinstance(sent, UploadFile):
        raise RefusedError(422, "a form without a file", hint="curl -F file=@clip.mp4")
    try:
        name = (sent.filename or "").replace("\\", "/").rpartition("/")[2] or "upload"
        file = _place(folder, name)
        await run_in_threadpool(_copy, sent.file, file)
    finally:
        await form.close()
    return Upload(file=file, name=name)


def _copy(source: IO[bytes], file: Path) -> None:
    with file.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)


def _place(folder: Path, name: str) -> Path:
    """A file whose suffix alone, by which arrays are known, is that of the client's name."""
    suffix = PurePosixPath(name).suffix.lower()
    return folder / f"video{suffix if re.fullmatch(r'[.][a-z0-9]{1,8}', suffix) else ''}"


async def _receive_address(request: Request, folder: Path, rules: IntakeRules) -> Upload:
    if not rules.allow_urls:
        raise RefusedError(403, "this server fetches no addresses", hint="upload the video")
    text = b"".join([chunk async for chunk in _bounded(request, _LONGEST_JSON)])
    try:
        url = json.loads(text)["url"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RefusedError(422, 'expected {"url": "https://..."}') from error
    if not isinstance(url, str) or not is_web(url):
        raise RefusedError(422, "expected an http:// or https:// address")
    limits = Limits(
        max_bytes=rules.max_body,
        max_seconds=UPLOAD_SECONDS,
        patience_seconds=30,
        public_only=True,  # who asks is not who runs this server
    )
    file = _place(folder, url.partition("?")[0].partition("#")[0])
    try:
        async with rules.fetching.entered():
            await run_in_threadpool(fetch, url, file, limits=limits, offline=offline())
    except FetchError as error:  # its hint names our file
        raise FetchError(error.message.replace(str(file), "the video")) from error
    return Upload(file=file, name=url)
