import json
import multiprocessing
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import av
import make_video
import numpy as np
import pytest
from decoders import need_decoder
from make_video import decode_numbers, read_number, write_video
from torch.utils.data import DataLoader, Dataset

from videoswin_cli.data.decoding import decord_reader, packets, trust
from videoswin_cli.data.decoding.decord_reader import DecordReader, load_decord
from videoswin_cli.data.decoding.frame_index import index_frames
from videoswin_cli.data.decoding.open import Video, open_video
from videoswin_cli.data.decoding.packets import open_packets
from videoswin_cli.data.decoding.picture import read_picture
from videoswin_cli.data.decoding.pyav_reader import PyAvReader
from videoswin_cli.data.decoding.trust import ReaderFailedError
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.options.run import DecoderChoice

Clip = Callable[[str], Path]  # writes a video of KINDS
GOLDEN = Path(__file__).parents[2] / "golden" / "decode.json"
UNEVEN = list(accumulate([0.0, *(0.02 + 0.03 * (i % 3) for i in range(39))]))

# Containers and codecs, and who should read them in auto mode where decord is installed.
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "closed.mp4": ({}, "decord"),
    "closed.mkv": ({}, "decord"),
    "no-b-frames.mp4": ({"b_frames": 0}, "decord"),
    "all-key.mp4": ({"gop": 1}, "decord"),
    "sound.mp4": ({"audio": True}, "decord"),
    "index-last.mp4": ({"faststart": False}, "decord"),
    "uneven.mp4": ({"times": UNEVEN}, "decord"),
    "uneven.mkv": ({"times": UNEVEN}, "decord"),
    "hevc.mp4": ({"codec": "libx265"}, "decord"),
    "vp9.webm": ({"codec": "libvpx-vp9"}, "decord"),
    "one-key.avi": ({"codec": "mpeg4", "gop": 100}, "pyav"),
    "av1.mp4": ({"codec": "libsvtav1", "size": (64, 64)}, "pyav"),
    "open.mp4": ({"open_gop": True}, "pyav"),
    "open-hevc.mp4": ({"codec": "libx265", "open_gop": True}, "pyav"),
    "mpeg4.mp4": ({"codec": "mpeg4"}, "pyav"),
    "h264.avi": ({}, "pyav"),
    "h264-no-b.avi": ({"b_frames": 0}, "pyav"),
    "mpeg4.avi": ({"codec": "mpeg4"}, "pyav"),
    "mjpeg.avi": ({"codec": "mjpeg", "pix_fmt": "yuvj420p"}, "pyav"),
    "h264.ts": ({}, "pyav"),
    "mpeg2.ts": ({"codec": "mpeg2video"}, "pyav"),
    "mpeg1.mpg": ({"codec": "mpeg1video"}, "pyav"),
    "flash.flv": ({"codec": "flv1"}, "pyav"),
}
ENCODERS = {"libx264", "libx265", "libvpx-vp9", "libsvtav1"}


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Write a video of KINDS, once a session."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str) -> Path:
        options = KINDS[name][0]
        encoder = options.get("codec", "libx264")
        if encoder in ENCODERS and encoder not in av.codecs_available:
            pytest.skip(f"this PyAV has no encoder {encoder}")
        path = folder / name
        return path if path.exists() else write_video(path, **options)

    return make


@pytest.fixture(params=["decord", "pyav", "torchcodec"])
def decoder(request: pytest.FixtureRequest) -> Any:
    need_decoder(request.param)
    return request.param


def read_numbers(video: Video, indices: list[int]) -> list[int]:
    return [read_number(image) for image in video.read_frames(indices)]


