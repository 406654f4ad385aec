from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fault_server import FaultServer, Reply, serve
from make_video import as_parts, write_video

from videoswin_cli.data.view_dataset import FailedVideo, VideoViews, ViewDataset
from videoswin_cli.errors import FetchError
from videoswin_cli.io import fetch as fetch_module
from videoswin_cli.io import remote
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.records import Views


def local_copy(url: str) -> Path:
    """The path of a copy that nobody holds any more."""
    with remote.local_copy(url) as path:
        return path


BODY = b"a video, let us say" * 1000


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("VIDEOSWIN_OFFLINE", "http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "own"))
    monkeypatch.setattr(fetch_module, "LONGEST_WAIT", 0)
    return tmp_path / "own" / "videos"


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with serve(BODY) as local:
        yield local


def test_a_video_is_fetched_once(server: FaultServer, folder: Path) -> None:
    first = local_copy(server.url("clip.mp4"))
    assert first.read_bytes() == BODY
    assert first.parent == folder
    assert local_copy(server.url("clip.mp4")) == first
    assert len(server.asked) == 1


def test_the_name_keeps_the_suffix_and_tells_urls_apart(server: FaultServer) -> None:
    names = ["clip.mp4", "clip.mp4?v=2", "other/clip.mp4", "clip.webm", "clip", "x.averylongsuffix"]
    paths = [local_copy(server.url(name)) for name in names]
    assert len(set(paths)) == len(names)
    assert [path.suffix for path in paths] == [".mp4", ".mp4", ".mp4", ".webm", "", ".averylo"]


def test_a_url_cannot_leave_the_cache(server: FaultServer, folder: Path) -> None:
    path = local_copy(server.url("..%2f..%2fx.mp4/../../../y.a%2fb"))
    assert path.resolve().parent == folder


def test_a_video_beyond_the_limit_is_refused(
    server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert remote.MAX_BYTES == 2 * 1024**3
    monkeypatch.setattr(remote, "MAX_BYTES", len(BODY) - 1)
    for announced in (True, False):
        server.script = [Reply(length=announced)]
        with pytest.raises(FetchError, match="the limit is 18999"):
            local_copy(server.url("clip.mp4"))
    assert [path for path in folder.iterdir() if path.suffix != ".lock"] == []
    monkeypatch.setattr(remote, "MAX_BYTES", len(BODY))
    assert local_copy(server.url("clip.mp4")).read_bytes() == BODY


@pytest.mark.parametrize("reply", [Reply(status=404), Reply(headers={"Content-Type": "text/html"})])
def test_a_page_in_place_of_the_video_is_refused(server: FaultServer, reply: Reply) -> None:
    server.script = [reply]
    with pytest.raises(FetchError, match=r"HTTP 404|a web page"):
        local_copy(server.url("clip.mp4"))


def test_offline_takes_what_is_there_and_fetches_nothing(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = local_copy(server.url("clip.mp4"))
    monkeypatch.setenv("VIDEOSWIN_OFFLINE", "1")
    assert local_copy(server.url("clip.mp4")) == here
    with pytest.raises(FetchError, match=r"offline mode forbids fetching http.*other\.mp4"):
        local_copy(server.url("other.mp4"))
    assert len(server.asked) == 1


def test_a_url_is_a_video_like_any_other(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    spec = load_spec("swin-tiny-k400")
    protocol = replace(spec.protocol, clip_frames=4, crop_size=32)
    with serve(path.read_bytes()) as server:
        server.script = [Reply(), Reply(), *[Reply(status=404)] * 2]  # each is looked up first
        urls = [server.url("a.mp4"), server.url("b.mp4")]
        dataset = ViewDataset(
            as_parts(*urls, path), protocol=protocol, views=Views(clips=1, crops=1, short_side=32)
        )
        fetched, failed, local = (dataset[number] for number in range(3))
    assert isinstance(fetched, VideoViews)
    assert isinstance(local, VideoViews)
    assert fetched.view(0).equal(local.view(0))
    assert isinstance(failed, FailedVideo)
    assert failed.path == urls[1]
    assert "HTTP 404" in failed.reason
    assert urls[1] in failed.reason
