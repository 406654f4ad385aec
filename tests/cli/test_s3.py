"""Commands whose videos, lists, weights and outputs lie on an S3 server of this machine."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from make_video import write_video
from s3_server import Bucket, Fault, forget_connections, serve_s3
from tars import write_tar
from typer.testing import CliRunner, Result

from videoswin_cli.cli.app import app
from videoswin_cli.data.lists import ListRow, VideoList, read_list
from videoswin_cli.data.locating import locate
from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.engine.file_stamps import FileStamps, read_stamp
from videoswin_cli.errors import FetchError, MissingInputError
from videoswin_cli.io import remote, storage
from videoswin_cli.io.remote import local_copy
from videoswin_cli.io.storage import list_below, look_up, read_range
from videoswin_cli.records import ListedVideo

NAMES = ("run/a.mp4", "run/b.mp4", "walk/c.mp4")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with serve_s3() as found:
        yield found


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(exist_ok=True)
        write_video(folder / name, frames=8 + number)
    return folder


@pytest.fixture(scope="module")
def videos(bucket: Bucket, clips: Path) -> str:
    """Address of the same clips."""
    for name in NAMES:
        bucket.put(f"videos/{name}", (clips / name).read_bytes())
    bucket.put("videos/notes.txt", b"no video")
    bucket.put("videos/._a.mp4", b"no video")
    return "s3://data/videos"


@pytest.fixture(autouse=True)
def _environment(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key, value in bucket.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "home"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "VIDEOSWIN_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(storage, "FIRST_WAIT", 0)
    monkeypatch.setattr(remote, "_seen", {})
    bucket.proxy.faults.clear()
    bucket.proxy.asked.clear()


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def predict(*args: str | Path, tiny: str) -> list[dict[str, object]]:
    found = run("predict", *args, "--model", tiny, "-j", "0", "-f", "jsonl")
    assert found.exit_code == 0, found.stderr
    return [json.loads(line) for line in found.stdout.splitlines()]


def scores(rows: list[dict[str, object]]) -> list[object]:
    return [row["top"] for row in rows]


def test_videos_of_a_bucket_give_the_answers_of_their_files(
    videos: str, clips: Path, tiny: str, bucket: Bucket
) -> None:
    local = scores(predict(clips, tiny=tiny))
    found = predict(videos, tiny=tiny)
    assert [row["path"] for row in found] == [f"{videos}/{name}" for name in NAMES]
    assert scores(found) == local
    assert scores(predict(f"{videos}/*/?.mp4", tiny=tiny)) == local
    assert scores(predict(f"{videos}/run/b.mp4", tiny=tiny)) == local[1:2]
    gets = [asked.path for asked in bucket.proxy.asked if asked.method == "GET"]
    assert sum(path.endswith(".mp4") for path in gets) == 3, "each is fetched once"


def test_a_list_its_root_and_the_weights_may_lie_in_the_bucket(
    videos: str, clips: Path, tiny: str, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.put("videos/list.txt", b"run/a.mp4\nwalk/c\n")
    weights = bucket.put("models/tiny.safetensors", Path(tiny).read_bytes())
    local = scores(predict(clips, tiny=tiny))
    by_list = predict("--list", f"{videos}/list.txt", tiny=weights)
    assert [row["path"] for row in by_list] == ["run/a.mp4", "walk/c.mp4"]
    assert scores(by_list) == [local[0], local[2]]
    named = tmp_path / "named.txt"
    named.write_text(f"{videos}/run/a.mp4\n{clips}/walk/c.mp4\n")
    assert scores(predict(f"@{named}", tiny=tiny)) == [local[0], local[2]]
    assert scores(predict("--list", named, tiny=tiny)) == [local[0], local[2]]
    (tmp_path / "list.csv").write_text("path,label\nrun/b.mp4,run\n")
    rooted = predict("--list", tmp_path / "list.csv", "--root", videos, tiny=tiny)
    assert scores(rooted) == local[1:2]


@pytest.mark.parametrize(
    "count",
    [1500, pytest.param(10_000, marks=pytest.mark.slow)],  # moto takes 6 s to list those
)
def test_all_names_of_a_list_are_found_by_one_listing(
    bucket: Bucket, tmp_path: Path, count: int
) -> None:
    names = [f"many{count}/{number % 100:02}/{number:05}.mp4" for number in range(count)]
    for name in names:
        bucket.put(name, b"")
    (tmp_path / "list.txt").write_text("".join(f"{Path(name).stem} 0\n" for name in names))
    rows = read_list(tmp_path / "list.txt")
    found, _ = locate(rows, [0] * count, root=f"s3://data/many{count}")
    assert [video.file for video in found] == [f"s3://data/{name}" for name in names]
    assert len(bucket.proxy.asked) == -(-count // 1000), "a thousand keys a page"


@pytest.mark.parametrize(
    "faults",
    [
        [("HEAD", "/x.mp4", Fault(status=503))] * 2,
        [("GET", "/x.mp4", Fault(status=503))] * 2,
        [("GET", "/x.mp4", Fault(status=500)), ("GET", "/x.mp4", Fault(cut=1000))],
        [("GET", "/x.mp4", Fault(cut=0)), ("HEAD", "/x.mp4", Fault(status=503))],
    ],
    ids=["busy before", "busy", "broken and cut", "cut at once"],
)
def test_what_may_pass_is_tried_again(bucket: Bucket, faults: list[tuple[str, str, Fault]]) -> None:
    body = b"0123456789" * 1000
    address = bucket.put("x.mp4", body)
    bucket.proxy.faults = list(faults)
    with local_copy(address) as path:
        assert path.read_bytes() == body
    assert bucket.proxy.faults == []


def test_a_slow_server_is_left_and_asked_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "READ_SECONDS", 0.2)
    address = bucket.put("slow.mp4", b"slow")
    bucket.proxy.faults = [("GET", "/slow.mp4", Fault(wait=1.0))]
    with local_copy(address) as path:
        assert path.read_bytes() == b"slow"
    assert bucket.proxy.faults == []


def test_what_does_not_pass_fails_at_once_and_says_what_is_missing(
    bucket: Bucket, tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match=r"cannot fetch s3://data/none\.mp4: there is no such"):
        look_up("s3://data/none.mp4")
    with pytest.raises(FetchError, match="there is no such object, folder or bucket"):
        look_up("s3://nowhere/none.mp4")
    before = len(bucket.proxy.asked)
    bucket.proxy.faults = [("HEAD", "/secret.mp4", Fault(status=403, body=b""))]
    with pytest.raises(FetchError, match=r"s3://data/secret\.mp4: access is denied") as caught:
        look_up(bucket.put("secret.mp4", b"x"))
    assert "testing" not in f"{caught.value} {caught.value.hint}"
    assert len(bucket.proxy.asked) == before + 1
    bucket.proxy.faults = [("HEAD", "/busy.mp4", Fault(status=503))] * storage.TRIES
    with pytest.raises(FetchError, match="cannot fetch"):
        look_up("s3://data/busy.mp4")
    found = run("predict", "s3://data/none.mp4", "--model", "camera-motion")
    assert found.exit_code == MissingInputError.exit_code  # as of a file that is named
    assert found.stderr.startswith("error: no such file: s3://data/none.mp4")
    with pytest.raises(MissingInputError, match=r"nothing matches s3://data/none/\*\.mp4"):
        expand_inputs(["s3://data/none/*.mp4"])


def test_a_video_that_was_replaced_is_fetched_again(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = bucket.put("new.mp4", b"one")
    with local_copy(address) as path:
        assert path.read_bytes() == b"one"
    bucket.put("new.mp4", b"two!")
    monkeypatch.setattr(remote, "TRUSTED_SECONDS", -1)
    with local_copy(address) as path:
        assert path.read_bytes() == b"two!"
    assert read_range(address, 1, 3) == b"wo"
    assert list_below("s3://data/new.mp4") == {}


def test_without_the_package_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3")
    found = run("predict", "s3://data/a.mp4", "--model", "camera-motion")
    assert found.exit_code == 2
    assert "s3:// needs the package s3fs, which is not installed" in found.stderr
    assert 'pip install "videoswin[remote]"' in found.stderr


def test_a_bucket_that_is_not_there_is_told_before_the_work(clips: Path, tiny: str) -> None:
    done = run("predict", clips, "--model", tiny, "--out", "s3://nowhere/x.jsonl")
    assert done.exit_code == 4
    assert "cannot write s3://nowhere/x.jsonl: there is no such bucket" in done.stderr
    assert "layout" not in done.stderr  # no model was loaded


def test_a_server_that_is_not_there_is_no_missing_bucket(
    clips: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    forget_connections()
    done = run("predict", clips, "--model", tiny, "--out", "s3://nowhere/x.jsonl")
    forget_connections()
    assert done.exit_code == 4
    assert "cannot write s3://nowhere/x.jsonl: " in done.stderr
    assert "no such bucket" not in done.stderr


def test_a_list_of_inputs_and_copies_without_a_network(
    bucket: Bucket, videos: str, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("names.txt", f"{videos}/{NAMES[0]}\n".encode())
    rows = predict("@s3://data/names.txt", tiny=tiny)
    assert [row["path"] for row in rows] == [f"{videos}/{NAMES[0]}"]
    monkeypatch.setenv("VIDEOSWIN_OFFLINE", "1")
    assert scores(predict(f"{videos}/{NAMES[0]}", tiny=tiny)) == scores(rows)
    assert scores(predict("@s3://data/names.txt", tiny=tiny)) == scores(rows)


def test_shards_of_a_bucket_are_read_as_local_ones(
    bucket: Bucket, clips: Path, tiny: str, tmp_path: Path
) -> None:
    for number, name in enumerate(NAMES):
        content = (clips / name).read_bytes()
        files = [("v.mp4", content), ("v.txt", name.split("/")[0].encode())]
        tar = write_tar(tmp_path / "s" / f"{number}.tar", files)
        bucket.put(f"s/{number}.tar", tar.read_bytes())
    here = predict(*(clips / name for name in NAMES), tiny=tiny)
    for named in ("s3://data/s/{0..2}.tar", "s3://data/s/*.tar", "s3://data/s"):
        there = predict(named, tiny=tiny)
        assert [row["path"] for row in there] == [f"s3://data/s/{n}.tar/v.mp4" for n in range(3)]
        assert scores(there) == scores(here)
    assert len([a for a in bucket.proxy.asked if a.method == "GET" and ".tar" in a.path]) == 3
    for kind in (("s3://data/s/{0..2}.tar",), ("--list", "s3://data/s/1.tar")):
        done = run("eval", *kind, "--model", tiny, "-j", "0", "--views", "1x1")
        assert done.exit_code == 0, done.stderr
        count = 3 if len(kind) == 1 else 1
        assert f"{count} listed, {count} found, 0 failed" in done.stdout
    missing = run("predict", "s3://data/s/9.tar", "--model", tiny, "-j", "0")
    assert missing.exit_code in (2, 3)
    assert "s3://data/s/9.tar" in missing.stdout + missing.stderr
    assert "s3://data/s/4.tar" in run("predict", "s3://data/s/{0..4}.tar", "--model", tiny).stderr


def test_a_folder_that_is_called_like_a_tar_file_is_a_folder(
    bucket: Bucket, clips: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = bucket.put("odd.tar/v.mp4", (clips / NAMES[0]).read_bytes())
    here = predict(clips / NAMES[0], tiny=tiny)
    for named in ("s3://data/odd.tar", "s3://data/odd.tar/", video, "s3://data/odd.tar/*.mp4"):
        there = predict(named, tiny=tiny)
        assert [row["path"] for row in there] == [video]
        assert scores(there) == scores(here)
    monkeypatch.setenv("VIDEOSWIN_OFFLINE", "1")
    assert scores(predict(video, tiny=tiny)) == scores(here)


def test_an_output_cannot_be_written_offline(
    bucket: Bucket, clips: Path, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEOSWIN_OFFLINE", "1")
    before = len(bucket.proxy.asked)
    for option in (("--out", "s3://data/offline.csv"), ("--annotate", "s3://data/drawn/")):
        done = run("predict", clips / NAMES[0], "--model", tiny, *option)
        assert done.exit_code == 4
        assert done.stderr.startswith(f"error: cannot write {option[1]}: offline mode forbids")
        assert "write a local file" in done.stderr
    assert len(bucket.proxy.asked) == before


def test_a_listing_and_an_object_tell_the_same_stamp(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a run that resumes would compute everything again; and a listing is one request."""
    files = [bucket.put(f"many/{number:03d}.mp4", b"%d" % number) for number in range(100)]
    alone = [read_stamp(file) for file in files[:2]]
    monkeypatch.setattr(remote, "_seen", {})
    bucket.proxy.asked.clear()
    stamps = FileStamps([ListedVideo(path=f, file=f, label=None, line=1) for f in files])
    stamps.read(files)
    assert [stamps[file] for file in files[:2]] == alone
    assert len({stamps[file] for file in files}) == 100
    methods = [asked.method for asked in bucket.proxy.asked]
    assert methods.count("GET") == 1
    assert methods.count("HEAD") <= 2, "those of before, which the proxy may note late"


def test_a_root_that_was_listed_is_not_asked_for_its_objects(bucket: Bucket, videos: str) -> None:
    rows = tuple(ListRow(line=n, name=name, label=None) for n, name in enumerate(NAMES, 1))
    listed, _ = locate(VideoList(source="list", format="paths", rows=rows), [None] * 3, root=videos)
    bucket.proxy.asked.clear()
    FileStamps(listed).read([video.path for video in listed])
    assert bucket.proxy.asked == []
