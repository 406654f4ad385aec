"""Tar shards through the commands: the answers of the same videos as files."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tars import write_tar
from typer.testing import Result

Run = Callable[..., Result]

SAMPLES = Path(__file__).parents[2] / "samples"
CLIPS = ("pan-left", "roll-clockwise", "zoom-in")
MODEL = ("--model", "camera-motion", "--views", "1x1", "--device", "cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clips/CLASS/v.mp4, the same in two shards, and a shard that is cut off."""
    root = tmp_path_factory.mktemp("root")
    contents = {name: (SAMPLES / f"{name}.mp4").read_bytes() for name in CLIPS}
    for n, (name, content) in enumerate(contents.items()):
        (root / "clips" / name).mkdir(parents=True)
        (root / "clips" / name / "v.mp4").write_bytes(content)
        tar = root / "shards" / f"{n // 2:06}.tar"
        files = [(f"{name}.mp4", content), (f"{name}.txt", name.encode())]
        tar.parent.mkdir(exist_ok=True)
        with tarfile.open(tar, "a" if n == 1 else "w") as opened:
            for key, part in files:
                member = tarfile.TarInfo(key)
                member.size = len(part)
                opened.addfile(member, io.BytesIO(part))
    cut = write_tar(root / "cut.tar", [(f"{n}.mp4", contents["zoom-in"]) for n in range(2)])
    cut.write_bytes(cut.read_bytes()[:12_000])
    return root


def test_predict_and_workers_see_the_frames_of_the_files(run: Run, root: Path) -> None:
    def ask(*inputs: object) -> list[dict[str, object]]:
        result = run("predict", *inputs, *MODEL, "--workers", 2, "--format", "json")
        assert result.exit_code == 0, result.output
        rows: list[dict[str, object]] = json.loads(result.stdout)
        return rows

    files = ask(*(root / "clips" / name / "v.mp4" for name in CLIPS))
    members = ask(root / "shards" / "{000000..000001}.tar")
    assert [row["path"] for row in members] == [
        f"{root}/shards/00000{n // 2}.tar/{name}.mp4" for n, name in enumerate(CLIPS)
    ]
    assert [row["top"] for row in members] == [row["top"] for row in files]


def test_eval_takes_shards_as_inputs_and_as_a_list(run: Run, root: Path, tmp_path: Path) -> None:
    dumps = []
    shards = (root / "shards/000000.tar", root / "shards/000001.tar")
    listed: list[object] = ["--list", root / "shards" / "{000000..000001}.tar"]
    asked: list[list[object]] = [[root / "clips"], [*shards], listed]
    for n, inputs in enumerate(asked):
        dump = tmp_path / f"{n}.npz"
        result = run("eval", *inputs, *MODEL, "--workers", 0, "--dump", dump, "--format", "json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["accuracy"]["top1"] == 100
        with np.load(dump) as found:
            dumps.append(found[next(key for key in found.files if found[key].ndim == 2)])
    assert np.array_equal(dumps[0], dumps[1])
    assert np.array_equal(dumps[0], dumps[2])
    mixed = run("eval", shards[0], root / "clips", *MODEL)
    assert (mixed.exit_code, "is no tar file" in mixed.stderr) == (2, True)


def test_the_lost_rest_of_a_shard_is_a_failed_row(run: Run, root: Path, tmp_path: Path) -> None:
    result = run("predict", root / "cut.tar", *MODEL, "--workers", 0, "--format", "json")
    assert result.exit_code == 3
    good, rest = json.loads(result.stdout)
    assert good["error"] is None
    assert rest["path"] == f"{root}/cut.tar"
    assert rest["error"].startswith("damaged, its further videos are lost: 1.mp4 is cut off")
    assert "damaged tar files: 1" in result.stderr


def test_a_tar_file_that_is_read_is_not_written_over(run: Run, root: Path) -> None:
    before = (root / "cut.tar").read_bytes()
    result = run("predict", root / "cut.tar", *MODEL, "--out", root / "cut.tar")
    assert result.exit_code == 2
    assert (root / "cut.tar").read_bytes() == before


def test_a_replaced_shard_is_computed_again(run: Run, root: Path, tmp_path: Path) -> None:
    tar = tmp_path / "a.tar"
    content = (SAMPLES / "zoom-in.mp4").read_bytes()
    write_tar(tar, [("v.mp4", content)])
    command = ("extract", tar, *MODEL, "--workers", 0, "--out", tmp_path / "f.npy")
    assert run(*command).exit_code == 0
    assert "1 of 1 video was done before" in run(*command).stderr
    write_tar(tar, [("w.txt", b"x"), ("v.mp4", content)])
    assert "1 file changed since: computed again" in run(*command).stderr


def test_a_damaged_shard_is_told_beside_the_figure(run: Run, root: Path, tmp_path: Path) -> None:
    content = (SAMPLES / "zoom-in.mp4").read_bytes()
    files = [
        (f"{n}.{end}", data) for n in "abc" for end, data in (("mp4", content), ("txt", b"zoom-in"))
    ]
    whole = write_tar(tmp_path / "whole.tar", files).read_bytes()
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole[: len(whole) * 3 // 4])
    done = run("eval", cut, *MODEL, "--workers", 0)
    assert done.exit_code == 3
    assert "2 listed, 2 found, 0 failed" in done.stdout
    assert f"damaged              {cut}: damaged, its further videos are lost" in done.stdout
    assert run("eval", tmp_path / "whole.tar", *MODEL, "--workers", 0).exit_code == 0
