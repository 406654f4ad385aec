"""Videos of web servers: passwords that stay out of everything, servers that are down, files that
are not there."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_server import FaultServer, Reply, serve
from typer.testing import Result

from videoswin_cli import predict
from videoswin_cli.credentials import hide_credentials
from videoswin_cli.errors import FetchError, VideoSwinError
from videoswin_cli.io import fetch as fetch_module

Run = Callable[..., Result]
SECRETS = ("hunter2", "5ecret", "t0ken")
QUERY = "X-Amz-Signature=5ecret&access_token=t0ken"


@pytest.fixture
def server(clips: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """Gives one video under every name."""
    monkeypatch.delenv("VIDEOSWIN_OFFLINE")
    monkeypatch.setattr(fetch_module, "LONGEST_WAIT", 0)
    with serve((clips / "b.mp4").read_bytes()) as local:
        yield local


def signed(server: FaultServer, name: str) -> str:
    return server.url(f"{name}?{QUERY}").replace("://", "://user:hunter2@")


def find_secrets(folder: Path, but: Path | None = None) -> list[Path]:
    """Files with a secret in their name or content."""
    secrets = [secret.encode() for secret in SECRETS]
    return [
        path
        for path in folder.rglob("*")
        if path != but
        and (
            any(secret in path.name for secret in SECRETS)
            or (path.is_file() and any(secret in path.read_bytes() for secret in secrets))
        )
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:p@h/x.mp4?sig=abc&a=1", "http://h/x.mp4?sig=...&a=1"),
        ("no http://u:p@q@h/x, nor https://u@h/y", "no http://h/x, nor https://h/y"),
        ("https://h/x?X-Goog-Signature=0#t=1,2", "https://h/x?X-Goog-Signature=...#t=1,2"),
        ("abfs://container@account/x", "abfs://container@account/x"),
        ("abfs://u:p@account/x", "abfs://account/x"),
        ("hf://me/model@v2", "hf://me/model@v2"),
        ("a@b.mp4 http://h/x@2.mp4?v=1", "a@b.mp4 http://h/x@2.mp4?v=1"),
    ],
)
def test_what_lets_anybody_in_is_left_out_of_addresses(text: str, shown: str) -> None:
    assert hide_credentials(text) == shown
    assert hide_credentials(shown) == shown
    assert VideoSwinError(text, hint=text).message == str(VideoSwinError(text)) == shown


def test_addresses_that_a_token_tells_apart_stay_apart() -> None:
    first, second = (hide_credentials(f"https://h/get?token={name}") for name in "ab")
    assert first != second
    assert hide_credentials(first) == first


def test_passwords_and_signatures_are_in_no_output_and_no_journal(
    run: Run, tiny: str, server: FaultServer, tmp_path: Path
) -> None:
    good, bad = signed(server, "a.mp4"), signed(server, "b.mp4")
    listed = tmp_path / "list.csv"
    listed.write_text(f"path,label\n{good},0\n{bad},0\n", encoding="utf-8")
    server.script = [Reply(), Reply(), Reply(), Reply(), Reply(cut=50)]
    for command in (
        ("predict", good, bad, "--out", "p.jsonl"),
        ("eval", "--list", listed, "--dump", "scores.jsonl", "--out", "tables"),
        ("extract", f"@{tmp_path / 'urls.txt'}", "--out", "features/"),
        ("explain", bad, "--npy", "maps.npy"),
    ):
        (tmp_path / "urls.txt").write_text(f"{good}\n{bad}\n", encoding="utf-8")
        result = run(*command, "--model", tiny)
        assert result.exit_code in (0, 3), result.output
        assert not any(secret in result.output for secret in SECRETS)
        (tmp_path / "urls.txt").unlink()
    assert json.loads((tmp_path / "p.jsonl").read_text().splitlines()[0])["path"] == (
        server.url("a.mp4?X-Amz-Signature=...&access_token=...")
    )
    assert find_secrets(tmp_path, but=listed) == []
    assert [row.path for row in predict(good, model=tiny)] == [
        server.url("a.mp4?X-Amz-Signature=...&access_token=...")
    ]


def test_a_partial_download_does_not_keep_the_address(server: FaultServer, tmp_path: Path) -> None:
    target = tmp_path / "cache" / "x.mp4"

    class Stop(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch_module, "hash_file", stop)
        with pytest.raises(Stop):
            fetch_module.fetch(signed(server, "x.mp4"), target, sha256="0" * 64)
    assert target.with_name("x.mp4.part.json").is_file()
    assert find_secrets(target.parent) == []


def test_a_server_that_is_down_is_named_once_it_was_tried_three_times(
    run: Run, tiny: str, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    result = run("predict", f"http://{host}/x.mp4?{QUERY}", "--model", tiny, "--format", "json")
    assert result.exit_code == 3
    error = json.loads(result.stdout)[0]["error"]
    assert error.endswith(f"(3 tries): {host} refuses connections")
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"x.mp4: {host} refuses connections; next try in {wait} s" for wait in (0, 0)]
    assert not any(word in result.output for word in ("urllib3", "HTTPConnection", "Errno"))


def test_a_connection_that_breaks_is_told_without_the_words_of_the_library(
    server: FaultServer, tmp_path: Path
) -> None:
    server.script = [Reply(cut=10)] * 5
    with pytest.raises(FetchError) as caught:
        fetch_module.fetch(server.url("x.mp4"), tmp_path / "x.mp4")
    assert "(5 tries)" in str(caught.value)
    assert "IncompleteRead" not in str(caught.value)


@pytest.mark.parametrize("kind", ["file", "web", "list"])
def test_a_missing_input_ends_the_run_where_it_is_named_and_is_a_row_where_it_is_listed(
    run: Run, tiny: str, server: FaultServer, clips: Path, tmp_path: Path, kind: str
) -> None:
    missing = "nowhere.mp4" if kind == "file" else server.url("nowhere.mp4")
    server.script = [Reply(status=404)] * 3
    if kind == "list":
        listed = tmp_path / "inputs.txt"
        listed.write_text(f"{missing}\n{clips / 'b.mp4'}\n", encoding="utf-8")
        result = run("predict", f"@{listed}", "--model", tiny, "--format", "jsonl")
        rows = [json.loads(line) for line in result.stdout.splitlines()]
        assert result.exit_code == 3
        assert [row["error"] is None for row in rows] == [False, True]
        return
    for inputs in ([missing], [clips / "b.mp4", missing]):
        result = run("predict", *inputs, "--model", tiny)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"no such file: {missing}" in result.stderr
