"""A file that names other files is refused, whatever its name; these are never opened."""

import os
from pathlib import Path

import pytest
from make_video import write_video

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.decoding.playlists import confine
from videoswin_cli.errors import VideoError

HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nreal.ts\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
    "<Period><BaseURL>real.mp4</BaseURL></Period></MPD>"
)
PLAYLISTS = {
    "m3u8": HLS,
    "ffconcat": "ffconcat version 1.0\nfile real.mp4\n",
    "mpd": DASH,
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "pls": "[playlist]\nFile1=real.mp4\n",
    "imf": '<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"/>',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("playlists")
    for suffix in (".mp4", ".ts"):
        write_video(folder / f"real{suffix}", frames=12)
    return folder


@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8", "clip"])
@pytest.mark.parametrize("head", ["", "\ufeff", "\n \n"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_refused(kind: str, head: str, name: str, folder: Path) -> None:
    path = folder / name
    path.write_text(head + PLAYLISTS[kind], encoding="utf-8")
    with (
        pytest.raises(VideoError, match=f"a playlist \\({kind}\\) of other files") as caught,
        open_video(path),
    ):
        pass
    assert caught.value.hint == "Name the files themselves."


def test_a_name_that_is_a_pattern_opens_no_other_picture(folder: Path) -> None:
    """FFmpeg reads `p%d.png` as p1.png, p2.png and so on."""
    from PIL import Image

    for name in ("p1.png", "p2.png", "p%d.png"):
        Image.new("RGB", (64, 48)).save(folder / name)
    with (
        pytest.raises(VideoError, match=r"not a readable video file|a single picture"),
        open_video(folder / "p%d.png"),
    ):
        pass


def test_names_that_look_like_protocols_are_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for name in ("concat:real.mp4", "subfile,,start,0,end,9,,:real.mp4", "a%d.mp4"):
        os.link("real.mp4", name)
        for decoder in ("auto", "pyav"):
            with open_video(name, decoder=decoder) as video:
                assert video.info.frames == 12
        Path(name).unlink()
        with pytest.raises(VideoError, match="no such file"), open_video(name):
            pass


def test_ffmpeg_is_confined_to_one_file_even_where_a_playlist_is_not_known() -> None:
    options = confine()
    assert options["protocol_whitelist"] == "file"
    allowed = options["format_whitelist"].split(",")
    assert {"hls", "concat", "dash", "image2", "sdp", "lavfi"}.isdisjoint(allowed)
    assert {"mov", "mp4", "matroska", "webm", "avi", "mpegts", "gif", "ogg", "flv"} <= {*allowed}


def test_a_reference_to_data_in_another_file_is_not_followed(folder: Path) -> None:
    """A mov may name the file that holds its samples."""
    data = bytearray((folder / "real.mp4").read_bytes())
    place = data.index(b"url ")
    data[place + 4 : place + 8] = bytes(4)  # not in this file
    path = folder / "reference.mp4"
    path.write_bytes(data)
    with open_video(path) as video:
        assert video.info.frames == 12  # of this file
