"""Few frames of a long mp4 behind an address: the bits of the file, from fewer bytes."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_server import Reply, serve
from make_video import as_parts, remux_video, trim_video, turn_video, write_video

from videoswin_cli.data.decoding import in_part
from videoswin_cli.data.decoding.in_part import WholeFileError, open_in_part
from videoswin_cli.data.decoding.open import open_as
from videoswin_cli.data.view_dataset import FailedVideo, VideoViews, ViewDataset
from videoswin_cli.io import remote, storage
from videoswin_cli.io.range_file import RangeFile, TooMuchError
from videoswin_cli.io.video_cache import videos_folder
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import Views

FRAMES = 160
WANTED = range(80, 86)
FIELD = Path(__file__).parents[2] / "field"


def draw(number: int) -> np.ndarray:
    """Noise, which no codec makes small."""
    return np.random.default_rng(number).integers(0, 256, (48, 64, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Videos of some hundred samples, by what is special about them."""
    folder = tmp_path_factory.mktemp("films")

    def write(name: str, **options: Any) -> Path:
        return write_video(folder / f"{name}.mp4", frames=FRAMES, draw=draw, **options)

    plain, no_b = write("plain", audio=True), write("no_b", b_frames=0)
    return {
        "plain": plain,
        "table at the end": write("end", faststart=False),
        "open GOPs": write("open", open_gop=True),
        "edit list": trim_video(plain, folder / "edit.mp4", frames=7),
        "late": remux_video(plain, folder / "late.mp4", later=2),
        "turned": turn_video(no_b, folder / "turned.mp4", matrix=(0, 1, -1, 0)),
        "no B frames": no_b,
        "HEVC": write("hevc", codec="libx265", options={"x265-params": "log-level=none"}),
        "fragmented": write("fragmented", muxing={"movflags": "frag_keyframe+empty_moov"}),
        "MPEG-4": write("mpeg4", codec="mpeg4"),
        "intra refresh": write("refresh", b_frames=0, options={"x264-params": "intra-refresh=1"}),
    }


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, int]]:
    """Ranges that were read from a storage service in memory."""
    from fsspec.implementations.memory import MemoryFileSystem

    ranges: list[tuple[int, int]] = []

    def read(address: str, start: int, end: int) -> bytes:
        ranges.append((start, end))
        return storage.read_range(address, start, end)

    monkeypatch.setenv("VIDEOSWIN_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VIDEOSWIN_OFFLINE", raising=False)
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    monkeypatch.setattr(remote, "_seen", {})
    monkeypatch.setattr(in_part, "read_range", read)
    monkeypatch.setattr(in_part, "LEAST_BYTES", 1)
    monkeypatch.setattr(in_part, "BLOCK_BYTES", 4096)
    return ranges


def put(path: Path, name: str = "film.mp4") -> str:
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem().pipe_file(f"/v/{name}", path.read_bytes())
    return f"memory://v/{name}"


@pytest.mark.parametrize(
    "name",
    [
        *("plain", "table at the end", "open GOPs", "edit list", "late", "turned", "no B frames"),
        "HEVC",
    ],
)
@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_frames_times_and_notes_are_those_of_the_file(
    films: Mapping[str, Path], name: str, decoder: Any, asked: list[tuple[int, int]]
) -> None:
    options = OpenOptions(decoder=decoder)
    with open_as(films[name], options) as video:
        frames, times, notes = video.read_frames(WANTED), video.bounds(), video.notes
        fps, starts = video.info.fps, video.index.starts
    with open_in_part(put(films[name]), options) as video:
        assert np.array_equal(video.read_frames(WANTED), frames)
        assert video.bounds() == times
        assert video.notes == notes
        assert (video.info.fps, video.index.starts) == (fps, starts)
        assert video.path == "memory://v/film.mp4"
    size = films[name].stat().st_size
    assert sum(end - start for start, end in asked) < 0.4 * size
    assert len({start for start, _ in asked}) == len(asked), "nothing is asked for twice"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fragmented", "no mp4 with one table"),
        ("MPEG-4", "mpeg4 samples"),
        ("intra refresh", "is not what the table of samples says"),
    ],
)
def test_what_cannot_be_told_from_the_table_is_read_whole(
    films: Mapping[str, Path], name: str, reason: str
) -> None:
    with pytest.raises(WholeFileError, match=reason):  # noqa: SIM117 - also while frames are read
        with open_in_part(put(films[name]), OpenOptions()) as video:
            video.read_frames(WANTED)
    protocol = replace(load_spec("swin-tiny-k400").protocol, clip_frames=4, crop_size=32)
    views = Views(clips=1, crops=1, short_side=32)
    parts = as_parts("memory://v/film.mp4", films[name])
    there, here = (ViewDataset(parts, protocol=protocol, views=views)[n] for n in (0, 1))
    assert isinstance(there, VideoViews)
    assert isinstance(here, VideoViews)
    assert there.view(0).equal(here.view(0))


