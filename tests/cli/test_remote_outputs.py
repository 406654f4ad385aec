"""Outputs behind addresses: made here, uploaded whole, and treated as local ones are."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
from make_video import write_video
from typer.testing import CliRunner, Result

from videoswin_cli import evaluate, predict
from videoswin_cli.cli.app import app
from videoswin_cli.errors import FetchError
from videoswin_cli.io import staging, storage
from videoswin_cli.tasks.predict import worker


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(("run", "jump")):
        (folder / name).mkdir()
        write_video(folder / name / "a.mp4", frames=8 + number)
    return folder


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The storage service of fsspec that lies in memory, empty."""
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(storage, "FIRST_WAIT", 0)
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    return MemoryFileSystem()


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def put(store: Any, path: str, data: bytes) -> str:
    store.pipe_file(path, data)
    return f"memory://{path.strip('/')}"


def names(store: Any) -> list[str]:
    return sorted(store.store)


def staged(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "home" / "staged").glob("out-*"))


def test_an_output_is_uploaded_and_nothing_of_it_stays(
    store: Any, clips: Path, tiny: str, tmp_path: Path
) -> None:
    args = ("predict", clips, "--model", tiny, "-j", "0")
    assert run(*args, "--out", tmp_path / "p.jsonl").exit_code == 0
    found = run(*args, "--out", "memory://r/deep/p.jsonl")
    assert found.exit_code == 0, found.stderr
    assert store.cat_file("/r/deep/p.jsonl") == (tmp_path / "p.jsonl").read_bytes()
    assert names(store) == ["/r/deep/p.jsonl"]
    assert "1 file uploaded to memory://r/deep/p.jsonl" in found.stderr
    assert staged(tmp_path) == []


