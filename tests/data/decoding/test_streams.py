"""Files with several video streams: FFmpeg's choice, or the one that was asked for."""

from collections.abc import Sequence
from pathlib import Path

import av
import make_video
import numpy as np
import pytest
from av.stream import Disposition
from make_video import read_number, write_video

from videoswin_cli.data.decoding.decord_reader import load_decord
from videoswin_cli.data.decoding.open import open_as, open_video
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.options.run import DecoderChoice, OpenOptions

FIRST, SECOND = 0, 100  # numbers of the first frames of two streams
COUNT = 12


def write_part(path: Path, first: int, size: tuple[int, int] = (64, 48)) -> Path:
    return write_video(
        path,
        frames=COUNT,
        size=size,
        draw=lambda number: make_video.draw_frame(first + number, size=size),
    )


def mux_streams(path: Path, parts: Sequence[Path], *, flagged: Sequence[int] = ()) -> Path:
    """Copy videos as the streams of one file; some get the default flag."""
    sources = [av.open(str(part)) for part in parts]
    muxing = {"default_mode": "passthrough"} if path.suffix == ".mkv" else {}
    with av.open(str(path), "w", options=muxing) as container:
        for number, source in enumerate(sources):
            stream = container.add_stream_from_template(source.streams.video[0])
            stream.disposition = Disposition.default if number in flagged else Disposition(0)
        for source, stream in zip(sources, container.streams, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
            source.close()
    return path


def read_first(path: Path, *, decoder: DecoderChoice = "auto", stream: int | None = None) -> int:
    with open_video(path, decoder=decoder, stream=stream) as video:
        assert video.info.frames == COUNT
        numbers = [read_number(image) for image in video.read_frames(range(COUNT))]
    assert numbers == list(range(numbers[0], numbers[0] + COUNT))
    return numbers[0]


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    return [write_part(tmp_path / f"{first}.mp4", first) for first in (FIRST, SECOND)]


@pytest.mark.parametrize(
    ("flagged", "expected"), [((), FIRST), ((0,), FIRST), ((1,), SECOND), ((0, 1), FIRST)]
)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_the_default_flag_decides(
    suffix: str, flagged: tuple[int, ...], expected: int, two: list[Path], tmp_path: Path
) -> None:
    path = mux_streams(tmp_path / f"two{suffix}", two, flagged=flagged)
    with av.open(str(path)) as container:  # the flags are those that were meant
        found = [n for n, s in enumerate(container.streams) if s.disposition & Disposition.default]
    assert found == list(flagged) or (suffix == ".mp4" and not flagged)
    for decoder in ("auto", "pyav"):
        assert read_first(path, decoder=decoder) == expected


def test_without_a_flag_the_larger_one_is_taken(tmp_path: Path) -> None:
    small = write_part(tmp_path / "small.mp4", FIRST)
    large = write_part(tmp_path / "large.mp4", SECOND, (96, 64))
    assert read_first(mux_streams(tmp_path / "a.mkv", [small, large])) == SECOND
    assert read_first(mux_streams(tmp_path / "b.mkv", [large, small])) == SECOND
    flagged = mux_streams(tmp_path / "c.mkv", [small, large], flagged=[0])
    assert read_first(flagged) == FIRST


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_stream_by_its_number(suffix: str, two: list[Path], tmp_path: Path) -> None:
    path = mux_streams(tmp_path / f"two{suffix}", two)
    for decoder in ("auto", "pyav"):
        assert read_first(path, decoder=decoder, stream=0) == FIRST
        assert read_first(path, decoder=decoder, stream=1) == SECOND
    with open_as(path, OpenOptions(stream=1)) as video:
        assert read_number(video.read_frames([5])[0]) == SECOND + 5


@pytest.mark.parametrize("wrong", [2, 7])
def test_a_number_that_is_no_video_stream(wrong: int, two: list[Path], tmp_path: Path) -> None:
    path = mux_streams(tmp_path / "two.mkv", two)
    with (
        pytest.raises(UsageError, match=rf"stream {wrong} is no video .*#0 h264 64x48, #1 h264"),
        open_video(path, stream=wrong),
    ):
        pass


def test_sound_is_counted_and_is_no_video_stream(tmp_path: Path) -> None:
    path = write_video(tmp_path / "sound.mp4", frames=COUNT, audio=True)
    assert read_first(path, stream=0) == FIRST
    with pytest.raises(UsageError, match="stream 1 is no video"), open_video(path, stream=1):
        pass


def test_the_choice_is_noted(two: list[Path], tmp_path: Path) -> None:
    path = mux_streams(tmp_path / "two.mkv", two, flagged=[1])
    with open_video(path) as video:
        (note,) = video.notes
        assert note == ("2 video streams: #0 h264 64x48, #1 h264 64x48; #1 is read (--stream)")
    with open_video(path, stream=0) as video:
        assert "#0 is read" in video.notes[0]
    with open_video(two[0]) as video:
        assert video.notes == ()


def test_decord_is_refused(two: list[Path], tmp_path: Path) -> None:
    path = mux_streams(tmp_path / "two.mkv", two)
    if load_decord() is not None:
        with (
            pytest.raises(VideoError, match="of 2 video streams it may take another one"),
            open_video(path, decoder="decord"),
        ):
            pass
    with open_video(path) as video:
        assert video.info.decoder == "pyav"


def write_with_cover(path: Path, video: Path, *, first: bool) -> Path:
    """A video with a large picture, as music players and phones keep them."""
    size = (320, 240)
    with av.open(str(video)) as source, av.open(str(path), "w") as container:
        template = source.streams.video[0]
        streams = {}
        for cover in (True, False) if first else (False, True):
            if cover:
                stream = container.add_stream("mjpeg", rate=25)
                stream.width, stream.height, stream.pix_fmt = *size, "yuvj420p"
                stream.disposition = Disposition.attached_pic
            else:
                stream = container.add_stream_from_template(template)
                stream.disposition = Disposition.default
            streams[cover] = stream
        image = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 200, np.uint8), "rgb24")
        container.mux(streams[True].encode(image.reformat(format="yuvj420p")))
        for packet in source.demux(template):
            if packet.size:
                packet.stream = streams[False]
                container.mux(packet)
    return path


@pytest.mark.parametrize("first", [True, False])
def test_a_cover_picture_is_left_out(first: bool, two: list[Path], tmp_path: Path) -> None:
    path = write_with_cover(tmp_path / "cover.mp4", two[1], first=first)
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    assert read_first(path) == SECOND
    with open_video(path) as video:
        assert video.notes == ()
        assert (video.info.width, video.info.height) == (64, 48)


def test_a_cover_picture_cannot_be_asked_for(two: list[Path], tmp_path: Path) -> None:
    path = write_with_cover(tmp_path / "cover.mp4", two[0], first=False)
    with (
        pytest.raises(UsageError, match="stream 1 is no video stream; it has #0 h264"),
        open_video(path, stream=1),
    ):
        pass