# --- the right frames ---------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_is_the_one_asked_for(name: str, clip: Clip) -> None:
    path = clip(name)
    order = np.random.default_rng(0).permutation(40)[:8].tolist()
    expected = KINDS[name][1] if load_decord() is not None else "pyav"
    for decoder in ("auto", "pyav"):
        with open_video(path, decoder=decoder) as video:
            assert video.info.decoder == (expected if decoder == "auto" else "pyav")
            assert video.info.frames == 40
            assert (video.info.width, video.info.height) == KINDS[name][0].get("size", (64, 48))
            assert read_numbers(video, list(range(40))) == list(range(40))
            for index in order:  # one at a time: backwards and forwards, over key frames
                assert read_numbers(video, [index]) == [index], decoder
            assert read_numbers(video, order) == order


@pytest.mark.parametrize("name", KINDS)
def test_torchcodec_gives_the_frame_asked_for_or_refuses(name: str, clip: Clip) -> None:
    need_decoder("torchcodec")
    path = clip(name)
    if KINDS[name][1] == "pyav":  # nor can it prove there where it starts
        with (
            pytest.raises(VideoError, match=rf"{name}: torchcodec cannot read .* reliably"),
            open_video(path, decoder="torchcodec"),
        ):
            pass
        return
    order = np.random.default_rng(0).permutation(40)[:8].tolist()
    with open_video(path, decoder="torchcodec") as video:
        assert video.info.decoder == "torchcodec"
        assert read_numbers(video, list(range(40))) == list(range(40))
        for index in order:
            assert read_numbers(video, [index]) == [index]
        assert read_numbers(video, order) == order


@pytest.mark.parametrize("name", ["open.mp4", "mpeg4.mp4", "h264-no-b.avi", "mpeg2.ts"])
def test_decord_alone_refuses_what_it_gets_wrong(name: str, clip: Clip) -> None:
    need_decoder("decord")
    with (
        pytest.raises(VideoError, match=rf"{name}: decord cannot read .* reliably") as failure,
        open_video(clip(name), decoder="decord"),
    ):
        pass
    assert "--decoder auto" in failure.value.hint


def test_indices_may_repeat_and_come_in_any_order(clip: Clip, decoder: DecoderChoice) -> None:
    with open_video(clip("closed.mp4"), decoder=decoder) as video:
        images = video.read_frames([30, 2, 2, 17, 30, 0])
        assert images.shape == (6, 48, 64, 3)
        assert images.dtype == np.uint8
        assert [read_number(image) for image in images] == [30, 2, 2, 17, 30, 0]
        assert video.read_frames([]).shape == (0, 48, 64, 3)
        assert video.read_frames(cast("Sequence[int]", np.array([5, 5]))).shape == (2, 48, 64, 3)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_honoured(degrees: int, tmp_path: Path, decoder: DecoderChoice) -> None:
    plain = write_video(tmp_path / "plain.mp4", frames=6, size=(128, 96))
    path = make_video.rotate_video(plain, tmp_path / "turned.mp4", degrees=degrees)
    with open_video(plain, decoder=decoder) as video:
        expected = np.rot90(video.read_frames([4])[0], k=-degrees // 90)
    with open_video(path, decoder=decoder) as video:
        assert (video.info.height, video.info.width) == expected.shape[:2]
        assert video.info.decoder == decoder
        np.testing.assert_array_equal(video.read_frames([4])[0], expected)


def test_rotated_to_an_odd_width_decord_sees_four_channels(clip: Clip, tmp_path: Path) -> None:
    # It takes the bytes of a padded row for its width times the channels.
    path = make_video.rotate_video(clip("closed.mp4"), tmp_path / "turned.mp4", degrees=90)
    with open_video(path) as video:
        image = video.read_frames([9])[0]
        assert video.info.decoder == "pyav"
    assert read_number(np.rot90(image)) == 9


@pytest.mark.parametrize("cut", [3, 12, 17])
def test_frames_cut_off_by_an_edit_list_are_no_frames(cut: int, clip: Clip, tmp_path: Path) -> None:
    path = make_video.trim_video(clip("closed.mp4"), tmp_path / "cut.mp4", frames=cut)
    for decoder in ("auto", "pyav"):  # decord counts some of them and repeats the last one
        with open_video(path, decoder=decoder) as video:
            count = 40 - cut
            assert video.info.frames == count
            assert video.timestamps()[0] == 0
            assert read_numbers(video, list(range(count))) == list(range(cut, 40))
            assert read_numbers(video, [count - 1]) == [39]
            assert read_numbers(video, [1]) == [cut + 1]


# --- time ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "times", "fps"),
    [
        ("closed.mp4", [i / 25 for i in range(40)], 25),
        ("h264.avi", [i / 25 for i in range(40)], 25),
        ("mpeg2.ts", [i / 25 for i in range(40)], 25),
        ("uneven.mp4", UNEVEN, 39 / UNEVEN[-1]),
        ("uneven.mkv", UNEVEN, 39 / UNEVEN[-1]),
    ],
)
def test_timestamps(name: str, times: list[float], fps: float, clip: Clip) -> None:
    with open_video(clip(name)) as video:
        np.testing.assert_allclose(video.timestamps(), times, atol=1.1e-3)
        assert video.timestamps()[0] == 0
        assert video.info.fps == pytest.approx(fps, rel=0.01)


