import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, Reply, serve

from videoswin_cli.errors import FetchError, UsageError
from videoswin_cli.io import fetch as fetch_module
from videoswin_cli.io.paths import cache_dir, offline
from videoswin_cli.model import weights
from videoswin_cli.model.catalog import ModelSpec, load_spec
from videoswin_cli.model.weights import cached_path, ensure, is_cached

BODY = b"weights" * 1000
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_CACHE_HOME", "VIDEOSWIN_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "own"))
    monkeypatch.setattr(fetch_module, "LONGEST_WAIT", 0)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with serve(BODY) as server:
        yield server


@pytest.fixture
def spec(server: FaultServer) -> ModelSpec:
    tiny = load_spec("swin-tiny-k400")
    return replace(
        tiny, publication=replace(tiny.publication, url=server.url(), file="w.pth", sha256=None)
    )


def with_hash(spec: ModelSpec, sha256: str | None) -> ModelSpec:
    return replace(spec, publication=replace(spec.publication, sha256=sha256))


def read_record(path: Path) -> dict[str, object]:
    record = json.loads(path.with_name("w.pth.sha256.json").read_text())
    assert isinstance(record, dict)
    return record


def count_hashes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    hashed: list[Path] = []

    def hash_file(path: Path) -> str:
        hashed.append(path)
        return fetch_module.hash_file(path)

    monkeypatch.setattr(weights, "hash_file", hash_file)
    return hashed


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == tmp_path / "own"
    monkeypatch.setenv("VIDEOSWIN_HOME", "~/mine")
    assert cache_dir() == tmp_path / "user" / "mine"
    monkeypatch.setenv("VIDEOSWIN_HOME", "")
    assert cache_dir() == tmp_path / "user" / ".cache" / "videoswin"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache_dir() == tmp_path / "caches" / "videoswin"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("true", True), ("YES", True), ("0", False), ("", False), ("no", False)],
)
def test_offline_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    monkeypatch.setenv("VIDEOSWIN_OFFLINE", value)
    assert offline() is expected


def test_a_file_name_cannot_leave_the_cache(spec: ModelSpec, tmp_path: Path) -> None:
    assert cached_path(spec) == tmp_path / "own" / "checkpoints" / "w.pth"
    assert cached_path(spec, directory=tmp_path) == tmp_path / "w.pth"
    astray = replace(spec, publication=replace(spec.publication, file="../../w.pth"))
    assert cached_path(astray, directory=tmp_path) == tmp_path / "w.pth"


