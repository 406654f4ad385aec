"""One HTTP request with its redirects, whose connections get on in time and stay outside.

A server, not the user, says where a redirect leads and how fast bytes come. So every connection is
looked at before anything is sent on it, and a thread ends those that stand still or trickle.
"""

import socket
import threading
import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from requests import Response, Session

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0  # without a byte
SLOW_SECONDS = 60.0  # for the headers of a reply, and for each piece that `Exchange.advance` ends
MAX_REDIRECTS = 10

_NAT64 = IPv6Network("64:ff9b::/96")  # IPv4 addresses as networks without IPv4 see them


class RedirectError(Exception):
    """A redirect that is not followed."""


class SlowError(Exception):
    """A server that sends too little, or a fetch that takes too long."""


class Exchange:
    """A request and its reply, to be used in a `with` block.

    Args:
        deadline: of `time.monotonic`; the exchange ends then, however fast it is.
        private_redirects: follow a redirect from a public address to one of this machine or of a
            network that is not public.
        public_only: connect to no address of this machine or of a network that is not public.
        read_seconds: without a byte after which it fails; None: READ_SECONDS.
    """

    def __init__(
        self,
        *,
        deadline: float,
        private_redirects: bool = False,
        public_only: bool = False,
        read_seconds: float | None = None,
    ) -> None:
        self.deadline = deadline
        self._read_seconds = READ_SECONDS if read_seconds is None else read_seconds
        self._private_redirects = private_redirects
        self._public_only = public_only
        self._public = False  # an address on the way was public
        self._sockets: list[socket.socket] = []
        self._due = 0.0
        self._late = False
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._end_when_due, daemon=True)
        self._session = _make_session(self)

    def __enter__(self) -> "Exchange":
        self.advance()
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()
        self._session.close()
        for connection in self._sockets:
            connection.close()

    def get(self, url: str, headers: dict[str, str]) -> "Response":
        """The reply behind all redirects, its body not read yet.

        Raises:
            RedirectError: a redirect leads nowhere, inside, or is one too many.
            requests.RequestException: anything else.
        """
        for _ in range(MAX_REDIRECTS + 1):
            self._pass_proxy(url)
            response = self._ask(url, headers)
            target = self._session.get_redirect_target(response)
            if target is None:
                return response
            response.close()
            url = _follow(url, target)
        raise RedirectError(f"more than {MAX_REDIRECTS} redirects")

    def _ask(self, url: str, headers: dict[str, str]) -> "Response":
        """One reply; `Session.get` would read all of a redirect's body, however long it is."""
        from requests import Request, cookies

        request = self._session.prepare_request(Request("GET", url, headers=headers))
        settings: Any = self._session.merge_environment_settings(request.url, {}, True, None, None)
        response = self._session.get_adapter(url).send(
            request, timeout=(CONNECT_SECONDS, self._read_seconds), **settings
        )
        keep_cookies: Any = cookies.extract_cookies_to_jar
        keep_cookies(self._session.cookies, request, response.raw)
        return response

    def advance(self) -> None:
        """A piece is there: so much time for the next one."""
        self._due = min(time.monotonic() + SLOW_SECONDS, self.deadline)

    def end(self) -> None:
        """End its connections at once; whoever reads from them gets an error or the end."""
        for connection in list(self._sockets):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raise SlowError where the connections were ended for being late."""
        if not self._late:
            return
        if time.monotonic() >= self.deadline:
            raise SlowError("it takes too long")
        raise SlowError(f"too slow: no data received for {SLOW_SECONDS:.0f} s")

    def admit(self, connection: socket.socket, *, direct: bool) -> None:
        """Watch a new connection; where it is not one to a proxy, look at where it leads.

        Raises:
            RedirectError: inside, after one to a public address.
        """
        self._sockets.append(connection.dup())  # ends it at whatever layer something waits
        try:
            if direct:
                self._pass(peer_address(connection))
        except RedirectError:
            connection.close()
            raise

    def look_up(self, host: str, port: int) -> None:
        """Check of all addresses of a name, where only public ones are wanted.

        `admit` would be too late: whether a connection is refused tells which ports are open.

        Raises:
            RedirectError: one of them is inside.
        """
        if not self._public_only:
            return
        with suppress(OSError, UnicodeError):  # the connection fails of it as well
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                self._pass(str(address[0]))

    def _pass_proxy(self, url: str) -> None:
        """Through a proxy all that is known of the other side is its name."""
        from requests.utils import get_environ_proxies, select_proxy

        if not select_proxy(url, get_environ_proxies(url)):
            return
        host = urlsplit(url).hostname or ""
        try:
            self._pass(host)
        except ValueError:  # a name
            if host.endswith("localhost"):
                self._pass("127.0.0.1")
            self._public = self._public or "." in host

    def _pass(self, address: str) -> None:
        if is_public(address):
            self._public = True
        elif self._public_only:
            raise RedirectError(f"{address} is not an address of the open internet")
        elif self._public and not self._private_redirects:
            raise RedirectError(
                f"a redirect from a public address to {address}, which is not "
                "(--allow-private-redirects follows it)"
            )

    def _end_when_due(self) -> None:
        while (left := self._due - time.monotonic()) > 0:
            if self._ended.wait(left):
                return
        self._late = True
        while not self._ended.wait(0.2):  # also what is connected to from now on
            self.end()


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet.

    Raises:
        ValueError: it is no IP address.
    """
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found in _NAT64:
            found = IPv4Address(int(found) & 0xFFFFFFFF)
        else:
            found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global and not found.is_multicast


def peer_address(connection: socket.socket) -> str:
    """IP address of the other side."""
    return str(connection.getpeername()[0])


def _follow(url: str, target: str) -> str:
    try:
        found = urljoin(url, target)
        parts = urlsplit(found)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return found
    except ValueError:
        pass
    raise RedirectError(f"a redirect to {target[:200]!r}, which is not an http or https address")


def _make_session(exchange: Exchange) -> "Session":
    """A session whose connections are shown to `exchange` before anything is sent."""
    import requests
    from requests.adapters import HTTPAdapter

    def guarded(pool: Any, *, direct: bool) -> Any:
        base = pool.ConnectionCls

        def connect(self: Any) -> socket.socket:
            if direct:
                exchange.look_up(self._dns_host, self.port)
            connection: socket.socket = base._new_conn(self)
            exchange.admit(connection, direct=direct)
            return connection

        watched = type(base.__name__, (base,), {"_new_conn": connect})
        return type(pool.__name__, (pool,), {"ConnectionCls": watched})

    def guard(manager: Any, *, direct: bool) -> None:
        manager.pool_classes_by_scheme = {
            scheme: guarded(pool, direct=direct)
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options)
            guard(self.poolmanager, direct=True)

        def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
            known = proxy in self.proxy_manager
            manager = super().proxy_manager_for(proxy, **options)
            if not known:
                guard(manager, direct=False)
            return manager

    session = requests.Session()
    session.mount("http://", Adapter())
    session.mount("https://", Adapter())
    return session
