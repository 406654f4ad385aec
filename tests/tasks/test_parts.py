"""Folders of parts: what they hold, and how they are continued."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import webdataset
from make_video import write_video
from s3_server import Bucket, serve_s3
from typer.testing import CliRunner, Result

from videoswin_cli.cli.app import app

COUNT = 7
BROKEN = 4


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which has seven videos in the folder `v`."""
    (tmp_path / "v").mkdir()
    for number in range(COUNT):
        write_video(tmp_path / "v" / f"{number}.mp4", frames=8, seed=number)
    (tmp_path / "v" / f"{BROKEN}.mp4").write_text("no video")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def extract(tiny: str, *more: object, out: str = "f") -> Result:
    line = ("extract", "v", "--model", tiny, "--out", out, *more, "--workers", 0)
    return CliRunner().invoke(app, list(map(str, line)))


def parts(folder: str | Path = "f") -> list[Path]:
    return sorted(Path(folder).glob("part-*"))


@pytest.fixture
def plain(videos: Path, tiny: str) -> np.ndarray:
    """Rows of a matrix of the same videos."""
    assert extract(tiny, out="plain.npy").exit_code == 3
    found: np.ndarray = np.load("plain.npy")
    return found


@pytest.mark.parametrize("per", ["video", "clip", "window"])
def test_parquet_has_the_rows_of_a_matrix(videos: Path, tiny: str, per: str) -> None:
    more = ("--per", per, "--dtype", "fp16") if per == "clip" else ("--per", per)
    assert extract(tiny, *more, out="plain.npy").exit_code == 3
    plain = np.load("plain.npy")
    done = extract(tiny, "--output-format", "parquet", "--part-size", 3, *more)
    assert (done.exit_code, done.stdout) == (3, "f\n"), done.output
    assert [file.name[:12] for file in parts()] == ["part-000000-", "part-000001-", "part-000002-"]
    table = pyarrow.parquet.read_table("f")
    assert table.num_rows == len(plain)
    described = json.loads(table.schema.metadata[b"videoswin"])
    assert described["row_shape"] == list(plain.shape[1:])
    assert described["weights_sha256"]
    assert table.schema.field("feature").type.list_size == plain[0].size
    for row, values in zip(table.to_pylist(), plain, strict=True):
        if row["path"] == f"v/{BROKEN}.mp4":
            assert row["status"].startswith("not a readable video file")
            assert (row["start"], row["decoder"], row["feature"]) == (None, None, None)
        else:
            assert row["status"] == "ok"
            assert row["end"] > row["start"] >= 0
            assert np.array_equal(np.array(row["feature"], dtype=plain.dtype), values.reshape(-1))


@pytest.mark.filterwarnings("ignore:.*FileIO")  # webdataset leaves its files open
def test_matrices_and_shards_have_them_too(tiny: str, plain: np.ndarray) -> None:
    assert extract(tiny, "--output-format", "npy", "--part-size", 3, out="n").exit_code == 3
    matrices = [np.load(file) for file in parts("n") if file.suffix == ".npy"]
    assert np.array_equal(np.concatenate(matrices), plain, equal_nan=True)
    assert len(list(Path("n").glob("*.index.csv"))) == 3

    assert extract(tiny, "--output-format", "webdataset", "--part-size", 3, out="w").exit_code == 3
    samples = webdataset.WebDataset(list(map(str, parts("w"))), shardshuffle=False).decode()
    good = [number for number in range(COUNT) if number != BROKEN]
    rows = {sample["json"]["path"]: sample.get("npy") for sample in samples}
    assert list(rows) == [f"v/{number}.mp4" for number in range(COUNT)]
    for number in good:
        assert np.array_equal(rows[f"v/{number}.mp4"][0], plain[number])


def test_the_manifest_says_what_there_is(videos: Path, tiny: str) -> None:
    extract(tiny, "--output-format", "parquet", "--part-size", 3)
    manifest = json.loads(Path("f/_manifest.json").read_text())
    assert (manifest["videos"], manifest["failed"]) == (COUNT, 1)
    assert [part["file"] for part in manifest["parts"]] == [file.name for file in parts()]
    assert [(part["videos"], part["failed"]) for part in manifest["parts"]] == [
        (3, 0),
        (3, 1),
        (1, 0),
    ]
    assert manifest["run"]["part_size"] == 3


