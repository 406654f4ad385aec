"""Annotated copies: the frames of the video at their times, its sound, its orientation."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from make_video import damage_video, draw_frame, read_number, rotate_video, write_video

from videoswin_cli.data import batches
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.encoding import annotated, mp4
from videoswin_cli.data.encoding.annotated import Canvas, Paint, write_annotated
from videoswin_cli.errors import MachineError, VideoError
from videoswin_cli.records import Segment, VideoPart

MARK = (0, 0, 255)


def mark(canvas: Canvas) -> Paint:
    """A blue block in the middle of each frame, where no block of the number is read."""

    def paint(frame: np.ndarray, seconds: float) -> None:
        middle = canvas.height // 2
        frame[middle - 3 : middle + 3] = MARK

    return paint


def copy(
    source: Path, out: Path, make: Callable[[Canvas], Paint] = mark, segment: Segment | None = None
) -> tuple[str, ...]:
    return write_annotated(VideoPart(path=str(source), segment=segment), out, make)


def read(path: Path) -> tuple[list[int], list[float], np.ndarray]:
    """Numbers, bounds and pictures of all frames."""
    with open_video(path, decoder="pyav") as video:
        images = video.read_frames(range(video.info.frames))
        return [read_number(image) for image in images], list(video.bounds()), images


def sounds(path: Path) -> tuple[str, list[float]]:
    """Codec, and the start of each packet in seconds."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        packets = [packet for packet in container.demux(stream) if packet.size]
        return stream.codec_context.name, [float(p.pts * p.time_base) for p in packets]


def test_every_frame_is_drawn_on_at_its_time(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames=40, fps=30000 / 1001)
    seen: list[float] = []

    def make(canvas: Canvas) -> Paint:
        assert (canvas.width, canvas.height, canvas.start) == (64, 48, 0)
        return lambda frame, seconds: (seen.append(seconds), mark(canvas)(frame, seconds))[1]

    assert copy(source, tmp_path / "out.mp4", make) == ()
    numbers, bounds, images = read(tmp_path / "out.mp4")
    assert numbers == list(range(40))
    assert bounds == pytest.approx(read(source)[1], abs=1e-6)
    assert seen == pytest.approx(bounds[:-1], abs=1e-6)
    assert np.abs(images[:, 24].astype(int) - MARK).max() < 40
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"


def test_a_variable_rate_is_kept(tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 0.5, 0.54, 1.2, 1.21, 2]
    source = write_video(tmp_path / "a.mkv", frames=8, times=times)
    copy(source, tmp_path / "out.mp4")
    numbers, bounds, _ = read(tmp_path / "out.mp4")
    assert numbers == list(range(8))
    assert bounds[:-1] == pytest.approx(times, abs=1e-6)


def test_a_rotated_video_is_copied_upright(tmp_path: Path) -> None:
    plain = write_video(tmp_path / "plain.mp4", frames=6)
    turned = rotate_video(plain, tmp_path / "turned.mp4", degrees=90)
    copy(turned, tmp_path / "out.mp4")
    with open_video(turned, decoder="pyav") as video:
        shown = video.read_frames([3])[0]
    with open_video(tmp_path / "out.mp4", decoder="pyav") as video:
        assert (video.info.width, video.info.height) == (48, 64)
        written = video.read_frames([3])[0]
    apart = np.abs(written.astype(int) - shown)
    apart[28:36] = 0  # the mark
    assert apart.mean() < 8


def test_an_odd_size_gets_one_more_row_and_column(tmp_path: Path) -> None:
    source = write_video(
        tmp_path / "a.mkv", frames=4, size=(65, 49), codec="ffv1", pix_fmt="yuv444p"
    )
    copy(source, tmp_path / "out.mp4")
    numbers, _, images = read(tmp_path / "out.mp4")
    assert numbers == [0, 1, 2, 3]
    assert images.shape[1:3] == (50, 66)


def test_sound_is_copied_with_its_times(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames=40, audio=True)
    assert copy(source, tmp_path / "out.mp4") == ()
    codec, times = sounds(tmp_path / "out.mp4")
    assert codec == "aac"
    assert times == pytest.approx(sounds(source)[1], abs=1e-3)


def test_a_segment_begins_at_zero_with_its_sound(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames=50, audio=True)
    copy(source, tmp_path / "out.mp4", segment=Segment(start=0.8, end=1.2))
    numbers, bounds, _ = read(tmp_path / "out.mp4")
    assert numbers == list(range(20, 30))
    assert (bounds[0], bounds[-1]) == pytest.approx((0, 0.4), abs=0.11)  # less the run-in of sound
    _, times = sounds(tmp_path / "out.mp4")
    assert -0.11 <= times[0] <= 0.07
    assert 0.3 < times[-1] < 0.4


def test_sound_that_does_not_fit_is_left_out_aloud(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(25))
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(draw_frame(number), "rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 3200), np.int16), "s16", "mono")
        tone.sample_rate, tone.pts = 16000, 0
        container.mux(sound.encode(tone))
    (note,) = copy(tmp_path / "a.mkv", tmp_path / "out.mp4")
    assert note == "the annotated video has no sound: pcm_s16le does not fit into mp4"
    assert read(tmp_path / "out.mp4")[0] == list(range(5))


def test_the_shape_of_pixels_and_the_coding_of_colors_are_kept(tmp_path: Path) -> None:
    source = write_video(
        tmp_path / "a.mp4",
        frames=3,
        options={"x264-params": "sar=4/3:colormatrix=bt709:colorprim=bt709:transfer=bt709"},
    )
    copy(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        assert stream.codec_context.colorspace == 1
    before, after = read(source)[2], read(tmp_path / "out.mp4")[2]
    assert np.abs(before.astype(int) - after)[:, :18].mean() < 4


def test_a_damaged_frame_is_the_one_before_it_and_noted(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", frames=60, gop=12, b_frames=0)
    source = damage_video(whole, tmp_path / "b.mp4", start=0.5, stop=0.53)
    (note,) = copy(source, tmp_path / "out.mp4")
    assert "frames cannot be decoded" in note
    numbers, bounds, _ = read(tmp_path / "out.mp4")
    assert len(bounds) == 61
    assert numbers == sorted(numbers)
    assert len(set(numbers)) < 60


def test_few_frames_are_held_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_video(tmp_path / "a.mp4", frames=50)
    held: list[int] = []
    plain = annotated._Reader.read

    def watch(reader: annotated._Reader, numbers: range) -> np.ndarray:
        held.append(len(numbers))
        return plain(reader, numbers)

    monkeypatch.setattr(annotated._Reader, "read", watch)
    monkeypatch.setattr(batches, "_BYTES_AT_ONCE", 64 * 48 * 3 * 7)
    copy(source, tmp_path / "out.mp4")
    assert held == [7] * 7 + [1]


def test_nothing_is_left_where_drawing_fails(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", frames=5)

    def paint(frame: np.ndarray, seconds: float) -> None:
        raise ValueError("a pen broke")

    with pytest.raises(ValueError, match="a pen broke"):
        copy(source, tmp_path / "out.mp4", lambda canvas: paint)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_broken_video_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(VideoError, match="not a readable video"):
        copy(tmp_path / "a.mp4", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_an_ffmpeg_without_h264_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_video(tmp_path / "a.mp4", frames=5)
    monkeypatch.setattr(mp4, "_CODER", "no-such-coder")
    with pytest.raises(MachineError, match=r"cannot write H\.264"):
        copy(source, tmp_path / "out.mp4")
