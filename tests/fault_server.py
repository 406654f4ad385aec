"""A web server on this machine that fails as it is told, one script of replies a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How one request is answered; as it stands, well."""

    status: int = 200
    body: bytes | None = None  # None: the server's
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = None  # None: the server's
    length: bool = True  # announce Content-Length
    cut: int | None = None  # bytes of the body before the connection ends
    mute: bool = False  # say nothing at all until `released`
    stall: bool = False  # after `cut` bytes say nothing more until `released`
    ranges: bool = True  # honour Range
    if_range: bool = True  # honour If-Range; False: answer 206 for any version
    shift: int = 0  # bytes that a 206 begins too late
    trickle: Literal["", "headers", "body"] = ""  # sent byte by byte, 20 a second


class FaultServer(ThreadingHTTPServer):
    daemon_threads = False  # server_close joins them: no thread outlives its test

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.body = body
        self.etag = '"one"'
        self.script: list[Reply] = []  # used up from the front; then every reply is good
        self.asked: list[dict[str, str]] = []  # the headers of each request
        self.sent = 0  # bytes of bodies
        self.arrived = threading.Event()
        self.released = threading.Event()

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.asked]

    def url(self, name: str = "weights.pth") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: FaultServer

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(dict(self.headers))
        reply = server.script.pop(0) if server.script else Reply()
        server.arrived.set()
        if reply.mute:
            server.released.wait(10)
        body = server.body if reply.body is None else reply.body
        etag = server.etag if reply.etag is None else reply.etag
        status, extra = reply.status, {}
        wanted = self.headers.get("Range")
        same = self.headers.get("If-Range", etag) == etag or not reply.if_range
        if status == 200 and wanted and reply.ranges and same:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin = int(first) + reply.shift
            end = min(int(last or len(body)) + 1, len(body))
            status = 206
            extra["Content-Range"] = f"bytes {begin}-{end - 1}/{len(body)}"
            body = body[begin:end]
        if reply.length:
            extra["Content-Length"] = str(len(body))
        if etag:
            extra["ETag"] = etag
        self.send_response(status)
        for key, value in {**extra, **reply.headers}.items():
            self.send_header(key, value)
        if reply.trickle == "headers":
            headers: list[bytes] = vars(self)["_headers_buffer"]
            self._trickle(b"".join(headers))
            headers.clear()
        self.end_headers()
        if reply.trickle:
            self._trickle(body[: reply.cut])
        self.wfile.write(body[: reply.cut])
        server.sent += len(body[: reply.cut])
        if reply.stall:
            self.wfile.flush()
            server.released.wait(10)
            if reply.cut is not None:
                self.wfile.write(body[reply.cut :])

    def _trickle(self, data: bytes) -> None:
        """Ends, as the test does, when the client hangs up."""
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.server.released.wait(0.05)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve(body: bytes) -> Iterator[FaultServer]:
    with FaultServer(body) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
