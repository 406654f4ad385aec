"""Videos made of others: streams behind each other, and what tells them apart."""

from itertools import pairwise
from pathlib import Path

import av
import make_video
import pytest
from make_video import read_number, write_video

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.errors import VideoError
from videoswin_cli.options.run import DecoderChoice


def join(path: Path, *parts: Path) -> Path:
    """As `cat` does."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def join_squeezed(path: Path, first: Path, second: Path) -> Path:
    """As FFmpeg's muxer does with stamps that go back: each a tick after the one before.

    Presentation stamps of the second part are then in the order of decoding.
    """
    with av.open(str(path), "w") as target:
        with av.open(str(first)) as source:
            stream = target.add_stream_from_template(source.streams.video[0])
            packets = [p for p in source.demux(video=0) if p.size]
            last = max(p.dts for p in packets)
            early = sorted(p.pts for p in packets)[-3]  # the second part begins before the end
            for packet in packets:
                packet.stream = stream
                target.mux(packet)
        with av.open(str(second)) as source:
            for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
                packet.dts = last + 1 + number
                packet.pts = max(packet.dts, early + number)
                packet.stream = stream
                target.mux(packet)
    return path


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_an_mp4_whose_parts_overlap(decoder: DecoderChoice, tmp_path: Path) -> None:
    """Trimmed clips joined by `ffmpeg -f concat -c copy`: decord would shift its frames."""
    parts = [write_video(tmp_path / f"{n}.mp4", seed=n, frames=40) for n in range(2)]
    path = join_squeezed(tmp_path / "joined.mp4", *parts)
    expected = [*range(40), *range(40)]
    with open_video(path, decoder=decoder) as video:
        assert video.info.decoder == "pyav"
        assert video.info.frames == 80
        assert [read_number(image) for image in video.read_frames(range(80))] == expected
        times = video.timestamps()
        assert all(a <= b for a, b in pairwise(times))
    for number in (3, 39, 40, 41, 57, 79):
        with open_video(path, decoder=decoder) as video:
            assert read_number(video.read_frames([number])[0]) == expected[number]


def test_another_size_is_brought_to_the_first(tmp_path: Path) -> None:
    small = write_video(tmp_path / "a.ts", size=(64, 48))
    path = join(tmp_path / "j.ts", small, write_video(tmp_path / "b.ts", size=(128, 96)))
    with open_video(path) as video:
        assert (video.info.width, video.info.height) == (64, 48)
        images = video.read_frames(range(video.info.frames))
    assert [read_number(image) for image in images] == [*range(40), *range(40)]


def test_another_codec_is_no_video_of_the_first_one(tmp_path: Path) -> None:
    if "libx265" not in av.codecs_available:
        pytest.skip("this PyAV has no encoder libx265")
    first = write_video(tmp_path / "a.ts")
    path = join(tmp_path / "j.ts", first, write_video(tmp_path / "b.ts", codec="libx265"))
    with (
        pytest.raises(VideoError, match="in 1 of its 2 joined streams decoding cannot start"),
        open_video(path),
    ):
        pass
    with open_video(path, allow_truncated=True) as video:
        images, _ = video.read_whole_frames(range(35))
        assert [read_number(image) for image in images] == list(range(35))
        assert any("another codec" in note for note in video.notes)


def test_an_avi_that_was_written_to_a_pipe_does_not_know_its_size(tmp_path: Path) -> None:
    """FFmpeg leaves -1 for the size and 2^30 for the number of frames; decord would abort."""
    path = write_video(tmp_path / "pipe.avi", codec="mpeg4", gop=100, b_frames=0)
    data = bytearray(path.read_bytes())
    data[4:8] = b"\xff\xff\xff\xff"
    length = data.index(b"vids") + 32  # of the stream header: its frames
    assert int.from_bytes(data[length : length + 4], "little") == 40
    data[length : length + 4] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(bytes(data[: data.index(b"idx1")]))
    for allow in (False, True):
        with open_video(path, allow_truncated=allow) as video:
            assert video.info.decoder == "pyav"
            images = video.read_frames(range(40))
    assert [read_number(image) for image in images] == list(range(40))


def test_what_is_left_of_a_cut_file_is_read_by_pyav(tmp_path: Path) -> None:
    """decord gives pictures that its FFmpeg patched up."""
    path = write_video(tmp_path / "whole.mkv", frames=80)
    path = make_video.truncate_video(path, tmp_path / "cut.mkv", share=0.6)
    with open_video(path, allow_truncated=True) as video:
        assert video.info.decoder == "pyav"
        images = video.read_frames(range(video.info.frames))
        shown = [round(time * 25) for time in video.timestamps()]
    assert [read_number(image) for image in images] == shown
    assert len(shown) > 30


def shift_stream(path: Path, source: Path, *, seconds: float) -> Path:
    """Copy a transport stream whose stamps are later."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                ticks = round(seconds / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                packet.stream = stream
                new.mux(packet)
    return path


@pytest.mark.parametrize("seconds", [3.0, 60.0])
def test_a_recording_with_a_pause_is_whole(seconds: float, tmp_path: Path) -> None:
    """FFmpeg marks the last packets before the pause as damaged: their counters do not fit."""
    first = write_video(tmp_path / "a.ts", frames=39)
    second = shift_stream(tmp_path / "b.ts", write_video(tmp_path / "c.ts"), seconds=seconds)
    with open_video(join(tmp_path / "j.ts", first, second)) as video:
        images = video.read_frames(range(video.info.frames))
        times = video.timestamps()
    assert [read_number(image) for image in images] == [*range(39), *range(40)]
    # A pause of a few seconds is one; a longer step is another stream. Source: ffmpeg.c
    gap = times[39] - times[38]
    assert gap == pytest.approx(seconds - 38 / 25 if seconds < 10 else 1 / 25, abs=0.01)
