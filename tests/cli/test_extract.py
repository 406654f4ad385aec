"""`videoswin extract` from the outside."""

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sixty
import torch
from make_video import write_video
from plain_machine import plain_machine
from typer.testing import Result

from videoswin_cli import extract
from videoswin_cli.engine import numerics, precision
from videoswin_cli.model.checkpoint import read_checkpoint
from videoswin_cli.tasks.extract.tables import read_table

Run = Callable[..., Result]
SUFFIXES = (".npy", ".npz", ".safetensors")


@pytest.fixture
def folder(clips: Path, tmp_path: Path) -> Path:
    """Three good videos and a broken one."""
    for name in ("a [1].mp4", "b.mp4", "text.mp4", "sub/c.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clips / name, tmp_path / "in" / name)
    return tmp_path / "in"


def read_index(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# --- what is written ------------------------------------------------------------------------------


def test_a_matrix_with_index_and_description(
    run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.npy"
    result = run("extract", folder, "--out", out, "--model", tiny)
    assert (result.exit_code, result.stdout) == (3, f"{out}\n")
    assert "1 of 4 videos failed" in result.stderr
    assert f"failed: {folder / 'text.mp4'}: not a readable video file" in result.stderr
    features = np.load(out)
    expected = extract(folder, model=tiny)
    assert features.dtype == np.float32
    assert np.array_equal(features, expected.features, equal_nan=True)
    rows = read_index(tmp_path / "f.index.csv")
    assert list(rows[0]) == [
        "row",
        "path",
        "start",
        "end",
        "status",
        "decoder",
        "notes",
        "file_stamp",
    ]
    assert [row["row"] for row in rows] == ["0", "1", "2", "3"]
    names = ("a [1].mp4", "b.mp4", "sub/c.mp4", "text.mp4")
    assert [row["path"] for row in rows] == [str(folder / name) for name in names]
    assert [row["status"] == "ok" for row in rows] == [True, True, True, False]
    assert np.isnan(features).all(axis=1).tolist() == [False, False, False, True]
    assert [float(row["start"]) for row in rows[:3]] == expected.start[:3].tolist()
    assert (rows[3]["start"], rows[3]["end"], rows[3]["decoder"]) == ("", "", "")
    meta = json.loads((tmp_path / "f.meta.json").read_text())
    assert meta == expected.meta
    assert meta["model"] == "tiny"
    assert meta["weights_sha256"] == sha256(Path(tiny))
    assert {p.name for p in tmp_path.iterdir()} == {"in", "f.npy", "f.index.csv", "f.meta.json"}


def sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_all_in_one_file(suffix: str, run: Run, tiny: str, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / f"f{suffix}"
    result = run("extract", folder, "--out", out, "--model", tiny, "--per", "clip")
    assert result.exit_code == 3
    expected, found = extract(folder, model=tiny, per="clip"), read_table(out)
    for name in ("features", "start", "end"):
        assert np.array_equal(getattr(found, name), getattr(expected, name), equal_nan=True)
    for name in ("paths", "status", "decoder"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    assert found.meta == expected.meta
    assert {path.name for path in tmp_path.iterdir()} == {"in", out.name}
    if suffix == ".safetensors":
        assert list(read_checkpoint(out).tensors) == ["features"]


def test_a_folder_has_a_file_a_video(run: Run, tiny: str, folder: Path, tmp_path: Path) -> None:
    (folder / "names.txt").write_text("b\nsub/c.mp4\na [1].mp4\ntext.mp4\ngone.mp4\n")
    source = ("--list", folder / "names.txt", "--root", folder, "--list-format", "paths")
    result = run("extract", *source, "--out", f"{tmp_path / 'f'}/", "--model", tiny, "--per",
                 "window", "--stride", "8f")  # fmt: skip
    assert result.exit_code == 3, result.output
    assert "4 of 5 videos found; missing: gone.mp4" in result.stderr
    good = ("a [1].mp4", "b.mp4", "sub/c.mp4")
    files = {f"{name}.npy" for name in good} | {"index.csv", "meta.json"}
    assert contents(tmp_path / "f").keys() == files
    rows = read_index(tmp_path / "f" / "index.csv")
    for name in good:
        features = np.load(tmp_path / "f" / f"{name}.npy")
        expected = extract(folder / name, model=tiny, per="window", stride="8f")
        assert np.array_equal(features, expected.features)
        own = [row for row in rows if row["path"] == name]
        assert [int(row["row"]) for row in own] == list(range(len(features)))
    status = {row["path"]: row["status"] for row in rows}
    assert status["gone.mp4"] == "no such file"
    assert "not a readable video" in status["text.mp4"]


def test_equal_stems_do_not_collide(run: Run, tiny: str, tmp_path: Path) -> None:
    for number, name in enumerate(("in/x.mp4", "in/x.mkv", "in/y/x.mp4")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(tmp_path / name, frames=8 + number, seed=number)
    result = run("extract", tmp_path / "in", "--out", tmp_path / "f", "--model", tiny)
    assert result.exit_code == 0, result.output
    found = list((tmp_path / "f").rglob("*.npy"))
    assert len(found) == 3
    assert len({path.read_bytes() for path in found}) == 3


def test_names_that_meet_in_a_folder_are_refused(
    run: Run, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("x.mp4", "sub/x.mp4"):
        write_video(tmp_path / name, frames=8)
    monkeypatch.chdir(tmp_path / "sub")
    result = run("extract", "x.mp4", "../x.mp4", "--out", "f/", "--model", tiny)
    assert result.exit_code == 2
    assert "x.mp4 and ../x.mp4 would both be written to" in result.stderr
    result = run("extract", "x.mp4", "../x.mp4", "--out", "f.npy", "--model", tiny)
    assert result.exit_code == 0


# --- what is already there ------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["f.npy", "f.npz", "f.safetensors", "f/"])
def test_finished_videos_are_skipped_and_failed_ones_tried_again(
    out: str, run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    command = ("extract", folder, "--out", f"{tmp_path}/{out}", "--model", tiny)
    assert run(*command).exit_code == 3
    before = contents(tmp_path)
    again = run(*command)
    assert again.exit_code == 3
    assert "3 of 4 videos were done before: skipped" in again.stderr
    assert contents(tmp_path) == before
    shutil.copy(folder / "b.mp4", folder / "text.mp4")
    mended = run(*command)
    assert mended.exit_code == 0, mended.output
    shutil.rmtree(tmp_path / "other", ignore_errors=True)
    (tmp_path / "other").mkdir()
    fresh = run("extract", folder, "--out", f"{tmp_path}/other/{out}", "--model", tiny)
    assert fresh.exit_code == 0
    expected = contents(tmp_path / "other")
    found = {n: b for n, b in contents(tmp_path).items() if not n.startswith(("in/", "other/"))}
    assert found == expected
    done = run(*command)
    assert done.exit_code == 0
    assert "4 of 4 videos were done before" in done.stderr


@pytest.mark.parametrize("out", ["f.npy", "f.npz", "f.safetensors", "f/"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--views", "2x1"), "--views was 1x1, now 2x1"),
        (("--dtype", "fp16"), "--dtype was fp32, now fp16"),
        (("--per", "window"), "--per was video, now window"),
    ],
)
def test_another_protocol_is_never_mixed_in(
    options: tuple[str, str], message: str, out: str, run: Run, tiny: str, folder: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    command = ("extract", folder, "--out", f"{tmp_path}/{out}", "--model", tiny)
    assert run(*command).exit_code == 3
    before = contents(tmp_path)
    result = run(*command, *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert contents(tmp_path) == before
    assert run(*command, "--no-resume").exit_code == 2
    assert contents(tmp_path) == before
    assert run(*command, *options, "--overwrite").exit_code == 3
    assert contents(tmp_path) != before


def test_a_matrix_is_of_the_videos_that_are_asked_for(
    run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    out = ("--out", tmp_path / "f.npy", "--model", tiny)
    assert run("extract", folder, *out).exit_code == 3
    fewer = run("extract", folder / "b.mp4", *out)
    assert fewer.exit_code == 2
    assert "has 3 videos that are not asked for now" in fewer.stderr
    write_video(folder / "d.mp4", frames=9)
    more = run("extract", folder, *out)
    assert more.exit_code == 3
    assert "3 of 5 videos were done before" in more.stderr
    expected = extract(folder, model=tiny).features
    assert np.array_equal(np.load(tmp_path / "f.npy"), expected, equal_nan=True)


def test_a_folder_may_grow(run: Run, tiny: str, folder: Path, tmp_path: Path) -> None:
    out = ("--out", f"{tmp_path / 'f'}/", "--model", tiny)
    assert run("extract", folder / "b.mp4", *out).exit_code == 0
    assert run("extract", folder / "sub", *out).exit_code == 0
    rows = read_index(tmp_path / "f" / "index.csv")
    assert [row["path"] for row in rows] == sorted(
        map(str, (folder / "b.mp4", folder / "sub/c.mp4"))
    )


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("x.txt",), "unknown suffix '.txt'"),
        (("none/f.npy",), "no such folder"),
        (("f.npy", "--stride", "x", "--per", "window"), "--stride 'x'"),
        (("f.npy", "--stride", "2"), "a stride is for windows"),
        (("f.npy", "--shard", "1/2", "--overwrite"), "--overwrite with --shard"),
        (("f.npy", "--stage", "4"), "no stage 4: tiny has stages 1 to 2"),
        (("in/",), "not written by videoswin"),
        (("in/foreign.npy",), "not written by videoswin"),
        (("in/foreign.npy", "--overwrite"), "not written by videoswin"),
        (("in/foreign.npz", "--overwrite"), "is not a feature file of videoswin"),
        (("in/sub.npy",), "is a folder"),
        (("in/other.npy",), "other.index.csv exists, but has no other.meta.json"),
        (("in/foreign.npz",), "is not a feature file of videoswin"),
    ],
)
def test_wrong_usage(
    args: tuple[str, ...], message: str, run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    np.save(folder / "foreign.npy", np.zeros(3))
    np.savez(folder / "foreign.npz", np.zeros(3))
    (folder / "sub.npy").mkdir()
    (folder / "other.index.csv").write_text("mine")
    before = contents(tmp_path)
    out, *options = args
    result = run("extract", folder, "--out", f"{tmp_path}/{out}", "--model", tiny, *options)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert contents(tmp_path) == before


def test_sources_exclude_each_other(run: Run, tmp_path: Path) -> None:
    for source in ((), ("a.mp4", "--list", "l.txt")):
        result = run("extract", *source, "--out", tmp_path / "f.npy")
        assert result.exit_code == 2
        assert "expected one source of videos" in result.stderr


def test_a_list_of_which_nothing_is_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("a.mp4\nb.mp4\n")
    result = run("extract", "--list", tmp_path / "l.txt", "--out", tmp_path / "f.npy")
    assert result.exit_code == 2
    assert "0 of 2 videos found" in result.stderr


# --- sixty videos, whatever the number of processes and restarts ----------------------------------

OUTS = ("f.npy", "f/")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sixty.write_videos(tmp_path_factory.mktemp("sixty"))


def options(videos: Path, tiny: str, out: str, *more: object) -> tuple[object, ...]:
    source = ("--list", videos / "list.txt", "--model", tiny, "--workers", 2, "--batch-size", 4)
    return ("extract", *source, "--out", out, "--per", "window", "--stride", "0.2", *more)


@pytest.fixture(scope="module", params=OUTS)
def undisturbed(
    request: pytest.FixtureRequest, videos: Path, tiny: str, tmp_path_factory: Any
) -> tuple[str, dict[str, bytes]]:
    """Name of the output, and what one process without pauses makes of it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = sixty.command(*options(videos, tiny, f"{folder}/{request.param}"))
    done = sixty.run(command, folder, threads=4)
    assert done.returncode == 3, done.stderr
    assert done.stdout == f"{folder}/{request.param}\n"
    return request.param, contents(folder)


def test_the_rows_of_sixty_videos(
    undisturbed: tuple[str, dict[str, bytes]], videos: Path, tiny: str
) -> None:
    out, files = undisturbed
    index = files["f.index.csv" if out == "f.npy" else "f/index.csv"].decode().splitlines()
    rows = list(csv.DictReader(index))
    names = list(dict.fromkeys(row["path"] for row in rows))
    assert names == (list(sixty.NAMES) if out == "f.npy" else sorted(sixty.NAMES))
    failed = {row["path"] for row in rows if row["status"] != "ok"}
    assert failed == {sixty.NAMES[n] for n in sixty.BROKEN}
    if out == "f/":
        good = {f"f/{name}.npy" for name in set(names) - failed}
        assert files.keys() == good | {"f/index.csv", "f/meta.json"}


@pytest.mark.slow  # fifteen seconds; `eval` and `predict` share videos by the same skeleton
@pytest.mark.parametrize("undisturbed", ["f.npy"], indirect=True)
def test_three_processes(
    undisturbed: tuple[str, dict[str, bytes]], videos: Path, tiny: str, tmp_path: Path
) -> None:
    out, expected = undisturbed
    done = sixty.run(sixty.torchrun(3, *options(videos, tiny, f"{tmp_path}/{out}")), tmp_path)
    assert "exitcode  : 3" in done.stderr, done.stderr
    assert contents(tmp_path) == expected


@pytest.mark.slow  # twelve processes one after the other; shards of eval run by default
@pytest.mark.parametrize("undisturbed", ["f.npy"], indirect=True)
def test_four_shards(
    undisturbed: tuple[str, dict[str, bytes]], videos: Path, tiny: str, tmp_path: Path
) -> None:
    out, expected = undisturbed
    for shard in (2, 4, 1, 3):
        line = options(videos, tiny, f"{tmp_path}/{out}", "--shard", f"{shard}/4")
        done = sixty.run(sixty.command(*line), tmp_path, threads=3)
        assert (done.stdout != "") == (shard == 3), done.stderr
        assert ("waiting for the other shards" in done.stderr) == (shard != 3)
    assert contents(tmp_path) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes to kill in /proc")
@pytest.mark.parametrize(
    ("processes", "undisturbed"),
    [(1, "f/"), pytest.param(3, "f.npy", marks=pytest.mark.slow)],  # as eval's, which runs
    indirect=["undisturbed"],
)
def test_killed_and_resumed(
    processes: int,
    undisturbed: tuple[str, dict[str, bytes]],
    videos: Path,
    tiny: str,
    tmp_path: Path,
) -> None:
    out, expected = undisturbed
    line = options(videos, tiny, f"{tmp_path}/{out}")
    part = Path(f"{tmp_path}/f.npy.part" if out == "f.npy" else f"{tmp_path}/f.part")
    command = sixty.command(*line) if processes == 1 else sixty.torchrun(processes, *line)
    sixty.kill_after(command, part, tmp_path, lines=12)
    rows = [row for file in part.glob("*.jsonl") for row in file.read_bytes().split(b"\n")[:-1]]
    good = sum(json.loads(row)["error"] is None for row in rows)
    done = sixty.run(sixty.command(*line), tmp_path)
    assert done.returncode == 3, done.stderr
    assert f"{good} of 60 videos were done before: skipped" in done.stderr
    assert contents(tmp_path) == expected


def test_frames_that_cannot_be_shared_go_through_a_pipe(
    run: Run, tiny: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container with little shared memory."""

    def fail(*args: object) -> None:
        raise RuntimeError("unable to resize file </torch_1_2_3> to the right size")

    for name in ("_share_fd_cpu_", "_share_filename_cpu_"):
        monkeypatch.setattr(torch.UntypedStorage, name, fail)
    for workers in (0, 1):
        line = ("extract", folder, "--out", tmp_path / f"{workers}.npy", "--model", tiny)
        result = run(*line, "--workers", workers)
        assert result.exit_code == 3
        assert "1 of 4 videos failed" in result.stderr
        assert ("--shm-size" in result.stderr) == (workers == 1)
    assert (tmp_path / "0.npy").read_bytes() == (tmp_path / "1.npy").read_bytes()


def test_overwriting_a_folder_leaves_no_empty_ones(
    run: Run, tiny: str, folder: Path, tmp_path: Path
) -> None:
    out = ("--out", f"{tmp_path / 'f'}/", "--model", tiny)
    assert run("extract", folder / "sub", *out).exit_code == 0
    assert run("extract", folder / "b.mp4", *out, "--overwrite").exit_code == 0
    assert [path.name for path in (tmp_path / "f").rglob("*.npy")] == ["b.mp4.npy"]
    assert not list((tmp_path / "f").rglob("sub"))


# --- precision ------------------------------------------------------------------------------------


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Go to a machine that is so many times as fast with bf16."""
    return lambda bf16: monkeypatch.setattr(
        precision, "this_machine", lambda: plain_machine(bf16=bf16)
    )


@pytest.mark.parametrize(("first", "second"), [(9.0, 1.0), (1.0, 9.0)])
@pytest.mark.parametrize("name", ["f.npy", "f.npz", "f.safetensors", "f/"])
def test_shards_on_different_machines_compute_alike(
    first: float,
    second: float,
    name: str,
    run: Run,
    tiny: str,
    folder: Path,
    tmp_path: Path,
    machines: Callable[[float], None],
) -> None:
    (tmp_path / "out").mkdir()
    command = ("extract", folder, "--out", f"{tmp_path}/out/{name}", "--model", tiny)
    auto = ("--precision", "auto")
    machines(first)
    assert "waiting for the other shards" in run(*command, *auto, "--shard", "1/2").stderr
    machines(second)
    last = run(*command, *auto, "--shard", "2/2")
    begun = "bf16" if first > second else "fp32"
    assert f"computing on cpu in {begun}: as the output was begun" in last.stderr, last.output
    assert last.stdout == f"{tmp_path}/out/{name}\n"
    assert not list((tmp_path / "out").glob("*.part"))
    again = run(*command, *auto)  # the finished output says it too
    assert f"computing on cpu in {begun}: as the output was begun" in again.stderr
    other = run(*command, "--precision", "fp16")
    assert other.exit_code == 2
    assert f"--precision was {begun}, now fp16" in other.stderr
    anew = run(*command, *auto, "--overwrite")
    decided = "fp32" if first > second else "bf16"
    assert f"computing on cpu in {decided}" in anew.stderr
    assert "was begun" not in anew.stderr


def test_shards_that_start_together_agree(
    run: Run,
    tiny: str,
    folder: Path,
    tmp_path: Path,
    machines: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second shard decides and begins while the first one is still trying bf16."""
    command = ("extract", folder, "--out", tmp_path / "f.npy", "--model", tiny)
    attempt = precision.try_bf16

    def slowly(*args: Any) -> Any:
        monkeypatch.setattr(numerics, "try_bf16", attempt)
        machines(1.0)
        assert (
            "computing on cpu in fp32\n"
            in run(*command, "--precision", "auto", "--shard", "2/2").stderr
        )
        machines(9.0)
        return attempt(*args)

    machines(9.0)
    monkeypatch.setattr(numerics, "try_bf16", slowly)
    result = run(*command, "--precision", "auto", "--shard", "1/2")
    assert "computing on cpu in fp32: as the output was begun" in result.stderr, result.output
    assert result.stdout == f"{tmp_path / 'f.npy'}\n"


def test_a_machine_that_is_fast_with_bf16_is_told_of_it_once(
    run: Run, tiny: str, folder: Path, tmp_path: Path, machines: Callable[[float], None]
) -> None:
    machines(9.0)
    told = "computing on cpu in fp32; bf16 is faster on this machine: --precision auto tries it"
    for command in (("predict",), ("extract", "--out", tmp_path / "f.npy")):
        assert run(*command, folder, "--model", tiny).stderr.count(told) == 1
