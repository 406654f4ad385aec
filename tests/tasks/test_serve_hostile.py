"""A server among clients that mean it no good."""

import errno
import io
import pickle
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import requests
from served import Client

from videoswin_cli.tasks.serve import intake
from videoswin_cli.tasks.serve.answers import Computer

ARRAY = {"Content-Type": "application/x-npy"}
INSIDE = "is not an address of the open internet"


@pytest.fixture(scope="module")
def client(tiny: str) -> Iterator[Client]:
    found = Client(Path(tiny), max_body=100_000, allow_urls=True)
    yield found
    found.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def post(client: Client, **request: Any) -> Any:
    return requests.post(f"{client.url}/predict", timeout=60, **request)


def connect(client: Client, *lines: str) -> socket.socket:
    """A connection that sent the head of an upload."""
    port = int(client.url.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    head = ("POST /predict HTTP/1.1", "Host: x", "Content-Type: application/x-npy", *lines, "", "")
    connection.sendall("\r\n".join(head).encode())
    return connection


@pytest.mark.parametrize("length", [100_001, 10**18])
def test_a_body_that_is_announced_too_large_is_not_waited_for(client: Client, length: int) -> None:
    with connect(client, f"Content-Length: {length}") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_in_chunks_is_refused_before_its_end(client: Client) -> None:
    with connect(client, "Transfer-Encoding: chunked") as connection:
        connection.sendall(b"30000\r\n" + bytes(0x30000) + b"\r\n")  # no last chunk
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_an_upload_that_is_given_up_leaves_no_file(client: Client, folder: Path) -> None:
    with connect(client, "Content-Length: 1000") as connection:
        connection.sendall(b"half")
        wait_until(lambda: any(folder.glob("videoswin-*/frames.npy")))
    wait_until(lambda: not any(folder.iterdir()))
    wait_until(lambda: "_receiving 0.0" in requests.get(f"{client.url}/metrics", timeout=60).text)


def wait_until(true: Any) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("never true")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a": (None, "text")}, "Too many fields"),
        ({"a": ("a.mp4", b"x"), "b": ("b.mp4", b"x")}, "Too many files"),
        ({"a": ("a.mp4", b"x", "x/y", {"X": "long" * 20_000})}, "no form with one file"),
    ],
    ids=["no file", "two files", "a long header"],
)
def test_forms_of_anything_but_one_file_are_refused(
    client: Client, files: Any, reason: str
) -> None:
    reply = post(client, files=files)
    assert (reply.status_code, reason in reply.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"../../etc/\x1b[31mx\x07.mp4", "\x1b[31mx\x07.mp4"),
        (b"C:\\\\Windows\\\\x.mp4", "x.mp4"),
        (b"..", ".."),
        (b"", "upload"),
        (b"n" * 3000 + b".mp4", "n" * 3000 + ".mp4"),
    ],
)
def test_names_of_files_lead_nowhere_and_are_escaped(
    client: Client, folder: Path, sent: bytes, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[Path] = []
    copy = intake._copy

    def copy_to(source: IO[bytes], file: Path) -> None:
        files.append(file)
        copy(source, file)

    monkeypatch.setattr(intake, "_copy", copy_to)
    body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\nx\r\n--b--\r\n'
    reply = post(
        client, data=body % sent, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert (reply.status_code, reply.json()["path"]) == (422, name)
    assert reply.text.strip().isprintable()
    (file,) = files
    assert (file.parents[1], file.stem) == (folder, "video")


class Trap:
    """An object whose unpickling leaves a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self._file,)


def array_of(shape: tuple[int, ...]) -> bytes:
    """A file that says it had this shape, and holds 8 bytes."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return file.getvalue() + bytes(8)


def test_objects_in_arrays_are_not_unpickled(client: Client, tmp_path: Path) -> None:
    trap = Trap(tmp_path / "sprung")
    file = io.BytesIO()
    np.save(file, np.array([trap], dtype=object), allow_pickle=True)
    for data in (file.getvalue(), pickle.dumps(trap)):
        reply = post(client, data=data, headers=ARRAY)
        said = reply.json()["error"]
        assert (reply.status_code, "not a readable .npy" in said) == (422, True)
        assert "pickle" not in said  # NumPy's advice is to allow it
        assert client.send("predict", data, name="a.npy").status_code == 422
    assert not trap._file.exists()
    pickle.loads(pickle.dumps(trap))  # noqa: S301 - the trap would have sprung
    assert trap._file.exists()


@pytest.mark.parametrize("frames", [10**9, 10**30, -1])
def test_arrays_that_say_more_than_they_hold_are_refused(client: Client, frames: int) -> None:
    reply = post(client, data=array_of((frames, 224, 224, 3)), headers=ARRAY)
    assert (reply.status_code, "not a readable .npy" in reply.json()["error"]) == (422, True)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://a/b", "s3://a/b", "x", 5, None),
        *("http://[::1", "http://", "http://a:99999/", "http://\ud800/", "http://a\0b/"),
    ],
)
def test_other_than_web_addresses_are_refused(client: Client, url: object) -> None:
    reply = post(client, json={"url": url})
    assert (reply.status_code, bool(reply.json()["error"])) == (422, True)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses of names: the first for the first who asks, the last for all others."""
    known: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo

    def answer(host: Any, *args: Any, **options: Any) -> Any:
        found = known.get(host)
        if found is not None:
            host = found.pop(0) if len(found) > 1 else found[0]
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"),
        *("10.0.0.1", "169.254.169.254", "inside.example"),
    ],
)
def test_addresses_inside_are_refused_alike_whether_something_listens_or_not(
    client: Client, host: str, listens: bool, names: dict[str, list[str]]
) -> None:
    names["inside.example"] = ["127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not listens:
            server.close()
        reply = post(client, json={"url": f"http://{host}:{port}/a.mp4"})
    assert (reply.status_code, INSIDE in reply.json()["error"]) == (422, True)


def test_a_name_that_leads_inside_when_it_is_asked_again_is_refused(
    client: Client, names: dict[str, list[str]]
) -> None:
    names["moving.example"] = ["8.8.8.8", "127.0.0.1"]
    reply = post(client, json={"url": client.url.replace("127.0.0.1", "moving.example")})
    assert (reply.status_code, INSIDE in reply.json()["error"]) == (422, True)


def test_head_is_get_without_a_body(client: Client) -> None:
    for route in ("", "health", "models", "docs"):
        head = requests.head(f"{client.url}/{route}", timeout=60)
        get = requests.get(f"{client.url}/{route}", timeout=60)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == str(len(get.content))
    assert requests.head(f"{client.url}/predict", timeout=60).status_code == 405


@pytest.mark.parametrize(
    ("method", "route", "status"),
    [
        ("POST", "predict?color=red", 422),
        ("POST", "predict?x%00%1b=1", 422),
        ("POST", "predict?topk=0", 422),
        ("POST", "predict?topk=1&topk=2", 422),
        ("POST", "timeline?threshold=nan", 422),
        ("GET", "predict", 405),
        ("DELETE", "health", 405),
        ("GET", "../etc/passwd", 404),
    ],
)
def test_what_is_not_there_is_refused_in_the_same_form(
    client: Client, method: str, route: str, status: int
) -> None:
    files = {"file": ("a.mp4", b"x")}
    reply = requests.request(method, f"{client.url}/{route}", files=files, timeout=60)
    assert (reply.status_code, list(reply.json())) == (status, ["error", "hint"])
    assert reply.text.strip().isprintable()


def test_a_full_disk_and_a_fault_are_told_and_the_next_request_works(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    for owner, name, error, status in (
        (intake, "_copy", fill, 507),
        (Computer, "compute", fail, 500),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, error)
            reply = client.send("predict", b"x")
        assert (reply.status_code, list(reply.json())) == (status, ["error", "hint"])
        assert client.send("predict", b"x").status_code == 422
    wait_until(lambda: not any(folder.iterdir()))


def test_slow_addresses_leave_uploads_their_threads(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, begun = threading.Event(), threading.Semaphore(0)

    def fetch(url: str, file: Path, **_: object) -> None:
        begun.release()
        held.wait()
        file.write_bytes(b"x")

    monkeypatch.setattr(intake, "fetch", fetch)
    replies: list[int] = []

    def ask() -> None:
        replies.append(post(client, json={"url": "http://a.example/a.mp4"}).status_code)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: replies.count(503) == 24)
        assert client.send("predict", b"x").status_code == 422
    finally:
        held.set()
    for thread in threads:
        thread.join()
    assert (replies.count(503), replies.count(422)) == (24, 16)
