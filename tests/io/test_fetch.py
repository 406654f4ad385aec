import errno
import hashlib
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fault_server import FaultServer, Reply, serve

from videoswin_cli.errors import FetchError, UsageError
from videoswin_cli.io import fetch as module
from videoswin_cli.io import transport
from videoswin_cli.io.fetch import Limits, fetch

BODY = random.Random(7).randbytes(300_000)  # several chunks
SHA = hashlib.sha256(BODY).hexdigest()
OTHER = random.Random(8).randbytes(300_000)
CUT = 200_000


@pytest.fixture
def waits() -> list[float]:
    """The seconds that would have been slept."""
    return []


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transport, "READ_SECONDS", 1.0)
    passing = SimpleNamespace(sleep=waits.append, time=time.time)
    passing.monotonic = lambda: time.monotonic() + sum(waits)
    monkeypatch.setattr(module, "time", passing)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with serve(BODY) as server:
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights.pth"


def names(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()}


def assert_whole(target: Path, body: bytes = BODY) -> None:
    assert target.read_bytes() == body
    assert names(target) == {"weights.pth", "weights.pth.lock"}


def assert_nothing_left(target: Path) -> None:
    assert names(target) <= {"weights.pth.lock"}


def leave_partial(server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ctrl-C leaves behind when it comes after CUT bytes."""

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    server.script = [Reply(cut=CUT)]
    with monkeypatch.context() as patch:
        patch.setattr(module, "time", SimpleNamespace(sleep=interrupt, monotonic=time.monotonic))
        with pytest.raises(KeyboardInterrupt):
            fetch(server.url(), target)
    server.asked.clear()


def partial_size(target: Path) -> int:
    return target.with_name("weights.pth.part").stat().st_size


@pytest.mark.parametrize("sha256", [None, SHA, SHA[:8], SHA.upper()])
def test_a_file_arrives_whole_in_a_new_folder(
    server: FaultServer, target: Path, sha256: str | None
) -> None:
    assert fetch(server.url(), target, sha256=sha256) == target
    assert_whole(target)
    assert server.asked[0]["Accept-Encoding"] == "identity"


def test_a_file_without_announced_size_arrives(server: FaultServer, target: Path) -> None:
    server.script = [Reply(length=False)]
    fetch(server.url(), target)
    assert_whole(target)


def test_a_file_that_is_there_is_not_fetched(server: FaultServer, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"mine")
    fetch(server.url(), target)
    assert target.read_bytes() == b"mine"
    assert not server.asked
    with pytest.raises(FetchError, match="expected " + SHA[:8]):
        fetch(server.url(), target, sha256=SHA[:8])
    fetch(server.url(), target, sha256=SHA, force=True)
    assert_whole(target)


def test_force_keeps_the_old_file_when_it_fails(server: FaultServer, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"mine")
    server.script = [Reply(status=404)]
    with pytest.raises(FetchError):
        fetch(server.url(), target, force=True)
    assert_whole(target, b"mine")


@pytest.mark.parametrize("fault", [Reply(cut=CUT), Reply(cut=CUT, stall=True)])
def test_a_broken_transfer_is_resumed(server: FaultServer, target: Path, fault: Reply) -> None:
    server.script = [fault]
    fetch(server.url(), target, sha256=SHA)
    assert_whole(target)
    first, second = server.ranges
    assert first is None
    assert second is not None
    assert CUT - module.CHUNK < int(second.removeprefix("bytes=").removesuffix("-")) <= CUT
    assert server.asked[1]["If-Range"] == '"one"'


@pytest.mark.parametrize("fault", [Reply(mute=True), Reply(cut=0, stall=True)])
def test_a_stall_before_the_first_byte_is_retried(
    server: FaultServer, target: Path, fault: Reply
) -> None:
    server.script = [fault]
    fetch(server.url(), target)
    assert_whole(target)
    assert len(server.asked) == 2


def test_a_range_served_in_pieces_is_put_together(server: FaultServer, target: Path) -> None:
    piece = Reply(cut=40_000, headers={"Content-Length": "40000"})
    server.script = [Reply(cut=CUT), piece, piece]
    fetch(server.url(), target)
    assert_whole(target)
    assert len(server.asked) == 4


def test_without_a_validator_nothing_is_continued(server: FaultServer, target: Path) -> None:
    server.script = [Reply(cut=CUT, etag=""), Reply(etag="")]
    fetch(server.url(), target)
    assert_whole(target)
    assert server.ranges == [None, None]


def test_a_weak_etag_gives_way_to_the_date(server: FaultServer, target: Path) -> None:
    dated = {"Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}
    server.script = [
        Reply(cut=CUT, etag='W/"one"', headers=dated),
        Reply(etag='W/"one"', headers=dated, if_range=False),
    ]
    fetch(server.url(), target)
    assert_whole(target)
    assert server.asked[1]["If-Range"] == dated["Last-Modified"]


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_changed_between_tries_is_not_mixed(
    server: FaultServer, target: Path, if_range: bool
) -> None:
    server.script = [Reply(cut=CUT, body=BODY, etag='"one"'), Reply(if_range=if_range)]
    server.body, server.etag = OTHER, '"two"'
    fetch(server.url(), target)
    assert_whole(target, OTHER)
    assert server.ranges[1] is not None


@pytest.mark.parametrize(
    ("second", "requests"),
    [(Reply(ranges=False), 2), (Reply(status=416), 3), (Reply(shift=1), 3)],
    ids=["ignored", "416", "shifted"],
)
def test_a_range_not_served_starts_over(
    server: FaultServer, target: Path, second: Reply, requests: int
) -> None:
    server.script = [Reply(cut=CUT), second]
    fetch(server.url(), target)
    assert_whole(target)
    assert server.ranges[1] is not None
    assert len(server.asked) == requests
    assert requests == 2 or server.ranges[2] is None


def test_a_partial_is_resumed_by_the_next_call(
    server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_partial(server, target, monkeypatch)
    size = partial_size(target)
    assert size > 0
    fetch(server.url(), target)
    assert_whole(target)
    assert server.ranges == [f"bytes={size}-"]


@pytest.mark.parametrize("if_range", [True, False])
def test_a_partial_of_another_version_is_not_resumed(
    server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch, if_range: bool
) -> None:
    leave_partial(server, target, monkeypatch)
    server.body, server.etag = OTHER, '"two"'
    server.script = [Reply(if_range=if_range)]
    fetch(server.url(), target)
    assert_whole(target, OTHER)


@pytest.mark.parametrize("note", [None, "", "[]", '{"url": "else"}'])
def test_a_partial_of_unknown_version_is_not_resumed(
    server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch, note: str | None
) -> None:
    leave_partial(server, target, monkeypatch)
    path = target.with_name("weights.pth.part.json")
    path.unlink() if note is None else path.write_text(note)
    fetch(server.url(), target)
    assert_whole(target)
    assert server.ranges == [None]


def test_a_partial_of_another_address_is_not_resumed(
    server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_partial(server, target, monkeypatch)
    fetch(server.url("newer.pth"), target)
    assert server.ranges == [None]


def test_wrong_bytes_are_fetched_once_more(server: FaultServer, target: Path) -> None:
    server.script = [Reply(body=OTHER)]
    fetch(server.url(), target, sha256=SHA[:8])
    assert_whole(target)
    assert server.ranges == [None, None]


def test_wrong_bytes_twice_are_an_error(server: FaultServer, target: Path) -> None:
    server.body = b"<html>sign in</html>"
    server.script = [Reply(headers={"Content-Type": "text/html"})] * 2
    with pytest.raises(FetchError, match="text/html") as caught:
        fetch(server.url(), target, sha256=SHA)
    assert SHA in caught.value.message
    assert hashlib.sha256(server.body).hexdigest() in caught.value.message
    assert len(server.asked) == 2
    assert_nothing_left(target)


def test_a_web_page_is_not_the_file(server: FaultServer, target: Path) -> None:
    server.script = [Reply(headers={"Content-Type": "text/html; charset=utf-8"})]
    with pytest.raises(FetchError, match="web page"):
        fetch(server.url(), target)
    assert len(server.asked) == 1
    assert_nothing_left(target)


def test_an_encoded_body_is_refused(server: FaultServer, target: Path) -> None:
    server.script = [Reply(headers={"Content-Encoding": "gzip"})]
    with pytest.raises(FetchError, match="Content-Encoding gzip"):
        fetch(server.url(), target)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 416])
def test_a_refusal_is_final(server: FaultServer, target: Path, status: int) -> None:
    server.script = [Reply(status=status)]
    with pytest.raises(FetchError, match=rf"\(1 try\): HTTP {status}") as caught:
        fetch(server.url(), target)
    assert caught.value.exit_code == 4
    assert server.url() in caught.value.message
    assert str(target) in caught.value.hint
    assert len(server.asked) == 1
    assert_nothing_left(target)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(
    server: FaultServer, target: Path, waits: list[float], status: int
) -> None:
    server.script = [Reply(status=status)] * 4
    fetch(server.url(), target)
    assert_whole(target)
    assert waits == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [("7", 7), ("9999", 30), ("soon", 1), (formatdate(time.time() + 9999, usegmt=True), 30)],
    ids=["7", "9999", "soon", "a date"],
)
def test_retry_after_is_honoured_and_capped(
    server: FaultServer, target: Path, waits: list[float], retry_after: str, expected: float
) -> None:
    server.script = [Reply(status=429, headers={"Retry-After": retry_after})]
    fetch(server.url(), target)
    assert waits == [expected]


@pytest.mark.parametrize("trickle", ["headers", "body"])
def test_a_trickle_is_given_up(
    server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch, trickle: Any
) -> None:
    monkeypatch.setattr(transport, "SLOW_SECONDS", 0.3)  # 1024 bytes a second in earnest
    server.script = [Reply(trickle=trickle)] * 9
    with pytest.raises(FetchError, match=r"\(5 tries\): too slow: no data received for"):
        fetch(server.url(), target)
    assert_nothing_left(target)


def test_one_trickle_is_tried_again(
    server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "SLOW_SECONDS", 0.5)
    server.script = [Reply(trickle="body"), Reply(trickle="body", length=False)]
    fetch(server.url(), target)
    assert_whole(target)
    assert len(server.asked) >= 3  # a busy machine may trickle, too


def test_no_try_begins_when_nothing_new_came_for_too_long(
    server: FaultServer, target: Path, waits: list[float]
) -> None:
    server.script = [Reply(status=503, headers={"Retry-After": "20"})] * 9
    with pytest.raises(FetchError, match=r"\(2 tries\): HTTP 503"):
        fetch(
            server.url(), target, limits=Limits(patience_seconds=21)
        )  # the second wait would end after 40 s
    assert waits == [20]


def test_a_fetch_ends_in_its_time(server: FaultServer, target: Path) -> None:
    server.script = [Reply(trickle="body")]
    with pytest.raises(FetchError, match=r"\(1 try\): it takes too long"):
        fetch(server.url(), target, limits=Limits(max_seconds=0.3))
    assert_nothing_left(target)


def test_a_large_file_gets_more_time(target: Path) -> None:
    request = module._Request(url="", sha256=None, limits=Limits(), begun=100.0)
    assert request.deadline == 100 + 3600
    request.size = 100 << 16
    assert request.deadline == 100 + 3600 + 100
    limits = Limits(max_seconds=60.0)
    request = module._Request(url="", sha256=None, limits=limits, begun=100.0)
    assert request.deadline == 160


@pytest.mark.parametrize(
    "size", ["9" * 5000, "-5", "1e9", "0x10", "+5", "1_000", "\u00b2", "9" * 16]
)
def test_a_size_that_is_none_is_refused(server: FaultServer, target: Path, size: str) -> None:
    server.script = [Reply(length=False, headers={"Content-Length": size})]
    with pytest.raises(FetchError, match=r"\(1 try\): .*") as caught:
        fetch(server.url(), target)
    assert len(caught.value.message) < 400
    assert_nothing_left(target)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes " + "9" * 5000 + "-1/1"},
        {"Content-Range": "bytes 200000-299999/" + "9" * 5000},
        {"Content-Range": "nonsense"},
    ],
)
def test_a_range_that_is_none_starts_over_or_is_refused(
    server: FaultServer, target: Path, headers: dict[str, str]
) -> None:
    server.script = [Reply(cut=CUT), Reply(headers=headers)]
    with suppress(FetchError):
        fetch(server.url(), target)
        assert_whole(target)


@pytest.mark.parametrize(
    "when",
    ["9" * 5000, "Wed, 99 Jan 9999999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "-1"],
)
def test_a_wait_that_is_none_is_not_waited_for(
    server: FaultServer, target: Path, waits: list[float], when: str
) -> None:
    server.script = [Reply(status=503, headers={"Retry-After": when})]
    fetch(server.url(), target)
    assert waits == [1]


# --- redirects ------------------------------------------------------------------------------------


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> dict[int, str]:
    """Addresses that servers of this machine, by their port, shall be taken to have."""
    found: dict[int, str] = {}
    real = transport.peer_address
    monkeypatch.setattr(
        transport, "peer_address", lambda peer: found.get(peer.getpeername()[1]) or real(peer)
    )
    return found


def redirect(target: str) -> Reply:
    return Reply(status=302, headers={"Location": target})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1"])
def test_a_public_server_does_not_lead_inside(
    server: FaultServer, target: Path, peers: dict[int, str], host: str
) -> None:
    with serve(BODY) as public:
        peers[public.server_port] = "93.184.215.14"
        inside = f"http://{host}:{server.server_port}/secret"
        public.script = [redirect(inside)]
        with pytest.raises(FetchError, match=r"a redirect from a public address to 127\.0\.0\.1"):
            fetch(public.url(), target)
        assert server.asked == []  # nothing was sent there
        assert_nothing_left(target)
        public.script = [redirect(inside)]
        fetch(public.url(), target, limits=Limits(private_redirects=True))
    assert_whole(target)


def test_each_redirect_is_looked_at(
    server: FaultServer, target: Path, peers: dict[int, str]
) -> None:
    with serve(BODY) as public:
        peers[public.server_port] = "2606:2800:21f:cb07::1"
        public.script = [redirect("/second"), redirect("/third"), redirect(server.url())]
        with pytest.raises(FetchError, match="a redirect from a public address"):
            fetch(public.url(), target)
        assert len(public.asked) == 3
        server.script = [redirect(public.url("a"))]  # from inside to outside, and back again
        public.script = [redirect(server.url("b"))]
        with pytest.raises(FetchError, match="a redirect from a public address"):
            fetch(server.url(), target)
    assert len(server.asked) == 1


def test_what_the_user_names_may_be_inside_and_lead_on(server: FaultServer, target: Path) -> None:
    with serve(BODY) as other:
        other.script = [redirect("?again"), redirect(server.url())]
        fetch(other.url(), target)
    assert_whole(target)


@pytest.mark.parametrize(
    "location",
    [
        *("http://[::1", "http://[", "file:///etc/passwd", "ftp://host/x", "data:,x"),
        *("http://host:0/", "http://host:99999/", "http://host:x/", "x" * 5000 + ":"),
    ],
)
def test_a_redirect_to_no_address_is_refused(
    server: FaultServer, target: Path, location: str
) -> None:
    server.script = [redirect(location)]
    with pytest.raises(FetchError, match=r"\(1 try\): a redirect to '"):
        fetch(server.url(), target)
    assert_nothing_left(target)


def test_redirects_come_to_an_end(server: FaultServer, target: Path) -> None:
    server.script = [redirect("/again")] * 50
    with pytest.raises(FetchError, match="more than 10 redirects"):
        fetch(server.url(), target)
    assert len(server.asked) == 11


@pytest.mark.parametrize(
    ("address", "public"),
    [
        *((a, True) for a in ("93.184.215.14", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8")),
        *((a, False) for a in ("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "0.0.0.0")),
        *((a, False) for a in ("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255")),
        *((a, False) for a in ("::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1")),
        *((a, False) for a in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::")),
    ],
)
def test_public_addresses_are_told_from_others(address: str, public: bool) -> None:
    assert transport.is_public(address) == public


def test_a_server_that_stays_broken_is_given_up(server: FaultServer, target: Path) -> None:
    server.script = [Reply(cut=CUT, ranges=False)] * 9
    with pytest.raises(FetchError, match=r"\(5 tries\)"):
        fetch(server.url(), target)
    assert len(server.asked) == 5
    assert_nothing_left(target)


def test_tries_that_get_further_do_not_count(
    server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GAIN", 10_000)
    monkeypatch.setattr(module, "CHUNK", 1000)
    server.script = [Reply(cut=30_000)] * 8
    fetch(server.url(), target)
    assert_whole(target)
    assert len(server.asked) == 9


def test_a_refused_connection_is_named(target: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(FetchError, match=r"\(3 tries\): 127\.0\.0\.1:[0-9]+ refuses connections"):
        fetch(f"http://127.0.0.1:{port}/x", target)
    assert_nothing_left(target)


def test_an_unknown_host_is_named(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(FetchError, match=r"\(3 tries\): no host of the name nowhere.invalid"):
        fetch("http://nowhere.invalid/x", target)
    assert_nothing_left(target)


@pytest.mark.parametrize("reply", [Reply(cut=0, stall=True), Reply(length=False)])
def test_more_bytes_than_allowed_are_refused(
    server: FaultServer, target: Path, reply: Reply
) -> None:
    server.script = [reply]  # told by the headers alone, and by the bytes alone
    with pytest.raises(FetchError, match="the limit is 299999"):
        fetch(server.url(), target, limits=Limits(max_bytes=len(BODY) - 1))
    assert len(server.asked) == 1
    assert_nothing_left(target)
    fetch(server.url(), target, limits=Limits(max_bytes=len(BODY)))
    assert_whole(target)


def test_offline_says_so(server: FaultServer, target: Path) -> None:
    with pytest.raises(FetchError, match="offline") as caught:
        fetch(server.url(), target, offline=True)
    assert str(target) in caught.value.hint
    assert not server.asked
    target.parent.mkdir()
    target.write_bytes(BODY)
    assert fetch(server.url(), target, sha256=SHA, offline=True) == target


def test_a_full_disk_leaves_nothing(
    server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(FetchError, match="No space left") as caught:
        fetch(server.url(), target)
    assert "space" in caught.value.hint
    assert len(server.asked) == 1
    assert_nothing_left(target)


def test_a_folder_that_cannot_be_entered_is_named(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_file", fail)
    with pytest.raises(FetchError, match="Permission denied"):
        fetch("http://127.0.0.1/x", target)


def test_a_parent_that_cannot_be_made_is_named(server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FetchError, match="cannot read or write") as caught:
        fetch(server.url(), tmp_path / "file" / "weights.pth")
    assert str(tmp_path / "file") in caught.value.hint
    with pytest.raises(FetchError, match="is a directory"):
        fetch(server.url(), tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "weights.pth", ""])
def test_other_schemes_are_wrong_usage(target: Path, url: str) -> None:
    with pytest.raises(UsageError, match="cannot fetch"):
        fetch(url, target)


@pytest.mark.parametrize("sha256", ["", "1234567", "0123456g", "0" * 65])
def test_a_hash_must_be_one(target: Path, sha256: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        fetch("http://127.0.0.1/x", target, sha256=sha256)


CHILD = """
import sys
from pathlib import Path
from videoswin_cli.io.fetch import fetch
fetch(sys.argv[1], Path(sys.argv[2]))
"""


def start_child(server: FaultServer, target: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, server.url(), str(target)], stderr=subprocess.PIPE, text=True
    )


def test_two_processes_fetch_once(server: FaultServer, target: Path) -> None:
    server.script = [Reply(cut=CUT, stall=True)]
    with start_child(server, target) as first:
        assert server.arrived.wait(10)
        with start_child(server, target) as second:
            assert second.stderr is not None
            assert "another process" in second.stderr.readline()
            server.released.set()
            assert second.wait(10) == 0
        assert first.wait(10) == 0
    assert_whole(target)
    assert len(server.asked) == 1


def test_a_killed_process_is_resumed(server: FaultServer, target: Path) -> None:
    server.script = [Reply(cut=CUT, stall=True)]
    with start_child(server, target) as child:
        part = target.with_name("weights.pth.part")
        deadline = time.monotonic() + 10
        while not part.is_file() or part.stat().st_size <= CUT - module.CHUNK:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.kill()
    fetch(server.url(), target, sha256=SHA)
    assert_whole(target)
    assert server.ranges[1] is not None


def test_progress_is_for_terminals(
    server: FaultServer,
    target: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetch(server.url(), target)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch(server.url(), target, force=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "weights.pth: 100%" in err


def test_importing_is_light() -> None:
    code = (
        "import sys, videoswin_cli.io.fetch, videoswin_cli.model.weights as w; print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "videoswin_cli.model.weights" in loaded.split()
    assert not {"requests", "filelock", "tqdm", "torch"} & set(loaded.split())