@pytest.mark.parametrize("file", sorted(FIELD.glob("*.mp4")), ids=lambda file: file.name)
def test_odd_files_of_the_field_give_their_frames_or_are_read_whole(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_part, "MOST_OF_FILE", 9)
    with open_as(file, OpenOptions(decoder="pyav")) as video:
        wanted = range(min(8, video.info.frames))
        frames, times, notes = video.read_frames(wanted), video.bounds(), video.notes
    try:
        with open_in_part(put(file), OpenOptions()) as video:
            assert np.array_equal(video.read_frames(wanted), frames)
            assert (video.bounds(), video.notes) == (times, notes)
    except WholeFileError:
        assert file.name in ("intra_refresh.mp4", "no_stss_nob.mp4", "zoom-in-ir.mp4")


def test_a_sample_without_a_picture_is_found(films: Mapping[str, Path], tmp_path: Path) -> None:
    """One small sample becomes a message alone (SEI), of the same length."""
    import av

    with av.open(str(films["plain"])) as container:
        entries = list(container.streams.video[0].index_entries)
        smallest = min(entries[20:], key=lambda entry: entry.size)
    data = bytearray(films["plain"].read_bytes())
    data[smallest.pos + 4] = 6
    (tmp_path / "hidden.mp4").write_bytes(data)
    address = put(tmp_path / "hidden.mp4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_part, "_SMALLEST_PICTURE", smallest.size + 1)
        with pytest.raises(WholeFileError, match="a sample without a picture"):  # noqa: SIM117
            with open_in_part(address, OpenOptions()):
                pass
        patch.setattr(in_part, "_MOST_LOOKS", 0)
        with pytest.raises(WholeFileError, match="many small samples"):  # noqa: SIM117
            with open_in_part(address, OpenOptions()):
                pass


def test_a_film_that_is_replaced_meanwhile_gives_nothing(films: Mapping[str, Path]) -> None:
    address = put(films["plain"])
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(WholeFileError, match="it was replaced meanwhile"))
        video = stack.enter_context(open_in_part(address, OpenOptions()))
        video.read_frames(WANTED)
        put(films["no B frames"])


@pytest.mark.parametrize(
    ("least", "options"),
    [
        (1 << 30, OpenOptions()),
        (1, OpenOptions(decoder="decord")),
        (1, OpenOptions(allow_truncated=True)),
    ],
    ids=["small", "decord", "truncated"],
)
def test_small_files_and_other_decoders_are_read_whole(
    films: Mapping[str, Path], least: int, options: OpenOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = put(films["plain"])
    monkeypatch.setattr(in_part, "LEAST_BYTES", least)
    with pytest.raises(WholeFileError), open_in_part(address, options):
        pass


def test_a_web_server_with_ranges_sends_a_part(films: Mapping[str, Path]) -> None:
    with open_as(films["plain"], OpenOptions()) as video:
        frames = video.read_frames(WANTED)
    with serve(films["plain"].read_bytes()) as server:
        with open_in_part(server.url("film.mp4"), OpenOptions()) as video:
            assert np.array_equal(video.read_frames(WANTED), frames)
        assert None not in server.ranges
        assert server.sent < 0.4 * len(server.body)
        server.script = [Reply(ranges=False)]
        with pytest.raises(WholeFileError, match="without ranges"):  # noqa: SIM117
            with open_in_part(server.url("other.mp4"), OpenOptions()):
                pass


def test_views_of_a_long_film_come_from_a_part_and_failures_from_the_whole(
    films: Mapping[str, Path], asked: list[tuple[int, int]], tmp_path: Path
) -> None:
    protocol = replace(load_spec("swin-tiny-k400").protocol, clip_frames=4, crop_size=32)
    views = Views(clips=1, crops=1, short_side=32)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(films["plain"].read_bytes()[:-4000])
    parts = as_parts(put(films["plain"]), films["plain"], put(cut, "cut.mp4"), cut)
    there, here, broken, local = (
        ViewDataset(parts, protocol=protocol, views=views)[n] for n in range(4)
    )
    assert isinstance(there, VideoViews)
    assert isinstance(here, VideoViews)
    assert there.view(0).equal(here.view(0))
    assert [path.suffix for path in videos_folder().iterdir()] == [".mp4"], "the broken one"
    assert isinstance(broken, FailedVideo)
    assert isinstance(local, FailedVideo)
    assert broken.reason == local.reason


def test_a_file_of_ranges_reads_as_a_file_does() -> None:
    data = bytes(range(256)) * 10
    file = RangeFile(lambda start, end: data[start:end], len(data), block=100, budget=1000)
    assert file.read(5) == data[:5]
    assert (file.seek(-3, 2), file.read(9), file.tell()) == (2557, data[-3:], 2560)
    assert (file.seek(250), file.read(260)) == (250, data[250:510])
    file.holes, file.hollow = (range(600, 2000),), True
    assert (file.seek(550), file.read(250)) == (550, data[550:600] + bytes(200))
    assert file.fetched == 560
    assert file.peek(1000, 1010) == data[1000:1010]
    file.hollow = False
    with pytest.raises(TooMuchError):
        file.read(1000)
