"""The server over loopback: its answers, its limits, its end."""

import io
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from make_video import write_video
from served import Client
from tiny import write_model
from typer.testing import CliRunner

from videoswin_cli.cli.app import app
from videoswin_cli.errors import UsageError
from videoswin_cli.tasks.serve.answers import Computer
from videoswin_cli.tasks.serve.serve import listening, read_token

TOKEN = "lòng-and-ränd€à"  # whose last byte is a blank in Latin-1


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_model(path)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clips") / "größer.mp4", frames=20)


@pytest.fixture(scope="module")
def client(tiny_model: Path) -> Iterator[Client]:
    found = Client(tiny_model, max_body=2_000_000, max_duration=5.0, queue=12)
    yield found
    found.close()


def printed(command: str, model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the command prints in the folder of a clip."""
    monkeypatch.chdir(clip.parent)
    done = CliRunner().invoke(
        app, [command, clip.name, "--model", str(model), "--format", "jsonl", "--quiet"]
    )
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("command", ["predict", "timeline"])
def test_the_answer_is_that_of_the_command(
    client: Client, tiny_model: Path, clip: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = client.send(command, clip)
    assert reply.status_code == 200
    assert reply.text == printed(command, tiny_model, clip, monkeypatch)


def test_clients_at_once_get_their_own_answers(client: Client, tmp_path: Path) -> None:
    clips = [write_video(tmp_path / f"{n}.mp4", frames=20, seed=n) for n in range(4)]
    alone = [client.send("predict", clip).json() for clip in clips]
    assert len({each["top"][0]["prob"] for each in alone}) == 4
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda clip: client.send("predict", clip).json(), clips * 4))
    assert together == alone * 4


def test_frames_have_the_rate_that_the_request_says(client: Client) -> None:
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    np.save(file, rng.integers(0, 255, (20, 48, 64, 3), dtype=np.uint8))
    reply = requests.post(
        f"{client.url}/timeline",
        data=file.getvalue(),
        params={"frames_fps": 10},
        headers={"Content-Type": "application/x-npy"},
        timeout=60,
    )
    found = reply.json()
    assert (reply.status_code, found["path"], found["fps"]) == (200, "frames.npy", 10)


def test_messages_name_parameters_not_options(client: Client, clip: Path) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros((20, 48, 64, 3), dtype=np.uint8))
    without_rate = client.send("timeline", file.getvalue(), name="a.npy")
    stride = client.send("timeline", clip, stride=0)
    for reply, name in ((without_rate, "frames_fps"), (stride, "stride")):
        assert reply.status_code == 422
        assert name in reply.text
        assert "--" not in reply.text
    paths = get(client, "openapi.json").json()["paths"]
    documented = set(paths["/predict"]["post"]["responses"])
    assert documented == {"200", *map(str, (400, 401, 403, 408, 413, 415, 422, 503, 507))}


def test_a_request_sets_options_of_the_answer(client: Client, clip: Path) -> None:
    assert len(client.send("predict", clip, topk=2).json()["top"]) == 2
    for query in ({"topk": "many"}, {"topk": 0}, {"out": "file.json"}, {"average": "median"}):
        reply = client.send("predict", clip, **query)
        assert (reply.status_code, next(iter(query)) in reply.json()["error"]) == (422, True)


def test_a_broken_upload_is_answered_with_the_reason(client: Client) -> None:
    for route in ("predict", "timeline"):
        reply = client.send(route, b"no video", name="<b>.mp4")
        assert reply.status_code == 422
        assert reply.json()["path"] == "<b>.mp4"
        assert reply.json()["error"].startswith("not a readable video file")


def test_long_videos_are_refused(client: Client, tmp_path: Path) -> None:
    long = write_video(tmp_path / "long.mp4", frames=60, fps=10)
    for route in ("predict", "timeline"):
        reply = client.send(route, long)
        assert reply.status_code == 422
        assert reply.json()["error"] == "it lasts 6 s; the limit is 5 s (--max-duration)"


def test_more_views_than_allowed_are_refused(tiny_model: Path, clip: Path) -> None:
    client = Client(tiny_model, max_views=3)
    try:
        many, few = (client.send("timeline", clip, stride=stride) for stride in ("1f", "10f"))
    finally:
        client.close()
    assert (many.status_code, few.status_code) == (422, 200)
    said = "views; the limit is 3 (--max-views): a longer stride gives fewer"
    assert said in many.json()["error"]


def chunks() -> Iterator[bytes]:
    for _ in range(3):
        yield bytes(1_000_000)


@pytest.mark.parametrize("body", [bytes(3_000_000), None], ids=["announced", "in chunks"])
def test_large_bodies_are_refused(client: Client, body: bytes | None) -> None:
    reply = requests.post(
        f"{client.url}/predict",
        data=chunks() if body is None else body,
        headers={"Content-Type": "application/x-npy"},
        timeout=60,
    )
    assert reply.status_code == 413


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"x", 415),
        ("multipart/form-data", b"x", 422),
        (
            "multipart/form-data; boundary=a",
            b'--a\r\nContent-Disposition: form-data; name="f"',
            422,
        ),
        ("application/json", b'{"url": "https://example.org/a.mp4"}', 403),
    ],
)
def test_other_bodies_are_refused(client: Client, kind: str, body: bytes, status: int) -> None:
    reply = requests.post(
        f"{client.url}/predict", data=body, headers={"Content-Type": kind}, timeout=60
    )
    assert reply.status_code == status
    assert reply.json()["error"]


def test_nothing_is_left_of_uploads(
    client: Client, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # not that of other processes
    begun = tmp_path.stat().st_mtime_ns
    client.send("predict", clip)
    client.send("predict", b"broken")
    assert list(tmp_path.iterdir()) == []
    assert tmp_path.stat().st_mtime_ns > begun  # something was there


def wait_for(client: Client, line: str) -> None:
    while line not in get(client, "metrics").text.splitlines():
        time.sleep(0.01)


def test_slow_uploads_have_places_of_their_own(tiny_model: Path, clip: Path) -> None:
    client = Client(tiny_model, queue=2, uploads=2)
    held = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"x"
        held.wait()

    def upload(_: int) -> int:
        kind = {"Content-Type": "application/x-npy"}
        url = f"{client.url}/predict"
        return requests.post(url, data=slowly(), headers=kind, timeout=60).status_code

    try:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(upload, 1)
            wait_for(client, "videoswin_requests_receiving 1.0")
            assert client.send("predict", clip).status_code == 200
            second = pool.submit(upload, 2)
            wait_for(client, "videoswin_requests_receiving 2.0")
            reply = client.send("predict", clip)
            held.set()
            assert (first.result(), second.result()) == (422, 422)
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
        assert reply.json()["error"] == "too many uploads at once"
        wait_for(client, "videoswin_requests_receiving 0.0")
        assert client.send("predict", clip).status_code == 200
    finally:
        held.set()
        client.close()


def hold_computing(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Nothing is computed until the event is set."""
    held, compute = threading.Event(), Computer.compute

    def slowly(*args: Any) -> Any:
        held.wait()
        return compute(*args)

    monkeypatch.setattr(Computer, "compute", slowly)
    return held


def test_a_full_queue_says_when_to_come_again(
    tiny_model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(tiny_model, queue=2)
    held = hold_computing(monkeypatch)
    try:
        with ThreadPoolExecutor(20) as pool:
            taken = [pool.submit(client.send, "predict", clip) for _ in range(2)]
            wait_for(client, "videoswin_requests_running 2.0")
            refused = list(pool.map(lambda _: client.send("predict", clip), range(18)))
            held.set()
        assert [reply.result().status_code for reply in taken] == [200] * 2
        assert {reply.status_code for reply in refused} == {503}
        assert {reply.headers["Retry-After"] for reply in refused} == {"1"}
        assert client.send("predict", clip).status_code == 200
    finally:
        held.set()
        client.close()


def test_an_upload_that_has_come_is_never_refused(
    tiny_model: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(tiny_model, queue=1, uploads=8)
    held = hold_computing(monkeypatch)

    def upload() -> Iterator[bytes]:
        yield b"x"
        all_begun.wait()

    all_begun = threading.Event()
    kind = {"Content-Type": "application/x-npy"}
    try:
        with ThreadPoolExecutor(8) as pool:
            replies = [
                pool.submit(
                    requests.post, f"{client.url}/predict", data=upload(), headers=kind, timeout=60
                )
                for _ in range(8)
            ]
            wait_for(client, "videoswin_requests_receiving 8.0")
            all_begun.set()
            wait_for(client, "videoswin_requests_running 1.0")
            assert client.send("predict", clip).status_code == 503  # before its body
            held.set()
        assert {reply.result().status_code for reply in replies} == {422}  # one byte is no video
        wait_for(client, "videoswin_requests_running 0.0")
        assert client.send("predict", clip).status_code == 200
    finally:
        all_begun.set()
        held.set()
        client.close()


def get(client: Client, route: str, headers: Mapping[str, str | bytes] | None = None) -> Any:
    return requests.get(f"{client.url}/{route}", headers=headers, timeout=60)


def test_a_token_and_addresses(tiny_model: Path, clip: Path) -> None:
    client = Client(tiny_model, token=TOKEN, allow_urls=True)
    try:
        right = {"Authorization": f"Bearer {TOKEN}".encode()}  # as curl sends it
        for route in ("models", "metrics"):
            assert get(client, route).status_code == 401
            wrong = get(client, route, {"Authorization": "Bearer wrong"})
            assert (wrong.status_code, wrong.json()["error"]) == (401, "the token is wrong")
            assert get(client, route, right).status_code == 200
        assert client.send("predict", clip).status_code == 401
        for page in ("", "health", "openapi.json"):
            assert get(client, page).status_code == 200
        for url in (f"{client.url}/health", "file:///etc/passwd"):
            reply = requests.post(
                f"{client.url}/predict", json={"url": url}, headers=right, timeout=60
            )
            assert reply.status_code == 422
        reply = requests.post(
            f"{client.url}/predict", json={"url": client.url}, headers=right, timeout=60
        )
        assert "127.0.0.1 is not an address of the open internet" in reply.json()["error"]
    finally:
        client.close()


def test_what_runs_is_finished_when_the_server_stops(tiny_model: Path, clip: Path) -> None:
    client = Client(tiny_model)
    body = clip.read_bytes()
    begun, held = threading.Event(), threading.Event()
    form = requests.Request("POST", client.url, files={"file": ("a.mp4", body)}).prepare()

    def slowly() -> Iterator[bytes]:
        assert isinstance(form.body, bytes)
        yield form.body[:100]
        begun.set()
        held.wait()
        yield form.body[100:]

    kind = {"Content-Type": form.headers["Content-Type"]}
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(
            requests.post, f"{client.url}/predict", data=slowly(), headers=kind, timeout=60
        )
        begun.wait()
        wait_for(client, "videoswin_requests_receiving 1.0")
        client.server.should_exit = True
        held.set()
        assert answer.result().status_code == 200
    client.close()


def test_facts_and_pages(client: Client) -> None:
    (model,) = get(client, "models").json()
    assert (model["name"], len(model["labels"])) == ("tiny", 7)
    schema = get(client, "openapi.json").json()
    assert {"/predict", "/timeline", "/models", "/health", "/metrics"} == schema["paths"].keys()
    for page in ("", "docs"):
        reply = get(client, page)
        assert reply.status_code == 200
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert "http" not in json.dumps(reply.text).replace("https:// or", "")


def test_addresses_and_tokens_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        listening("127.0.0.1", 0) as taken,
        pytest.raises(UsageError, match="cannot listen on"),
        listening("127.0.0.1", taken.getsockname()[1]),
    ):
        pass
    monkeypatch.setenv("VIDEOSWIN_TOKEN", f" {TOKEN}\n")
    assert read_token(None) == TOKEN
    monkeypatch.setenv("VIDEOSWIN_TOKEN", "\udcff")  # a byte that is no UTF-8
    with pytest.raises(UsageError, match="VIDEOSWIN_TOKEN is no UTF-8"):
        read_token(None)
    monkeypatch.delenv("VIDEOSWIN_TOKEN")
    empty = tmp_path / "token"
    empty.write_text("\n")
    with pytest.raises(UsageError, match="empty"):
        read_token(empty)