def test_what_describes_an_output_goes_up_last(
    store: Any, clips: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real = storage.upload
    monkeypatch.setattr(
        staging, "upload", lambda path, address: order.append(address) or real(path, address)
    )
    found = run("extract", clips, "--model", tiny, "-j", "0", "--out", "memory://r/feats/")
    assert found.exit_code == 0, found.stderr
    assert found.stdout == "memory://r/feats/\n"
    assert order[-1] == "memory://r/feats/meta.json"
    assert sorted(name[-14:] for name in order[:-2]) == ["/run/a.mp4.npy", "jump/a.mp4.npy"]


def test_a_finished_output_is_continued_as_a_local_one(
    store: Any, clips: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("extract", clips, "--model", tiny, "-j", "0", "--out", "memory://r/f.npy")
    assert run(*args).exit_code == 0
    before = {name: store.info(name)["created"] for name in names(store)}
    assert list(before) == ["/r/f.index.csv", "/r/f.meta.json", "/r/f.npy"]
    again = run(*args)
    assert again.exit_code == 0, again.stderr
    assert "2 of 2 videos were done before" in again.stderr
    other = run(*args, "--views", "2x1")
    assert other.exit_code == 2
    assert "belongs to a different run: --views was 1x1, now 2x1" in other.stderr
    assert "memory://r/f.meta.json" in other.stderr
    new = run(*args, "--views", "2x1", "--overwrite")
    assert new.exit_code == 0, new.stderr
    assert before.keys() == {*names(store)}


def test_an_interrupted_run_is_found_again_and_uploads_nothing_before_it_ends(
    store: Any, clips: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("predict", clips, "--model", tiny, "-j", "0", "--out", "memory://r/p.jsonl", "--resume")
    real = worker.PredictWorker.compute

    def stop(*given: Any) -> Iterator[Any]:
        yield next(real(*given))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(worker.PredictWorker, "compute", stop)
        cut = run(*args)
    assert cut.exit_code == 130
    assert "nothing was uploaded to memory://r/p.jsonl" in cut.stderr
    assert names(store) == []
    assert len(staged(tmp_path)) == 1
    done = run(*args)
    assert done.exit_code == 0, done.stderr
    assert "1 of 2 videos were done before" in done.stderr
    assert len(store.cat_file("/r/p.jsonl").splitlines()) == 2
    assert staged(tmp_path) == []


def test_a_run_that_was_overtaken_by_another_is_refused(
    store: Any, clips: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("predict", clips, "--model", tiny, "-j", "0", "--out", "memory://r/p.jsonl", "--resume")
    with monkeypatch.context() as patch:
        patch.setattr(staging, "upload", fail)
        assert run(*args).exit_code == FetchError.exit_code
    assert len(staged(tmp_path)) == 1, "it is made, and the same command uploads it"
    assert run(*args).exit_code == 0
    assert names(store) == ["/r/p.jsonl", "/r/p.jsonl.meta.json"]


def fail(path: Path, address: str) -> None:
    raise FetchError(f"cannot write {address}: access is denied")


def test_failed_videos_and_a_missed_accuracy_do_not_keep_an_output_from_going_up(
    store: Any, clips: Path, tiny: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    found = run(
        "predict", clips, tmp_path / "broken.mp4", "--model", tiny, "-j", "0",
        "--out", "memory://r/p.jsonl",
    )  # fmt: skip
    assert found.exit_code == 3
    assert len(store.cat_file("/r/p.jsonl").splitlines()) == 3
    found = run(
        "eval", clips, "--model", tiny, "-j", "0", "--views", "1x1", "--expect", "101",
        "--out", "memory://r/eval", "--dump", "memory://r/d.npz",
    )  # fmt: skip
    assert found.exit_code == 2, "no such accuracy"
    found = run(
        "eval", clips, "--model", tiny, "-j", "0", "--views", "1x1", "--expect", "33",
        "--out", "memory://r/eval", "--dump", "memory://r/d.npz",
    )  # fmt: skip
    assert found.exit_code == 5, found.stderr
    assert json.loads(store.cat_file("/r/eval/result.json"))
    assert run("report", "memory://r/d.npz", "--out", "memory://r/page.html").exit_code == 0
    assert store.cat_file("/r/page.html").startswith(b"<!")


def test_a_training_reads_and_writes_there_as_it_does_here(
    store: Any, clips: Path, tiny: str, tmp_path: Path
) -> None:
    rows: list[str] = []
    for name in ("run", "jump"):
        for number in range(3):
            file = tmp_path / "c" / name / f"{number}.mp4"
            file.parent.mkdir(parents=True, exist_ok=True)
            write_video(file, frames=6 + number + len(rows))
            put(store, f"/c/{name}/{number}.mp4", file.read_bytes())
            rows.append(f"{name}/{number}.mp4 {name}\n")
    (tmp_path / "c/list.txt").write_text("".join(rows))
    listed = put(store, "/c/list.txt", "".join(rows).encode())
    options = ["--model", tiny, "--device", "cpu", "-j", "0", "--epochs", "1", "--group", "none"]
    options += ["--set", "test_views=none", "--log", "none", "-b", "2"]
    here = run("finetune", "--train-list", tmp_path / "c/list.txt", *options, "-o", tmp_path / "o")
    assert here.exit_code == 0, here.stderr
    there = run("finetune", "--train-list", listed, *options, "-o", "memory://r/o")
    assert there.exit_code == 0, there.stderr
    assert there.stdout == "memory://r/o/best.safetensors\n"
    assert names(store)[-1].startswith("/r/o/")
    local = {f"/r/o/{file.relative_to(tmp_path / 'o')}" for file in (tmp_path / "o").rglob("*.*")}
    assert {name for name in names(store) if name.startswith("/r/")} == local - {"/r/o/.lock"}
    weights = [load(tmp_path / "o/best.safetensors"), load(store.cat_file("/r/o/best.safetensors"))]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
    again = run("finetune", "--train-list", listed, *options, "-o", "memory://r/o")
    assert again.exit_code == 2
    assert "memory://r/o" in again.stderr


def load(file: Path | bytes) -> dict[str, Any]:
    return safetensors.torch.load(file if isinstance(file, bytes) else file.read_bytes())


def test_python_functions_take_addresses_too(
    store: Any, clips: Path, tiny: str, tmp_path: Path
) -> None:
    listed = put(store, "/c/list.csv", b"path,label\nrun/a.mp4,run\njump/a.mp4,jump\n")
    for name in ("run", "jump"):
        put(store, f"/c/{name}/a.mp4", (clips / name / "a.mp4").read_bytes())
    weights = put(store, "/m/tiny.safetensors", Path(tiny).read_bytes())
    found = evaluate(
        list_file=listed, model=weights, views="1x1", dump="memory://r/d.npz", device="cpu"
    )
    here = evaluate(clips, model=tiny, views="1x1", device="cpu")
    assert found.summary.accuracy == here.summary.accuracy
    assert "/r/d.npz" in names(store)
    there = predict("memory://c", model=weights, device="cpu")
    local = predict(clips, model=tiny, device="cpu")
    assert [each.top for each in there] == [each.top for each in local]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["predict", "CLIPS", "--out", "https://host/p.jsonl"], "a web server takes no files"),
        (["predict", "CLIPS", "--out", "ftp://host/p.jsonl"], "ftp:// cannot be read"),
        (["extract", "CLIPS", "--out", "memory://r"], "expected a name below a bucket"),
        (
            ["extract", "CLIPS", "--out", "memory://r/f/", "--shard", "1/2"],
            "--shard and an output behind an address do not go together",
        ),
        (["predict", "CLIPS", "--checkpoint", "memory://r/"], "cannot fetch memory://r/"),
        (
            ["make-dataset", "camera-motion", "memory://r/d"],
            "an address, where a local file or folder is expected",
        ),
    ],
)
def test_what_cannot_be_is_refused(clips: Path, tiny: str, args: list[str], message: str) -> None:
    found = run(*[str(clips) if arg == "CLIPS" else arg for arg in args])
    assert found.exit_code in (2, 4)
    assert message in found.stderr
