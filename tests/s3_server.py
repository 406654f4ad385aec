"""A real S3 server on this machine, behind a proxy that injects faults."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code>"
    b"<Message>Please reduce your request rate.</Message></Error>"
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How one request is answered in place of the server."""

    status: int = 0  # 0: as the server says
    body: bytes = SLOW_DOWN
    cut: int | None = None  # bytes of the body before the connection ends
    wait: float = 0.0  # seconds


@dataclass(frozen=True)
class Asked:
    """One request that came."""

    method: str
    path: str
    sent: int  # bytes of the body of its answer


class S3Proxy(ThreadingHTTPServer):
    """Passes requests on to a server; those that `faults` names fail first."""

    daemon_threads = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.faults: list[tuple[str, str, Fault]] = []  # method, part of the path, what happens
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def sent(self, key: str) -> int:
        """Bytes of an object that were sent."""
        return sum(a.sent for a in self.asked if a.method == "GET" and a.path.endswith(key))

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: S3Proxy
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        server = self.server
        fault = next((f for f in server.faults if f[0] == self.command and f[1] in self.path), None)
        if fault is not None:
            server.faults.remove(fault)
        self._answer(fault[2] if fault else Fault())

    def _answer(self, fault: Fault) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(size)
        time.sleep(fault.wait)
        if fault.status:
            self._send(fault.status, [("Content-Type", "application/xml")], fault.body, None)
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.server.target)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        connection.request(self.command, self.path, body=data, headers=headers)
        response = connection.getresponse()
        body = response.read()
        self._send(response.status, response.getheaders(), body, fault.cut)
        connection.close()

    def _send(
        self, status: int, headers: list[tuple[str, str]], body: bytes, cut: int | None
    ) -> None:
        head = self.command == "HEAD"
        self.send_response(status)
        for key, value in headers:
            if key.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(key, value)
        given = next((v for k, v in headers if k.lower() == "content-length"), str(len(body)))
        self.send_header("Content-Length", given if head else str(len(body)))
        sent = b"" if head else body[:cut]
        # Before the client can have its answer, and look.
        self.server.asked.append(Asked(self.command, self.path.partition("?")[0], len(sent)))
        self.end_headers()
        self.wfile.write(sent)
        if cut is not None:
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket called `data`, and the proxy in front of it."""

    store: Any  # of moto, in this process
    proxy: S3Proxy
    environment: dict[str, str]

    def put(self, key: str, data: bytes) -> str:
        self.store.put_object("data", key, data)
        return f"s3://data/{key}"

    def get(self, key: str) -> bytes:
        data: bytes = self.store.get_object("data", key).value
        return data

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self.store.buckets["data"].keys if key.startswith(prefix))


def forget_connections() -> None:
    """Clients are kept, and hold the address of the server that they were made for."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()


@contextmanager
def serve_s3() -> Iterator[Bucket]:
    """A bucket of a server that runs for the length of the block."""
    import moto.s3.models as s3
    from moto.server import ThreadedMotoServer

    forget_connections()
    server: Any = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    proxy = S3Proxy(port)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    environment = {
        "AWS_ACCESS_KEY_ID": "testing-key-id",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": proxy.url,
    }
    try:
        store = s3.s3_backends["123456789012"]["aws"]
        store.reset()  # another module of this process may have had one
        store.create_bucket("data", "us-east-1")
        yield Bucket(store=store, proxy=proxy, environment=environment)
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
        server.stop()
