"""Errors of connections to web servers: which host, and what it did."""

import errno
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from requests import RequestException

HINT = "is the address right, the server up, and the network there? Run the same command again then"

_REFUSED = {
    errno.ECONNREFUSED: "refuses connections",
    errno.EHOSTUNREACH: "cannot be reached",
    errno.ENETUNREACH: "cannot be reached: there is no network",
}


def name_host(url: str) -> str:
    """Host and port of an address, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def describe(error: "RequestException", url: str) -> tuple[bool, str]:
    """Whether there was no connection at all, and what became of it, with the host.

    Args:
        error: of a request.
        url: that was asked for, where the error does not know it.
    """
    from requests.exceptions import ProxyError, SSLError
    from urllib3.exceptions import (
        ConnectTimeoutError,
        NameResolutionError,
        NewConnectionError,
        ReadTimeoutError,
    )

    host = name_host(str(getattr(error.request, "url", None) or url))
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)  # what MaxRetryError wraps
    cause = cause if isinstance(cause, Exception) else error  # some hold a text only
    if isinstance(cause, NameResolutionError):
        return True, f"no host of the name {host} was found"
    if isinstance(error, ProxyError):
        return True, f"the proxy for {host} cannot be used: {_reason(cause)}"
    if isinstance(error, SSLError):
        return True, f"{host} cannot be trusted: {_reason(cause)}"
    if isinstance(cause, NewConnectionError):  # a ConnectTimeoutError for urllib3
        found = _find_os_error(cause)
        number = None if found is None else found.errno
        return True, f"{host} {_REFUSED.get(number or 0, 'cannot be reached')}"
    if isinstance(cause, ConnectTimeoutError):
        return True, f"{host} does not answer"
    if isinstance(cause, ReadTimeoutError):
        return False, f"{host} stopped sending"
    return False, f"the connection to {host} broke: {_reason(cause)}"


def _find_os_error(error: BaseException | None) -> OSError | None:
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__
    return None


def _reason(error: Exception) -> str:
    """What the system says of an error; else the last sentence in it that is no library's."""
    inner = next((each for each in error.args[::-1] if isinstance(each, Exception)), error)
    expected, got = getattr(inner, "expected", None), getattr(inner, "partial", None)
    if isinstance(expected, int) and isinstance(got, int):
        return f"{got} of {got + expected} bytes received"
    found = _find_os_error(inner)
    if found is not None and found.strerror:
        return found.strerror.lower()
    return " ".join(str(inner).split())[:200]
