"""Bytes of a stream of the network as they come: HTTP, TCP and UDP.

Whoever reads waits no longer than a stall is allowed to last, and `end` lets go at once.
"""

import math
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any, Protocol

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.errors import FetchError, OfflineError
from videoswin_cli.io.fetch import name_cause
from videoswin_cli.io.paths import offline, private_redirects
from videoswin_cli.io.transport import CONNECT_SECONDS, Exchange, RedirectError, SlowError
from videoswin_cli.io.visible import visible

_POLL_SECONDS = 0.1  # from one look at whether a reader should let go to the next
_DATAGRAM = 1 << 16  # bytes, the most
_BUFFER = 4 << 20  # bytes that the system keeps of datagrams
_MOST_TEXT = 200  # characters of a server's or a library's message


class ByteStream(Protocol):
    """Bytes that are read forward only; FFmpeg reads them through `read`."""

    sized: bool  # its end is known: a file, not a broadcast

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, at least one; none at the end.

        Raises:
            FetchError: nothing came for too long, or the connection broke.
        """
        ...


def check_online(shown: str) -> None:
    """Raises OfflineError where the network is forbidden."""
    if offline():
        raise OfflineError(
            f"{shown}: offline mode forbids the network",
            hint="leave offline mode (VIDEOSWIN_OFFLINE), or watch a camera or a file",
        )


@contextmanager
def open_http(url: str, *, stall: float, ended: threading.Event) -> Iterator[ByteStream]:
    """Body of the reply to a GET request; redirects are followed as for downloads.

    Args:
        url: with or without user and password, which are sent to its host only.
        stall: seconds without a byte after which the stream is lost.
        ended: set by another thread, which wants the reader to let go.

    Raises:
        FetchError: no connection, or another answer than the stream.
    """
    from http.client import HTTPException

    from urllib3.exceptions import HTTPError

    exchange = Exchange(
        deadline=math.inf, private_redirects=private_redirects(), read_seconds=stall
    )
    done = threading.Event()

    def let_go() -> None:
        while not done.wait(_POLL_SECONDS):
            if ended.is_set():
                exchange.end()
                return

    watcher = threading.Thread(target=let_go, daemon=True)
    with exchange:
        watcher.start()
        try:
            with exchange.get(url, {"Accept-Encoding": "identity"}) as response:
                _check_reply(response)
                yield _HttpBody(response, exchange)
        except (RedirectError, SlowError) as error:
            raise FetchError(str(error)) from error
        except (OSError, HTTPError, HTTPException) as error:
            raise _lost(error) from error
        finally:
            done.set()
            watcher.join()


class _HttpBody:
    def __init__(self, response: Any, exchange: Exchange) -> None:
        self._response = response
        self._exchange = exchange
        self.sized = "Content-Length" in response.headers

    def read(self, size: int) -> bytes:
        from http.client import HTTPException

        from urllib3.exceptions import HTTPError

        self._exchange.advance()
        try:
            data: bytes = self._response.raw.read(size)
        except (OSError, ValueError, HTTPError, HTTPException) as error:
            raise _lost(error) from error
        return data


def _check_reply(response: Any) -> None:
    if response.status_code != 200:
        raise FetchError(f"HTTP {response.status_code} {visible(response.reason)[:_MOST_TEXT]}")
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/html"):
        raise FetchError("the server sent a web page (text/html), not a stream")


@contextmanager
def open_tcp(host: str, port: int, *, stall: float, ended: threading.Event) -> Iterator[ByteStream]:
    """Bytes that a server sends to whoever connects; arguments as of `open_http`."""
    try:
        connection = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
    except OSError as error:
        raise _lost(error) from error
    with connection:
        yield _Socket(connection, stall=stall, ended=ended)


@contextmanager
def open_udp(host: str, port: int, *, stall: float, ended: threading.Event) -> Iterator[ByteStream]:
    """Datagrams that are sent to a port of this machine, or to a multicast group.

    Args:
        host: an address of this machine, or the group; empty: any address of this machine.
        port: of this machine.
        stall: as of `open_http`.
        ended: as of `open_http`.
    """
    receiver = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    with receiver:
        try:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):  # more than the system allows
                receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            group = _group(host)
            receiver.bind(("" if group else host, port))
            if group is not None:
                receiver.setsockopt(*group)
        except OSError as error:
            raise _lost(error) from error
        yield _Socket(receiver, stall=stall, ended=ended, at_once=_DATAGRAM)


def _group(host: str) -> tuple[int, int, bytes] | None:
    """The socket option that joins a multicast group; None for other addresses."""
    try:
        address = ip_address(host)
    except ValueError:  # a name, or none
        return None
    if not address.is_multicast:
        return None
    if address.version == 6:
        return socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, address.packed + struct.pack("@I", 0)
    return socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("=4sI", address.packed, 0)


class _Socket:
    sized = False

    def __init__(
        self, connection: socket.socket, *, stall: float, ended: threading.Event, at_once: int = 0
    ) -> None:
        connection.settimeout(_POLL_SECONDS)
        self._connection = connection
        self._stall = stall
        self._ended = ended
        self._at_once = at_once  # bytes; a datagram loses what does not fit
        self._left = b""

    def read(self, size: int) -> bytes:
        if not self._left:
            self._left = self._receive(max(size, self._at_once))
        data, self._left = self._left[:size], self._left[size:]
        return data

    def _receive(self, size: int) -> bytes:
        due = time.monotonic() + self._stall
        while not self._ended.is_set():
            try:
                return self._connection.recv(size)
            except TimeoutError:
                if time.monotonic() >= due:
                    raise FetchError(f"nothing received for {self._stall:g} s") from None
            except OSError as error:
                raise _lost(error) from error
        return b""


def _lost(error: Exception) -> FetchError:
    """An error of a connection, whose text may be that of a server, as one that can be shown."""
    text = getattr(error, "strerror", None) or name_cause(error)[1] or type(error).__name__
    return FetchError(visible(hide_credentials(str(text))[:_MOST_TEXT]))
