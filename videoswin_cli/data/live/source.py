"""A live source as the user writes it: a camera, a stream of the network, or a file."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.data.decoding.frame_folder import is_folder
from videoswin_cli.errors import MissingInputError, UsageError

Kind = Literal["camera", "rtsp", "http", "tcp", "udp", "file"]

_SCHEMES: dict[str, Kind] = {
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "http": "http",
    "https": "http",
    "tcp": "tcp",
    "udp": "udp",
}
_EXPECTED = (
    "give a file, camera:0, or a rtsp://, http(s)://, tcp:// or udp:// address (the last two of "
    "MPEG-TS)"
)


@dataclass(frozen=True, kw_only=True)
class LiveSource:
    """Origin of a stream."""

    kind: Kind
    address: str  # number or name of the camera, URL with its credentials, or path

    @property
    def shown(self) -> str:
        """The source as messages and results name it: without user, password and query."""
        if self.kind in ("camera", "file"):
            return f"camera:{self.address}" if self.kind == "camera" else self.address
        return re.split(r"[?#]", hide_credentials(self.address))[0]

    def hide(self, text: str) -> str:
        """A message, perhaps of a library, with the address as it may be shown."""
        query = self.address.partition("?")[2] if self.of_network else ""
        text = hide_credentials(text.replace(self.address, self.shown))
        return text.replace(f"?{query}", "") if query else text

    @property
    def of_network(self) -> bool:
        return self.kind not in ("camera", "file")

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Of a TCP or UDP address; the host may be empty."""
        parts = urlsplit(self.address)
        return parts.hostname or "", parts.port or 0


def parse_source(text: str) -> LiveSource:
    """The source that a text names.

    Raises:
        UsageError: an address of another kind, or one without host or port.
        MissingInputError: no such file.
    """
    if text.startswith("camera:") and text != "camera:":
        return LiveSource(kind="camera", address=text.removeprefix("camera:"))
    scheme, found, _ = text.partition("://")
    if found:
        kind = _SCHEMES.get(scheme.lower())
        if kind is None:
            raise UsageError(f"{scheme}:// cannot be watched", hint=_EXPECTED)
        source = LiveSource(kind=kind, address=text)
        _check_address(source)
        return source
    try:
        is_file = Path(text).is_file()
    except (OSError, ValueError):  # too long, a NUL character
        is_file = False
    if not is_file:
        what = "a folder is no stream" if is_folder(text) else "no such file"
        raise MissingInputError(f"{what}: {text}", hint=_EXPECTED)
    return LiveSource(kind="file", address=text)


def _check_address(source: LiveSource) -> None:
    try:
        host, port = source.host_and_port
    except ValueError as error:  # of the port, or of brackets
        raise UsageError(f"{source.shown}: no valid address", hint=_EXPECTED) from error
    if not host and source.kind != "udp":
        raise UsageError(f"{source.shown}: no host in this address", hint=_EXPECTED)
    if not port and source.kind in ("tcp", "udp"):
        raise UsageError(
            f"{source.shown}: no port in this address", hint="like tcp://192.168.0.7:9000"
        )
