import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from fault_server import FaultServer, Reply, serve
from typer.testing import CliRunner

from videoswin_cli.cli import download as module
from videoswin_cli.cli.app import app as videoswin
from videoswin_cli.errors import UsageError
from videoswin_cli.io import fetch as fetch_module
from videoswin_cli.io.paths import PRIVATE_REDIRECTS_VARIABLE, private_redirects
from videoswin_cli.model.catalog import ModelSpec, load_spec

BODY = b"weights" * 1000
SHA = hashlib.sha256(BODY).hexdigest()
NAMES = ["swin-tiny-k400", "swin-small-k400"]

app = typer.Typer()
app.command()(module.download)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("VIDEOSWIN_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "own"))
    monkeypatch.setattr(fetch_module, "LONGEST_WAIT", 0)
    return tmp_path / "own" / "checkpoints"


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """Serves every checkpoint of the catalog, which for this test holds NAMES."""
    with serve(BODY) as local:

        def load_local(name: str) -> ModelSpec:
            spec = load_spec(name)
            file = f"{name}.pth"
            here = replace(spec.publication, url=local.url(file), file=file, sha256=SHA[:8])
            return replace(spec, publication=here)

        monkeypatch.setattr(module, "load_spec", load_local)
        monkeypatch.setattr(module, "list_specs", lambda: [load_local(name) for name in NAMES])
        yield local


def run(*args: str) -> tuple[int, list[str], str]:
    result = CliRunner().invoke(app, args)
    if isinstance(result.exception, UsageError):
        raise result.exception
    return result.exit_code, result.stdout.splitlines(), result.stderr


@pytest.mark.parametrize("args", [NAMES, ["--all"]])
def test_paths_and_nothing_else_on_stdout(cache: Path, args: list[str]) -> None:
    code, out, _ = run(*args)
    assert code == 0
    assert out == [str(cache / f"{name}.pth") for name in NAMES]
    assert all(Path(line).read_bytes() == BODY for line in out)


def test_into_a_folder(tmp_path: Path) -> None:
    code, out, _ = run(NAMES[0], "--dir", str(tmp_path / "here"))
    assert code == 0
    assert out == [str(tmp_path / "here" / f"{NAMES[0]}.pth")]
    assert Path(out[0]).read_bytes() == BODY


def test_a_file_there_is_verified_and_not_fetched(cache: Path, server: FaultServer) -> None:
    run(NAMES[0])
    assert run(NAMES[0])[0] == 0
    assert run(NAMES[0], "--offline")[0] == 0
    assert len(server.asked) == 1
    path = cache / f"{NAMES[0]}.pth"
    stat = path.stat()
    path.write_bytes(BODY[:-1] + b"!")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # only its hash tells
    code, out, err = run(NAMES[0])
    assert code == 4
    assert out == []
    assert SHA in err
    assert f"videoswin download {NAMES[0]} --force" in err
    code, out, _ = run(NAMES[0], "--force")
    assert code == 0
    assert path.read_bytes() == BODY
    assert len(server.asked) == 2


def test_one_failure_does_not_stop_the_rest(cache: Path, server: FaultServer) -> None:
    server.script = [Reply(status=404)]
    code, out, err = run(*NAMES)
    assert code == 4
    assert out == [str(cache / f"{NAMES[1]}.pth")]
    assert NAMES[0] in err
    assert "404" in err
    assert str(cache / f"{NAMES[0]}.pth") in err


def test_offline_fetches_nothing(server: FaultServer) -> None:
    code, out, err = run(*NAMES, "--offline")
    assert code == 4
    assert out == []
    assert "offline" in err
    assert not server.asked


@pytest.mark.parametrize("args", [[], [NAMES[0], "--all"], [NAMES[0], "swin-tinny-k400"]])
def test_wrong_usage_fetches_nothing(server: FaultServer, args: list[str]) -> None:
    with pytest.raises(UsageError):
        run(*args)
    assert not server.asked


def test_private_redirects_are_allowed_for_one_command_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(PRIVATE_REDIRECTS_VARIABLE, raising=False)
    asked: list[bool] = []

    def ensure(*_: object, **__: object) -> Path:
        asked.append(private_redirects())
        return Path("here")

    monkeypatch.setattr("videoswin_cli.model.weights.ensure", ensure)
    for more in ([], ["--allow-private-redirects"], []):
        assert run(NAMES[0], *more)[0] == 0
    assert asked == [False, True, False]
    monkeypatch.setenv(PRIVATE_REDIRECTS_VARIABLE, "0")
    assert run(NAMES[0], "--allow-private-redirects")[0] == 0
    assert os.environ[PRIVATE_REDIRECTS_VARIABLE] == "0"


@pytest.mark.parametrize("command", ["download", "predict", "eval", "extract", "finetune"])
def test_every_command_that_fetches_can_allow_private_redirects(command: str) -> None:
    found = CliRunner().invoke(videoswin, [command, "--help"], env={"COLUMNS": "200"})
    assert "--allow-private-redirects" in found.output
