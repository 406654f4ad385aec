"""Text inside files that is no UTF-8, as old cameras and editors write it."""

from pathlib import Path

import av
import make_video
import pytest

from videoswin_cli.data.decoding.container import open_demuxer
from videoswin_cli.options.run import DecoderChoice

TITLE = b"Plain Title"
LATIN_1 = b"M\xfcllers Fahrt"[: len(TITLE)]


@pytest.fixture
def titled(tmp_path: Path) -> Path:
    """A video whose title is Latin-1."""
    plain, path = tmp_path / "plain.mkv", tmp_path / "titled.mkv"
    make_video.write_video(plain, frames=4, size=(64, 48))
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        new.metadata["title"] = TITLE.decode()
        copy = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    data = path.read_bytes()
    assert data.count(TITLE) == 1
    path.write_bytes(data.replace(TITLE, LATIN_1))
    return path


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_a_title_that_is_no_utf_8_does_not_stop_decoding(
    decoder: DecoderChoice, titled: Path
) -> None:
    assert make_video.decode_numbers(titled, decoder)[1] == [0, 1, 2, 3]


def test_a_stream_whose_title_is_no_utf_8_is_opened(titled: Path) -> None:
    with titled.open("rb") as file, open_demuxer(file) as container:
        assert len(list(container.decode(video=0))) == 4