def test_frame_rate_is_the_exact_fraction(tmp_path: Path) -> None:
    with open_video(write_video(tmp_path / "a.mp4", fps=30000 / 1001)) as video:
        assert video.info.fps == 30000 / 1001


# --- only what is needed ------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("held", [True, False], ids=["held", "read again"])
def test_only_needed_frames_are_decoded(
    suffix: str, held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not held:
        monkeypatch.setattr(packets, "_HELD_BYTES", 0)
    path = write_video(tmp_path / f"long{suffix}", frames=600, gop=50)
    wanted = list(range(310, 342, 2))
    with open_packets(path) as source:
        reader = PyAvReader(index_frames(source), source)
        for numbers, most in ((wanted, 45), ([3, 500], 10), ([502, 504], 8)):
            reader.decoded_frames = 0
            images, missing = reader.read_frames(numbers)
            assert [read_number(image) for image in images] == numbers
            assert missing == []
            # A few leave the decoder with them; the last ones come after those of before.
            assert reader.decoded_frames <= most


def test_near_key_frames_are_reached_without_a_seek(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []
    decode = PyAvReader._decode

    def spy(self: PyAvReader, start: Any) -> Any:
        starts.append(start)
        return decode(self, start)

    monkeypatch.setattr(PyAvReader, "_decode", spy)
    with open_packets(clip("closed.mp4")) as source:
        reader = PyAvReader(index_frames(source), source)
        for numbers in (range(20), range(20, 40)):
            reader.read_frames(list(numbers))
    assert starts == [0]
    assert reader.decoded_frames == 40


# --- damage -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "share"),
    [
        *[(name, 0.6) for name in ("closed.mp4", "no-b-frames.mp4", "closed.mkv", "vp9.webm")],
        *[(name, 0.9) for name in ("closed.mp4", "h264.avi", "closed.mkv", "vp9.webm")],
    ],
)
@pytest.mark.parametrize("decoder", ["auto", "decord", "pyav", "torchcodec"])
def test_a_truncated_file_is_refused(
    name: str,
    share: float,
    decoder: DecoderChoice,
    clip: Clip,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    need_decoder(decoder)
    path = make_video.truncate_video(clip(name), tmp_path / name, share=share)
    with av.open(str(path)) as container:
        promised = container.streams.video[0].frames
        assert promised == (40 if name.endswith(("mp4", "avi")) else 0)
    found = r"holds \d\d? frames" + (" of the 40 that its header declares" if promised else "")
    with (
        pytest.raises(VideoError, match=rf"{name}: the file is truncated: it {found}"),
        open_video(path, decoder=decoder),
    ):
        pass
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["closed.mp4", "no-b-frames.mp4"])
def test_a_frame_that_cannot_be_decoded_is_an_error(
    name: str, clip: Clip, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_video.damage_video(clip(name), tmp_path / "holed.mp4", start=0.5, stop=0.6)
    with open_video(path) as video:
        assert read_numbers(video, [0, 39]) == [0, 39]  # those outside are as good as ever
        with pytest.raises(VideoError, match=r"holed\.mp4: \d+ of the wanted frames cannot be"):
            video.read_frames(range(40))
    assert capfd.readouterr() == ("", "")


def test_auto_switches_when_decord_fails_while_reading(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_decoder("decord")

    def fail(self: DecordReader, numbers: Sequence[int]) -> None:
        raise ReaderFailedError("so it goes")

    monkeypatch.setattr(DecordReader, "read_frames", fail)
    with open_video(clip("closed.mp4")) as video:
        decoders = [video.info.decoder]
        assert read_numbers(video, [7, 21]) == [7, 21]
        decoders.append(video.info.decoder)
    assert decoders == ["decord", "pyav"]
    with (
        open_video(clip("closed.mp4"), decoder="decord") as video,
        pytest.raises(VideoError, match=r"closed\.mp4: decord cannot read .*so it goes"),
    ):
        video.read_frames([7])


def test_frames_that_decord_makes_up_are_noticed(
    clip: Clip, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    need_decoder("decord")
    monkeypatch.setattr(decord_reader, "find_obstacle", lambda index: None)
    with open_video(clip("mpeg2.ts")) as video:
        assert read_numbers(video, list(range(40))) == list(range(40))
        assert video.info.decoder == "pyav"
    assert capfd.readouterr() == ("", "")


# --- no videos ----------------------------------------------------------------------------


def _write_picture(path: Path) -> None:
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        image = av.VideoFrame.from_ndarray(make_video.draw_frame(1), "rgb24")
        container.mux([*stream.encode(image), *stream.encode(None)])


NO_VIDEOS = {
    "missing.mp4": (lambda path: None, "no such file"),
    "folder.mp4": (lambda path: path.mkdir(), "this is a folder"),
    "empty.mp4": (lambda path: path.write_bytes(b""), r"empty \(0 bytes\)"),
    "zeros.mp4": (lambda path: path.write_bytes(bytes(9999)), "not a readable video"),
    "text.mp4": (lambda path: path.write_text("hello " * 99), "not a readable.*b'hello hello "),
    "text.txt": (lambda path: path.write_text("hello " * 99), "a text file, not a video"),
    "sound.mp4": (make_video.write_audio, "no video stream in this mov.* it holds: audio"),
    "picture.png": (_write_picture, "a single picture"),
}


@pytest.mark.parametrize("name", NO_VIDEOS)
@pytest.mark.parametrize("decoder", ["auto", "decord", "pyav", "torchcodec"])
def test_what_is_no_video(
    name: str, decoder: DecoderChoice, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    need_decoder(decoder)
    write, found = NO_VIDEOS[name]
    write(tmp_path / name)
    with (
        pytest.raises(VideoError, match=rf"{name}: .*{found}"),
        open_video(tmp_path / name, decoder=decoder),
    ):
        pass
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "share", "found"),
    [
        ("index-last.mp4", 0.6, "not a readable video"),  # its index is gone
        ("closed.mp4", 0.3, "not one frame can be decoded"),
        ("closed.mkv", 0.3, "not one frame can be decoded"),
        ("h264.avi", 0.3, "not a readable video"),
    ],
)
def test_nothing_left(
    name: str,
    share: float,
    found: str,
    clip: Clip,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = make_video.truncate_video(clip(name), tmp_path / name, share=share)
    with pytest.raises(VideoError, match=rf"{name}: {found}"), open_video(path):
        pass
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("index", [-1, 40, 10**6])
def test_an_index_that_is_not_there(index: int, clip: Clip, decoder: DecoderChoice) -> None:
    with (
        open_video(clip("closed.mp4"), decoder=decoder) as video,
        pytest.raises(VideoError, match=rf"closed\.mp4: no frame {index}; .* 39"),
    ):
        video.read_frames([0, index])


# --- the choice of a decoder --------------------------------------------------------------


def test_without_decord(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)  # import decord: ImportError
    assert load_decord() is None
    with open_video(clip("closed.mp4")) as video:
        assert video.info.decoder == "pyav"
    with pytest.raises(UsageError, match="decord is not installed") as failure:
        open_video(clip("closed.mp4"), decoder="decord").__enter__()
    assert "--decoder pyav" in failure.value.hint


def test_stderr_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    with trust._stderr, trust._stderr as read_lines:  # two threads, say
        os.write(2, b"taken\n")
        assert read_lines() == ["taken"]
    os.write(2, b"printed")
    assert capfd.readouterr().err == "printed"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_decord_is_left_where_its_ffmpeg_tells_of_damage(
    suffix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The container shows nothing wrong, and decord gives pictures that were patched up."""
    whole = write_video(tmp_path / f"whole{suffix}", size=(160, 128), gop=8)
    start = make_video.find_packets(whole)[16] + 20
    path = make_video.overwrite_video(whole, tmp_path / f"a{suffix}", start=start, size=40)
    with open_video(path) as video:
        images, missing = video.read_whole_frames(range(40))
        assert missing == list(range(16, 24))
        assert [n for n, image in enumerate(images) if read_number(image) != n] == missing
        assert video.info.decoder == "pyav"
    assert capfd.readouterr() == ("", "")


def test_unknown_decoder(clip: Clip) -> None:
    with pytest.raises(UsageError, match="unknown decoder 'opencv'"):
        open_video(clip("closed.mp4"), decoder=cast("DecoderChoice", "opencv")).__enter__()


def test_importing_imports_nothing_heavy() -> None:
    code = (
        "import sys, videoswin_cli.data.decoding.open\n"
        "print(*{'torch', 'decord', 'av', 'numpy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


# --- workers ------------------------------------------------------------------------------


class Clips(Dataset[list[int]]):
    def __init__(self, paths: list[Path], decoder: DecoderChoice) -> None:
        self.paths, self.decoder = paths, decoder

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> list[int]:
        return decode_numbers(self.paths[index], self.decoder)[1]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_in_forked_workers(clip: Clip, decoder: DecoderChoice) -> None:
    path = clip("closed.mp4")
    assert decode_numbers(path, decoder)[1] == list(range(40))  # the parent used it before
    loader = DataLoader(
        Clips([path] * 4, decoder),
        batch_size=None,
        num_workers=2,
        multiprocessing_context="fork",
        collate_fn=list,
    )
    assert list(loader) == [list(range(40))] * 4


def test_in_a_spawned_worker(clip: Clip) -> None:
    expected = decode_numbers(clip("closed.mp4"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(decode_numbers, (clip("closed.mp4"),)) == expected


# --- real videos --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        *[("demo.mp4", name) for name in ("decord", "pyav", "torchcodec")],
        ("test.avi", "pyav"),  # the others read no AVI
    ],
    indirect=["decoder"],
)
def test_real_videos_give_the_golden_pixels(name: str, decoder: DecoderChoice) -> None:
    folder = os.environ.get("VIDEOSWIN_TEST_VIDEOS")
    if not folder:
        pytest.skip(f"set VIDEOSWIN_TEST_VIDEOS to the folder that holds {name}")
    golden = json.loads(GOLDEN.read_text())[name]
    with open_video(Path(folder) / name, decoder=decoder) as video:
        assert [video.info.height, video.info.width] == golden["height_width"]
        images = video.read_frames(range(video.info.frames))
        assert [zlib.crc32(image.tobytes()) for image in images] == golden["crc32"]
        scattered = np.random.default_rng(0).permutation(len(images))[:20].tolist()
        for index in scattered:
            np.testing.assert_array_equal(video.read_frames([index])[0], images[index])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with (
        pytest.raises(VideoError, match="neither a file nor a link to one"),
        open_video(tmp_path / "pipe.mp4"),
    ):
        pass
    with pytest.raises(VideoError, match="neither a file nor a link to one"):
        read_picture(str(tmp_path / "pipe.mp4"))