def test_a_download_is_recorded_and_then_trusted(
    server: FaultServer, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_cached(spec)
    path = ensure(spec)
    assert is_cached(spec)
    assert path.read_bytes() == BODY
    stat = path.stat()
    assert read_record(path) == {"sha256": SHA, "size": len(BODY), "mtime_ns": stat.st_mtime_ns}

    hashed = count_hashes(monkeypatch)
    assert ensure(spec) == path
    assert not hashed
    ensure(spec, verify=True)
    assert hashed == [path]
    assert len(server.asked) == 1
    assert {p.name for p in path.parent.iterdir()} == {
        "w.pth",
        "w.pth.lock",
        "w.pth.sha256.json",
    }


def test_a_touched_file_is_hashed_once(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ensure(spec)
    os.utime(path, ns=(1, 1))
    hashed = count_hashes(monkeypatch)
    ensure(spec)
    ensure(spec)
    assert hashed == [path]
    assert read_record(path)["mtime_ns"] == 1


def test_a_changed_file_is_told(spec: ModelSpec) -> None:
    path = ensure(spec)
    path.write_bytes(BODY + b"!")
    with pytest.raises(FetchError) as caught:
        ensure(spec)
    assert SHA in caught.value.message
    assert hashlib.sha256(BODY + b"!").hexdigest() in caught.value.message
    assert "videoswin download swin-tiny-k400 --force" in caught.value.hint
    ensure(spec, force=True)
    assert path.read_bytes() == BODY
    ensure(spec, verify=True)


def test_force_accepts_what_the_publisher_changed(server: FaultServer, spec: ModelSpec) -> None:
    path = ensure(spec)
    server.body = b"newer"
    ensure(spec, force=True)
    assert path.read_bytes() == b"newer"
    assert read_record(path)["sha256"] == hashlib.sha256(b"newer").hexdigest()


def test_a_change_that_keeps_size_and_time_needs_verify(spec: ModelSpec) -> None:
    path = ensure(spec)
    stat = path.stat()
    path.write_bytes(BODY[:-1] + b"!")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    ensure(spec)
    with pytest.raises(FetchError, match=SHA):
        ensure(spec, verify=True)


@pytest.mark.parametrize("sha256", [None, SHA[:8], SHA.upper()])
def test_a_file_put_by_hand_is_recorded(
    server: FaultServer, spec: ModelSpec, sha256: str | None
) -> None:
    spec = with_hash(spec, sha256)
    path = cached_path(spec)
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert ensure(spec, offline=True) == path
    assert read_record(path)["sha256"] == SHA
    assert not server.asked


def test_a_wrong_file_put_by_hand_is_told(spec: ModelSpec) -> None:
    path = cached_path(spec)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"else")
    with pytest.raises(FetchError, match=f"expected {SHA[:8]}$"):
        ensure(with_hash(spec, SHA[:8]))
    assert not path.with_name("w.pth.sha256.json").exists()


def test_a_record_of_another_publication_does_not_count(spec: ModelSpec) -> None:
    path = ensure(spec)
    path.write_bytes(b"newer")
    digest = hashlib.sha256(b"newer").hexdigest()
    ensure(with_hash(spec, digest))
    assert read_record(path)["sha256"] == digest
    with pytest.raises(FetchError, match=f"has SHA-256 {digest}, expected {SHA}"):
        ensure(with_hash(spec, SHA))


@pytest.mark.parametrize("text", ["", "[]", '{"sha": 1}'])
def test_a_broken_record_is_written_anew(spec: ModelSpec, text: str) -> None:
    path = ensure(spec)
    path.with_name("w.pth.sha256.json").write_text(text)
    ensure(spec)
    assert read_record(path)["sha256"] == SHA


def test_a_cache_that_cannot_be_written_still_serves(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached_path(spec)
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)

    def fail(self: Path, text: str) -> int:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", fail)
    assert ensure(spec) == path


def test_wrong_bytes_from_the_server_leave_nothing(server: FaultServer, spec: ModelSpec) -> None:
    server.body = b"else"
    with pytest.raises(FetchError, match="no checkpoint for swin-tiny-k400"):
        ensure(with_hash(spec, SHA[:8]))
    assert {p.name for p in cached_path(spec).parent.iterdir()} == {"w.pth.lock"}


@pytest.mark.parametrize("how", ["option", "environment", "404"])
def test_a_missing_checkpoint_says_what_to_do(
    server: FaultServer, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    server.script = [Reply(status=404)]
    if how == "environment":
        monkeypatch.setenv("VIDEOSWIN_OFFLINE", "1")
    with pytest.raises(FetchError) as caught:
        ensure(spec, offline=how == "option")
    error = caught.value
    assert "swin-tiny-k400" in error.message
    assert server.url() in error.message
    assert ("HTTP 404" if how == "404" else "offline") in error.message
    for part in (str(cached_path(spec)), "`videoswin download swin-tiny-k400`", "--checkpoint"):
        assert part in error.hint
    assert len(server.asked) == (how == "404")


@pytest.mark.parametrize("key", ["url", "file"])
def test_a_model_without_publication_is_wrong_usage(spec: ModelSpec, key: str) -> None:
    own = replace(spec, publication=replace(spec.publication, **dict[str, Any]({key: None})))
    with pytest.raises(UsageError, match=key) as caught:
        ensure(own)
    assert "--checkpoint" in caught.value.hint
