"""Files of containers without a table of packets: whole ones are opened, cut ones are not.

FFmpeg's muxers write the end marks that a container has, except to a pipe.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import make_video
import numpy as np
import pytest
from make_video import write_video

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.errors import VideoError

FRAMES = 30
MPEG2 = {"codec": "mpeg2video"}
KINDS: dict[str, dict[str, Any]] = {
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "a.ts": {},
    "mpeg2.ts": MPEG2,
    "hevc.ts": {"codec": "libx265"},
    "a.m2ts": {"format": "mpegts", "muxing": {"mpegts_m2ts_mode": "1"}},
    "a.ogv": {"codec": "libtheora"},
    "a.wmv": {"codec": "wmv2"},
    "a.asf": {"codec": "msmpeg4", "format": "asf"},
    "a.mpg": {"codec": "mpeg1video"},
    "a.vob": MPEG2,
    "a.flv": {"codec": "flv"},
    "h264.flv": {},
    "a.mxf": MPEG2,
    "a.nut": {"codec": "mpeg4"},
    "a.rm": {"codec": "rv10", "size": (176, 144)},
    "a.y4m": {"codec": "wrapped_avframe", "format": "yuv4mpegpipe"},
    "a.m2v": MPEG2 | {"format": "mpeg2video"},
}
PROVEN = {
    "a.gif",
    "a.ogv",
    "a.wmv",
    "a.asf",
    "a.mpg",
    "a.vob",
    "a.flv",
    "h264.flv",
    "a.mxf",
    "a.rm",
}
PROVEN |= {"a.y4m"}
DOUBTED = {"a.ts", "mpeg2.ts", "hevc.ts", "a.m2ts", "a.nut"}
LOSING = ("a.ogv", "a.flv", "h264.flv", "a.wmv")  # which tell that a part in the middle is lost


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write a video of KINDS, once."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str) -> Path:
        encoder = KINDS[name].get("codec", "libx264")
        if encoder not in av.codecs_available:
            pytest.skip(f"this PyAV has no encoder {encoder}")
        path = folder / name
        options: dict[str, Any] = {"size": (160, 128), "gop": 8, "b_frames": 0} | KINDS[name]
        return path if path.exists() else write_video(path, frames=FRAMES, **options)

    return make


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_file_is_opened_without_a_word(name: str, clip: Callable[[str], Path]) -> None:
    with open_video(clip(name)) as video:
        assert video.info.frames == FRAMES
        assert video.notes == ()
        _, missing = video.read_whole_frames(range(FRAMES))
        assert missing == []


@pytest.mark.parametrize("share", [0.31, 0.5, 0.7, 0.93])
@pytest.mark.parametrize("name", sorted(PROVEN))
def test_a_cut_file_is_refused_where_that_is_proven(
    name: str, share: float, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    path = make_video.truncate_video(clip(name), tmp_path / name, share=share)
    if name in {"a.mpg", "a.vob"} and path.stat().st_size % 2048 == 0:
        path.write_bytes(path.read_bytes()[:-100])  # between two packs nothing is torn
    with pytest.raises(VideoError, match="the file is truncated"), open_video(path):
        pass
    with open_video(path, allow_truncated=True) as video:
        assert 0 < video.info.frames < FRAMES
        assert any("the file is truncated" in note for note in video.notes)


@pytest.mark.parametrize("share", [0.31, 0.5, 0.7, 0.93])
@pytest.mark.parametrize("name", sorted(DOUBTED))
def test_a_file_that_may_be_cut_has_a_note(
    name: str, share: float, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    data = clip(name).read_bytes()
    end = int(len(data) * share)
    path = tmp_path / name
    path.write_bytes(
        data[: end + (end % (192 if name == "a.m2ts" else 188) == 0)]
    )  # inside a packet of a transport stream
    with open_video(path) as video:
        assert 0 < video.info.frames <= FRAMES
        assert any("may be truncated: it" in note for note in video.notes)


def test_a_transport_stream_that_ends_with_a_packet_but_inside_a_picture_has_a_note(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    data = clip("a.ts").read_bytes()
    units = [data[at : at + 188] for at in range(0, len(data), 188)]
    begins = [n for n, unit in enumerate(units) if unit[1:3] == b"\x41\0"]  # pictures, in 0x100
    inside, between = begins[-9] + 1, begins[-9]
    (tmp_path / "inside.ts").write_bytes(data[: 188 * inside])
    with open_video(tmp_path / "inside.ts") as video:
        assert any("it ends inside a picture" in note for note in video.notes)
    (tmp_path / "between.ts").write_bytes(data[: 188 * between])
    with open_video(tmp_path / "between.ts") as video:
        assert video.notes == ()


@pytest.mark.parametrize("name", ["a.ts", "a.flv"])
def test_zeros_in_place_of_the_end_are_noted(
    name: str, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(clip(name).read_bytes() + bytes(8192))
    with open_video(path) as video:
        assert any("its end is zeros" in note for note in video.notes)


@pytest.mark.parametrize("missing", [1, 3])
def test_a_flv_that_lacks_a_part_of_its_last_number_is_refused(
    missing: int, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "a.flv").write_bytes(clip("a.flv").read_bytes()[:-missing])
    with pytest.raises(VideoError, match="truncated"), open_video(tmp_path / "a.flv"):
        pass


def test_a_flv_that_ends_between_two_tags_has_a_note_where_it_says_how_long_it_is(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    data = clip("a.flv").read_bytes()
    end = make_video.find_packets(clip("a.flv"))[20]
    (tmp_path / "a.flv").write_bytes(data[:end])
    with open_video(tmp_path / "a.flv") as video:
        assert video.info.frames == 20
        (note,) = video.notes
        assert f"{end:,} of the {len(data):,} bytes that its header declares" in note
    (tmp_path / "b.flv").write_bytes(data[:-4])  # which some recorders leave out
    with open_video(tmp_path / "b.flv") as video:
        assert video.info.frames == FRAMES


def test_a_gif_without_a_trailer_is_read_and_noted(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    data = clip("a.gif").read_bytes()
    assert data[-1:] == b";"
    (tmp_path / "a.gif").write_bytes(data[:-1])
    with open_video(tmp_path / "a.gif") as video:
        assert video.info.frames == FRAMES
        assert any("it has no trailer" in note for note in video.notes)
    (tmp_path / "b.gif").write_bytes(data + b"\0more")
    with open_video(tmp_path / "b.gif") as video:
        assert video.notes == ()


def test_a_last_picture_without_its_lower_rows_is_noted(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    data = clip("a.m2v").read_bytes()
    row = data.rindex(b"\0\0\1\x05")  # the fifth of eight
    (tmp_path / "a.m2v").write_bytes(data[:row])
    with open_video(tmp_path / "a.m2v") as video:
        assert any("its last picture lacks rows" in note for note in video.notes)


def test_recordings_that_were_joined_or_sent_through_a_pipe_are_whole(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in ("a.ts", "a.mpg"):
        path = tmp_path / name
        path.write_bytes(2 * clip(name).read_bytes())
        with open_video(path) as video:
            assert not any("truncated" in note for note in video.notes)
    for name, kind in (("a.wmv", "asf"), ("h264.flv", "flv"), ("a.ogv", "ogg"), ("a.mxf", "mxf")):
        path = tmp_path / name
        make_video.send_through_a_pipe(clip(name), path, format=kind)
        with open_video(path) as video:
            assert video.info.frames == FRAMES
            assert video.notes == ()
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * 0.63)])
        with pytest.raises(VideoError, match="the file is truncated"), open_video(path):
            pass


@pytest.mark.parametrize("name", LOSING)
def test_a_lost_part_in_the_middle_is_damage(
    name: str, clip: Callable[[str], Path], tmp_path: Path
) -> None:
    with open_video(clip(name)) as video:
        whole = video.read_frames(range(FRAMES))
    size = clip(name).stat().st_size
    path = make_video.overwrite_video(
        clip(name), tmp_path / name, start=int(size * 0.4), size=size // 10
    )
    with open_video(path) as video:
        count = video.info.frames
        images, missing = video.read_whole_frames(range(count))
        assert missing
        # Nothing passes that is not to the bit a frame of the whole file.
        for number in set(range(count)) - set(missing):
            assert (whole == images[number]).all(axis=(1, 2, 3)).any(), number
        assert np.all(np.diff(video.timestamps()) > 0)
