"""Streams on this machine for tests: a TCP server with a script, and a clock without waiting."""

import re
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from make_video import write_video
from tiny import PROTOCOL

from videoswin_cli.data.live.clips import LiveClip
from videoswin_cli.data.live.connection import Reading, StreamState
from videoswin_cli.data.live.reader import LiveReader
from videoswin_cli.data.live.source import parse_source
from videoswin_cli.data.views import resolve_views
from videoswin_cli.options.run import OpenOptions

UNIFORM = replace(PROTOCOL, sampling="uniform")
FPS = 30  # at which PROTOCOL takes every second frame


def write_stream(path: Path, *, frames: int = 60, gop: int = 10) -> bytes:
    """An MPEG-TS of 30 frames per second in which no frame waits for a later one."""
    write_video(path, frames=frames, fps=FPS, gop=gop, b_frames=0)
    return path.read_bytes()


class QuickClock:
    """A clock on which time passes by sleeping, and by looking at it where it has a tick."""

    def __init__(self, tick: float = 0.0) -> None:
        self.time = 0.0
        self.tick = tick
        self.slept: list[float] = []

    def now(self) -> float:
        self.time += self.tick
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@dataclass
class Kept:
    """A mailbox that keeps all clips; `after` of them it wants no more."""

    ended: threading.Event
    after: int = 1_000_000
    clips: list[LiveClip] = field(default_factory=list)
    error: BaseException | None = None
    closed: threading.Event = field(default_factory=threading.Event)

    def put(self, clip: LiveClip) -> None:
        self.clips.append(clip)
        if len(self.clips) == self.after:
            self.ended.set()

    def close(self, error: BaseException | None = None) -> None:
        self.error = error
        self.closed.set()


@dataclass(kw_only=True)
class Seen:
    """What a reader made of a source."""

    clips: list[LiveClip]
    notices: list[str]
    state: StreamState
    clock: QuickClock

    @property
    def spans(self) -> list[tuple[int, int]]:
        return [(clip.first, clip.last) for clip in self.clips]


def read_source(
    text: str,
    *,
    every: float = 0.5,
    after: int = 1_000_000,
    record: Path | None = None,
    stall: float = 10.0,
    tick: float = 0.0,
) -> Seen:
    """Read a source to its end, or until so many clips are there; raises what the reader does."""
    ended, clock = threading.Event(), QuickClock(tick)
    notices: list[str] = []
    mailbox = Kept(ended, after)
    reading = Reading(
        source=parse_source(text),
        protocol=PROTOCOL,
        views=resolve_views("1x1", PROTOCOL),
        opening=OpenOptions(),
        every=every,
        record=record,
        stall=stall,
    )
    reader = LiveReader(reading, mailbox, ended=ended, notice=notices.append, clock=clock)  # type: ignore[arg-type]
    with reader:
        assert mailbox.closed.wait(30)
    if mailbox.error is not None:
        raise mailbox.error
    return Seen(clips=mailbox.clips, notices=notices, state=reader.state, clock=clock)


@contextmanager
def serve_tcp(script: Sequence[bytes], *, then: str = "close") -> Iterator[str]:
    """The address of a server that sends one text per connection, and the last one ever after.

    Args:
        script: what is sent.
        then: `close` the connection, or `hold` it without another byte.
    """
    released = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.05)

    def run() -> None:
        number, open_ = 0, []
        while not released.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            connection.settimeout(10)
            with suppress(OSError):  # the client has enough
                connection.sendall(script[min(number, len(script) - 1)])
            number += 1
            if then == "close":
                connection.close()
            else:
                open_.append(connection)
        for connection in open_:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
    finally:
        released.set()
        thread.join()
        server.close()


@contextmanager
def serve_rtsp(stream: bytes) -> Iterator[tuple[str, list[str]]]:
    """Address of a camera that plays an MPEG-TS to one client after the other, and its requests."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Rtsp)
    server.daemon_threads = False
    requests: list[str] = []
    vars(server).update(stream=stream, requests=requests)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"rtsp://127.0.0.1:{server.server_address[1]}/cam", requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Rtsp(socketserver.StreamRequestHandler):
    timeout = 10
    sdp = (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:1\r\n"
    )

    def handle(self) -> None:
        replies = {
            "OPTIONS": "Public: DESCRIBE, SETUP, PLAY\r\n\r\n",
            "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(self.sdp)}\r\n\r\n"
            + self.sdp,
            "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n",
            "PLAY": "Session: 1\r\n\r\n",
        }
        with suppress(OSError):  # the client has enough
            while request := self._receive():
                vars(self.server)["requests"].append(request)
                method, number = request.split()[0], re.search(r"CSeq: (\d+)", request)
                assert number is not None
                answer = f"RTSP/1.0 200 OK\r\nCSeq: {number[1]}\r\n{replies.get(method, chr(13))}"
                self.wfile.write(answer.encode())
                if method == "PLAY":
                    self._play(vars(self.server)["stream"])
                    return

    def _receive(self) -> str:
        lines = []
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines.append(line.decode())
        return "".join(lines)

    def _play(self, stream: bytes) -> None:
        """RTP packets between the lines of RTSP."""
        for number, place in enumerate(range(0, len(stream), 7 * 188)):
            payload = struct.pack(">BBHII", 0x80, 33, number, number * 3000, 1)
            payload += stream[place : place + 7 * 188]
            self.wfile.write(struct.pack(">cBH", b"$", 0, len(payload)) + payload)
