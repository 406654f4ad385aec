"""Features in tar shards: what is in them, and what a run leaves that ends too early."""

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_video import write_video
from notices import Notices
from tars import write_tar

from videoswin_cli.data.encoding.shards import write_shards
from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.errors import OutputExistsError, ResumeError, UsageError, VideoSwinError
from videoswin_cli.io.tar_files import index_tar, open_member
from videoswin_cli.model.loading import find_model
from videoswin_cli.options.run import RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.tasks import FeatureOptions, FloatType
from videoswin_cli.records import Shard
from videoswin_cli.tasks.extract import shards
from videoswin_cli.tasks.extract.extract import extract_to_files
from videoswin_cli.tasks.extract.output import parse_output
from videoswin_cli.tasks.extract.sink import Extraction

OUT = "f-{00}.tar"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two tar files with three good videos and a broken one."""
    folder = tmp_path_factory.mktemp("source")
    contents = []
    for n in range(3):
        write_video(folder / "v.mp4", frames=10 + 9 * n, seed=n)
        contents.append((folder / "v.mp4").read_bytes())
    (folder / "v.mp4").unlink()
    write_tar(folder / "0.tar", [("a.mp4", contents[0]), ("bad.mp4", b"no video")])
    write_tar(folder / "1.tar", [("b.mp4", contents[1]), ("sub/c.d.mp4", contents[2])])
    return folder


@pytest.fixture(autouse=True)
def _apart(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(source)
    monkeypatch.setattr(shards, "_SAMPLES", 3)


def run(
    out: Path | str,
    tiny: str,
    *,
    shard: Shard = Shard(),  # noqa: B008 - frozen
    overwrite: bool = False,
    dtype: FloatType = "fp32",
    notices: list[str] | None = None,
    inputs: str = "{0..1}.tar",
) -> Extraction:
    return extract_to_files(
        find_inputs([inputs], SourceOptions()).listed,
        parse_output(str(out)),
        find_model(tiny),
        RunOptions(workers=0),
        FeatureOptions(per="window", dtype=dtype),
        JobOptions(resume=True, shard=shard),
        Notices([] if notices is None else notices),
        overwrite=overwrite,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(source: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an undisturbed run writes."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(source)
        patch.setattr(shards, "_SAMPLES", 3)
        run(folder / OUT, tiny)
    return contents(folder)


def test_shards_hold_the_features_of_each_video(
    tiny: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    assert whole.keys() == {"f-00.tar", "f-01.tar", "f.index.csv", "f.meta.json"}
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    files = [list(index_tar(f"{tmp_path}/f-0{n}.tar").members) for n in range(2)]
    assert files == [
        ["0.tar/a.npy", "0.tar/a.json", "0.tar/bad.json", "1.tar/b.npy", "1.tar/b.json"],
        ["1.tar/sub/c%2Ed.npy", "1.tar/sub/c%2Ed.json"],
    ]
    run(tmp_path / "folder/", tiny)
    for key, name, tar in (
        ("0.tar/a", "0.tar/a.mp4", 0),
        ("1.tar/sub/c%2Ed", "1.tar/sub/c.d.mp4", 1),
    ):
        with open_member(f"{tmp_path}/f-0{tar}.tar/{key}.npy") as file:
            rows = np.load(file, allow_pickle=False)
        assert np.array_equal(rows, np.load(tmp_path / "folder" / f"{name}.npy"))
        described = read_json(f"{tmp_path}/f-0{tar}.tar/{key}.json")
        assert (described["path"], described["status"]) == (name, "ok")
        assert len(described["times"]) == len(rows)
    bad = read_json(f"{tmp_path}/f-00.tar/0.tar/bad.json")
    assert bad["status"].startswith("not a readable video file")


def read_json(ref: str) -> dict[str, Any]:
    with open_member(ref) as file:
        found: dict[str, Any] = json.load(file)
    return found


def test_two_shards_of_a_job_write_what_one_writes(
    tiny: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    first = run(tmp_path / OUT, tiny, shard=Shard(index=0, count=2))
    assert not first.complete
    assert [video.path for video in first.videos] == ["0.tar/a.mp4", "1.tar/b.mp4"]
    assert run(tmp_path / OUT, tiny, shard=Shard(index=1, count=2)).complete
    assert contents(tmp_path) == whole


def test_a_full_disk_while_packing_is_gone_on_with(
    tiny: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = write_shards

    def fail(*args: Any, **named: Any) -> None:
        real(*args, **named)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_shards", fail)
        with pytest.raises(VideoSwinError, match="No space left on device"):
            run(tmp_path / OUT, tiny)
    assert not list(tmp_path.glob("*.tar"))
    notices: list[str] = []
    run(tmp_path / OUT, tiny, notices=notices)
    assert "3 of 4 videos were done before: skipped" in notices
    assert contents(tmp_path) == whole


def test_a_run_killed_between_two_shards_is_ended_by_the_next(
    tiny: str, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Path.replace

    def stop(path: Path, target: Path) -> Path:
        if target.name == "f-01.tar" and path.suffix == ".tar":
            raise KeyboardInterrupt
        return move(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / OUT, tiny)
    assert [path.name for path in tmp_path.glob("*.tar")] == ["f-00.tar"]
    run(tmp_path / OUT, tiny)
    assert contents(tmp_path) == whole


def test_a_shard_that_is_gone_is_computed_again(
    tiny: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "f-01.tar").unlink()
    notices: list[str] = []
    run(tmp_path / OUT, tiny, notices=notices)
    assert "2 of 4 videos were done before: skipped" in notices
    assert contents(tmp_path) == whole


def test_shards_of_others_and_of_other_runs_are_left(
    tiny: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "f-07.tar").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"f-07.tar exists, but has no f.meta.json"):
        run(tmp_path / OUT, tiny)
    (tmp_path / "f-07.tar").unlink()
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="--dtype was fp32, now fp16"):
        run(tmp_path / OUT, tiny, dtype="fp16")
    with pytest.raises(ResumeError, match="has 2 videos that are not asked for now"):
        run(tmp_path / OUT, tiny, inputs="1.tar")
    assert contents(tmp_path) == whole
    run(tmp_path / OUT, tiny, inputs="1.tar", overwrite=True)
    assert contents(tmp_path).keys() == {"f-00.tar", "f.index.csv", "f.meta.json"}


def test_two_videos_of_one_key_are_refused_before_any_work(
    source: Path, tiny: str, tmp_path: Path
) -> None:
    for name in ("a.mp4", "a.avi"):
        (tmp_path / name).write_bytes(b"video")
    with pytest.raises(UsageError, match=r"a\.avi and .*a\.mp4 would both be the sample"):
        run(tmp_path / OUT, tiny, inputs=str(tmp_path))