@pytest.mark.parametrize("format", ["parquet", "npy", "webdataset"])
def test_a_part_that_is_missing_is_made_again_and_no_other(
    format: str, videos: Path, tiny: str
) -> None:
    extract(tiny, "--output-format", format, "--part-size", 3)
    before = {file.name: file.read_bytes() for file in Path("f").iterdir()}
    times = {file.name: file.stat().st_mtime_ns for file in Path("f").iterdir()}
    gone = next(file for file in parts() if "000001" in file.name and file.suffix != ".csv")
    gone.unlink()
    Path("f/_manifest.json").unlink()
    done = extract(tiny, "--output-format", format, "--part-size", 3)
    assert "4 of 7 videos were done before: skipped" in done.stderr
    assert "1 of 7 videos failed" in done.stderr
    assert {file.name: file.read_bytes() for file in Path("f").iterdir()} == before
    same = [name for name in times if (Path("f") / name).stat().st_mtime_ns == times[name]]
    assert {name[:11] for name in same} == {"part-000000", "part-000002", "_run.json"}


def test_a_part_of_a_file_that_changed_is_replaced(videos: Path, tiny: str) -> None:
    extract(tiny, "--output-format", "parquet", "--part-size", 3)
    before = [file.name for file in parts()]
    write_video(videos / "v" / "1.mp4", frames=8, seed=99)
    done = extract(tiny, "--output-format", "parquet", "--part-size", 3)
    assert "4 of 7 videos were done before: skipped" in done.stderr
    after = [file.name for file in parts()]
    assert after[1:] == before[1:]
    assert after[0] != before[0]
    assert json.loads(Path("f/_manifest.json").read_text())["parts"][0]["file"] == after[0]


def test_two_shards_are_dealt_whole_parts(videos: Path, tiny: str) -> None:
    extract(tiny, "--output-format", "parquet", "--part-size", 2, out="one")
    first = extract(tiny, "--output-format", "parquet", "--part-size", 2, "--shard", "2/2")
    assert "waiting for the other shards" in first.stderr
    assert [file.name[:11] for file in parts()] == ["part-000001", "part-000003"]
    assert not Path("f/_manifest.json").exists()
    extract(tiny, "--output-format", "parquet", "--part-size", 2, "--shard", "1/2")
    found, wanted = ({p.name: p.read_bytes() for p in Path(f).iterdir()} for f in ("f", "one"))
    assert found == wanted


def test_outputs_of_others_are_refused(videos: Path, tiny: str) -> None:
    Path("f").mkdir()
    Path("f/notes.txt").touch()
    parquet = ("--output-format", "parquet", "--part-size", 3)
    assert "f has notes.txt, which is no part of an output" in extract(tiny, *parquet).stderr
    Path("f/notes.txt").unlink()
    assert extract(tiny, *parquet).exit_code == 3
    for more, message in (
        (("--stage", 1), "belongs to a different run: --stage was"),
        (("--part-size", 2), "belongs to a different run: --part-size was 3, now 2"),
        (("--no-resume",), "f has parts of an output"),
    ):
        done = extract(tiny, *parquet, *more)
        assert done.exit_code == 2
        assert message in done.stderr
    assert extract(tiny, *parquet, "--part-size", 2, "--overwrite").exit_code == 3
    assert len(parts()) == 4


def test_a_list_that_changed_is_refused(videos: Path, tiny: str) -> None:
    extract(tiny, "--output-format", "parquet", "--part-size", 3)
    Path("v/0.mp4").rename("v/9.mp4")
    done = extract(tiny, "--output-format", "parquet", "--part-size", 3)
    assert done.exit_code == 2
    assert "belongs to a different run: list_sha256 was" in done.stderr


def test_a_damaged_part_is_told(videos: Path, tiny: str) -> None:
    extract(tiny, "--output-format", "parquet", "--part-size", 3)
    first = parts()[0]
    first.write_bytes(first.read_bytes()[:100])
    Path("f/_manifest.json").unlink()
    done = extract(tiny, "--output-format", "parquet", "--part-size", 3)
    assert done.exit_code == 2
    assert f"{first.name} cannot be read" in done.stderr
    assert "remove it: the same command makes it again" in done.stderr


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with serve_s3() as found:
        for key, value in found.environment.items():
            monkeypatch.setenv(key, value)
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "VIDEOSWIN_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        yield found


def test_parts_go_up_one_by_one(
    bucket: Bucket, videos: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(tiny, "--output-format", "parquet", "--part-size", 3)
    shard = ("--output-format", "parquet", "--part-size", 3, "--shard", "1/2")
    done = extract(tiny, *shard, out="s3://data/f/")
    assert done.exit_code == 0, done.output  # the broken one is in a part of the other shard
    there = [key.removeprefix("f/") for key in bucket.keys("f/")]
    assert there == ["_run.json", parts()[0].name, parts()[2].name]
    done = extract(tiny, *shard[:4], out="s3://data/f")
    assert "4 of 7 videos were done before: skipped" in done.stderr
    assert done.stdout == "s3://data/f\n"
    for file in Path("f").iterdir():
        assert bucket.get(f"f/{file.name}") == file.read_bytes()
