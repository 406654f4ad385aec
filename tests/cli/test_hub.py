"""Models from and to the Hugging Face Hub, which is a server of this machine."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hub_server import TOKEN, HubServer, serve_hub
from make_video import write_video
from typer.testing import CliRunner, Result

from videoswin_cli.cli.app import app
from videoswin_cli.io import storage
from videoswin_cli.model.loading import load, save

HOSTILE = ("run", "<script>alert(1)</script>", "a | b", "`code`", "[x](y)", "# title", "walk")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "VIDEOSWIN_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setattr(storage, "FIRST_WAIT", 0)
    with serve_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", frames=8)


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def predict(clip: Path, model: str | Path, *more: str) -> Result:
    return run("predict", clip, "--model", model, "-j", "0", "-f", "csv", *more)


def test_a_model_of_the_hub_is_the_one_of_its_file(
    hub: HubServer, tiny: str, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hub.commit("me/tiny", {"best.safetensors": Path(tiny).read_bytes(), "README.md": b""})
    found = predict(clip, "hf://me/tiny")
    assert found.exit_code == 0, found.stderr
    assert found.stdout == predict(clip, tiny).stdout
    assert f"from hf://me/tiny@{first}" in found.stderr
    hub.commit("me/tiny", {"best.safetensors": b"no weights"})
    assert predict(clip, f"hf://me/tiny@{first}").stdout == found.stdout
    assert predict(clip, "hf://me/tiny").exit_code == 2
    hub.asked.clear()
    hub.branches["me/tiny", "main"] = first
    assert predict(clip, "hf://me/tiny").exit_code == 0
    monkeypatch.setenv("VIDEOSWIN_OFFLINE", "1")
    hub.asked.clear()
    barred = predict(clip, "hf://me/tiny")
    assert (barred.exit_code, barred.stdout) == (0, found.stdout)
    assert hub.asked == []


def test_which_revision_was_used_is_recorded(
    hub: HubServer, tiny: str, clip: Path, tmp_path: Path
) -> None:
    args = ("predict", clip, "--model", "hf://me/tiny", "-j", "0", "--resume")
    out = tmp_path / "p.jsonl"
    commit = hub.commit("me/tiny", {"model.safetensors": Path(tiny).read_bytes()})
    done = run(*args, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert f"hf://me/tiny@{commit}" in (tmp_path / "p.jsonl.meta.json").read_text()
    again = hub.commit("me/tiny", {"README.md": b"other words, the same weights"})
    done = run(*args, "--out", out)
    assert done.exit_code == 0, done.stderr
    assert again != commit


def test_weights_that_do_not_describe_themselves_need_a_yaml_beside_them(
    hub: HubServer, tiny: str, clip: Path, tmp_path: Path
) -> None:
    import yaml
    from safetensors.torch import load_file, save_file

    from videoswin_cli.model.catalog import flatten_spec

    save_file(load_file(tiny), tmp_path / "plain.safetensors")
    plain = (tmp_path / "plain.safetensors").read_bytes()
    hub.commit("me/plain", {"plain.safetensors": plain, "a/b.yaml": b"x: 1"})
    found = predict(clip, "hf://me/plain")
    assert found.exit_code == 2
    assert "does not say which model it is" in found.stderr
    spec = yaml.safe_dump(flatten_spec(load(tiny).spec))
    hub.commit("me/plain", {"tiny.yaml": spec.encode()})
    found = predict(clip, "hf://me/plain")
    assert found.exit_code == 0, found.stderr
    hub.commit("me/plain", {"other.safetensors": plain})
    found = predict(clip, "hf://me/plain")
    assert found.exit_code == 2
    assert "2 weight files: plain.safetensors, other.safetensors" in found.stderr


def test_what_is_not_there_is_told_without_the_token(hub: HubServer, clip: Path) -> None:
    host = hub.url.removeprefix("http://")
    found = predict(clip, "hf://me/none")
    assert found.exit_code == 4
    assert f"cannot fetch hf://me/none ({host}): there is no such" in found.stderr
    assert TOKEN not in found.stderr
    hub.commit("me/empty", {"README.md": b""})
    assert "hf://me/empty@" in (found := predict(clip, "hf://me/empty")).stderr
    assert "has no weight file; it holds README.md" in found.stderr


def test_a_trained_model_is_pushed_in_one_commit_with_its_card(
    hub: HubServer, tiny: str, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    training = {
        "recipe": {"lr": 0.001, "epochs": 3, "freeze": "<b>"},
        "metrics": {"top1": 91.25, "loss": 0.5},
        "start": "/home/somebody/secret/start.safetensors",
        "train_clips": 40,
        "val_clips": 8,
    }
    save(folder / "best.safetensors", replace(load(tiny), labels=HOSTILE), training=training)
    done = run("push", folder, "hf://me/mine", "--license", "apache-2.0", "--private")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{hub.url}/me/mine/commit/")
    assert hub.private == {"me/mine"}
    assert hub.messages == ["Upload tiny with videoswin"]
    files = hub.files("me/mine")
    assert files is not None
    assert files["best.safetensors"] == (folder / "best.safetensors").read_bytes()
    card = files["README.md"].decode()
    assert card.startswith('---\nlicense: "apache-2.0"\nlibrary_name: videoswin\n')
    assert "videoswin predict clip.mp4 --model hf://me/mine" in card
    assert "| top-1 | 91.25 |" in card
    assert "| epochs | 3 |" in card
    assert "on 8 validation clips" in card
    assert "start.safetensors" in card
    assert "secret" not in card
    assert "<script>" not in card
    assert "a &#124; b" in card
    assert "&#91;x&#93;(y)" in card
    found = predict(clip, "hf://me/mine")
    assert found.exit_code == 0, found.stderr
    other = run("push", folder / "best.safetensors", "hf://me/mine", "--revision", "v2")
    assert other.exit_code == 0, other.stderr
    assert "names no license" in other.stderr
    assert "none was named" in (hub.files("me/mine", "v2") or {})["README.md"].decode()
    assert "apache" in (hub.files("me/mine") or {})["README.md"].decode()


def test_a_push_that_is_refused_says_why(
    hub: HubServer, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong_token")
    refused = run("push", tiny, "hf://me/mine")
    assert refused.exit_code == 4
    assert f"cannot write hf://me/mine ({hub.url[7:]}): access is denied" in refused.stderr
    assert "wrong_token" not in refused.stderr
    assert run("push", tmp_path, "hf://me/mine").exit_code == 2
    assert "expected hf://ORG/NAME" in run("push", tiny, "s3://bucket/x").stderr


def test_a_hub_that_is_down_and_one_that_is_barred_are_told_apart(
    hub: HubServer, tiny: str, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", f"http://{host}")
    monkeypatch.setattr(storage, "TRIES", 2)
    for done, what in (
        (predict(clip, "hf://me/tiny"), "fetch hf://me/tiny"),
        (run("push", tiny, "hf://me/mine"), "write hf://me/mine"),
    ):
        assert done.exit_code == 4
        assert f"cannot {what} ({host}): the service cannot be reached" in done.stderr
        assert "Errno" not in done.stderr
    for variable in ("HF_HUB_OFFLINE", "VIDEOSWIN_OFFLINE"):
        monkeypatch.setenv(variable, "1")
        for done, what in (
            (predict(clip, "hf://me/tiny"), "fetch hf://me/tiny"),
            (run("push", tiny, "hf://me/mine"), "write hf://me/mine"),
            (predict(clip, tiny, "--out", "hf://datasets/me/x/y.csv"), "write hf://datasets/me/x"),
        ):
            assert done.exit_code == 4
            assert f"cannot {what}" in done.stderr
            assert "offline mode forbids the network" in done.stderr
            assert f"leave offline mode ({variable})" in done.stderr
