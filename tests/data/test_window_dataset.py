"""Windows over whole videos: where they lie, in what order they come, and how much is held."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from make_video import as_parts, lose_packets, read_number, write_video
from tiny import PROTOCOL

from videoswin_cli.data.decoding import open as open_module
from videoswin_cli.data.decoding.frame_index import FrameIndex
from videoswin_cli.data.decoding.open import Video, open_video
from videoswin_cli.data.decoding.packets import PacketSource
from videoswin_cli.data.decoding.pyav_reader import PyAvReader
from videoswin_cli.data.sampling import slide_windows
from videoswin_cli.data.transforms import crop_corners, resize, resized_size
from videoswin_cli.data.view_dataset import FailedVideo, Gap, ResizedFrames, VideoViews
from videoswin_cli.data.views import resolve_views
from videoswin_cli.data.window_dataset import WINDOWS_AT_ONCE, WindowDataset, read_windows
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.options.run import OpenOptions
from videoswin_cli.records import Stride, Views

TORCHVISION = load_spec("swin-tiny-k400-torchvision").protocol  # 32 frames at 15 a second
OFFICIAL = load_spec("swin-tiny-k400").protocol  # 32 frames, every second one: 63


def even(frames: int, fps: float = 25) -> list[float]:
    return [n / fps for n in range(frames)]


def starts(frames: int, stride: Stride | None = None, fps: float = 25) -> list[int]:
    windows = slide_windows(OFFICIAL, times=even(frames, fps), stride=stride)
    for window in windows:
        assert list(window) == list(range(window[0], window[0] + 63, 2))
    return [window[0] for window in windows]


# --- where they lie -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (63, [0]),
        (64, [0]),  # frame 63 is one that the interval skips
        (65, [0, 2]),
        (127, [0, 64]),
        (128, [0, 64]),
        (129, [0, 64, 66]),
        (300, [0, 64, 128, 192, 237]),
    ],
)
def test_by_default_windows_follow_each_other_and_the_last_ends_with_the_video(
    frames: int, expected: list[int]
) -> None:
    assert starts(frames) == expected


@pytest.mark.parametrize(
    ("stride", "expected"),
    [
        (Stride(frames=16), [0, 16, 32, 37]),
        (Stride(frames=1), list(range(38))),
        (Stride(frames=1000), [0, 37]),
        (Stride(seconds=1), [0, 25, 37]),
        (Stride(seconds=0.5), [0, 13, 25, 37]),
        (Stride(seconds=1e-9), list(range(38))),
        (Stride(seconds=1e9), [0, 37]),
    ],
)
def test_strides(stride: Stride, expected: list[int]) -> None:
    assert starts(100, stride) == expected


@pytest.mark.parametrize("fps", [23.976, 24, 25, 29.97, 30, 50, 59.94, 60])
@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.5, 1, 2])
def test_seconds_start_at_the_first_frame_from_then_on(fps: float, seconds: float) -> None:
    times = even(400, fps)
    found = starts(400, Stride(seconds=seconds), fps)
    expected = []
    for k in range(1000):
        later = [n for n, time in enumerate(times) if time >= k * seconds - 1e-6]
        if later and later[0] <= 400 - 63 and later[0] not in expected:
            expected.append(later[0])
    assert found[: len(expected)] == expected
    assert found[len(expected) :] in ([], [400 - 63])


def test_timestamps_decide_and_not_the_average_rate() -> None:
    """The first 100 frames at 50 a second, the next 100 at 10."""
    times = [n / 50 for n in range(100)] + [2 + n / 10 for n in range(100)]
    windows = slide_windows(OFFICIAL, times=times, stride=Stride(seconds=1))
    assert [window[0] for window in windows] == [0, 50, 100, 110, 120, 130, 137]


def test_a_short_video_is_one_window_that_loops() -> None:
    (window,) = slide_windows(OFFICIAL, times=even(10), stride=Stride(frames=4))
    assert list(window) == [n * 2 % 10 for n in range(32)]


def test_windows_of_the_torchvision_rule_are_of_its_frame_rate() -> None:
    windows = slide_windows(TORCHVISION, times=even(300, 30), stride=Stride(seconds=2))
    assert [list(window) for window in windows] == [
        list(range(start, start + 64, 2)) for start in (0, 60, 120, 180, 236)
    ]


@pytest.mark.parametrize("fps", [10, 15, 24, 25, 29.97, 30, 60])
@pytest.mark.parametrize("stride", [1, 5, 7])
def test_windows_of_a_frame_rate_start_exactly_where_the_stride_says(
    fps: float, stride: int
) -> None:
    """Each is the first one, moved."""
    times = even(300, fps)
    *windows, last = slide_windows(TORCHVISION, times=times, stride=Stride(frames=stride))
    assert [window[0] for window in windows] == [n * stride for n in range(len(windows))]
    for window in windows:
        assert window == tuple(window[0] + number for number in windows[0])
    assert windows[-1][0] < last[0] <= windows[-1][0] + stride
    assert 300 - last[-1] <= 2 * max(fps / 15, 1) + 1


def test_a_stride_of_five_frames_is_one_at_half_the_frame_rate() -> None:
    windows = slide_windows(TORCHVISION, times=even(80, 30), stride=Stride(frames=5))
    assert [window[0] for window in windows] == [0, 5, 10, 15, 16]
    assert windows[1] == tuple(range(5, 69, 2))


def test_a_rule_that_spreads_its_frames_has_no_windows() -> None:
    with pytest.raises(UsageError, match="no windows to slide"):
        slide_windows(load_spec("swin-base-ssv2").protocol, times=even(100), stride=None)


# --- reading them ---------------------------------------------------------------------------------


def dataset(paths: Sequence[Path], stride: Stride | None) -> WindowDataset:
    protocol = replace(PROTOCOL, crop_size=48, quick_short_side=48, short_side=48)
    return WindowDataset(
        as_parts(*paths),
        protocol=protocol,
        views=resolve_views("1x1", protocol),
        stride=stride,
        opening=OpenOptions(),
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_all_windows_of_all_videos_come_in_order(workers: int, tmp_path: Path) -> None:
    lengths = (9, 300, 40)
    paths = [
        write_video(tmp_path / f"{n}.mp4", frames=frames, size=(48, 48), seed=n)
        for n, frames in enumerate(lengths)
    ]
    (tmp_path / "bad.mp4").write_text("no video")
    paths.insert(1, tmp_path / "bad.mp4")
    found: dict[str, list[tuple[int, ...]]] = {}
    for piece in read_windows(dataset(paths, Stride(frames=5)), workers=workers):
        if isinstance(piece, FailedVideo):
            assert piece.path == str(paths[1])
            continue
        assert len(piece.clips) <= WINDOWS_AT_ONCE
        numbers = [
            tuple(read_number(frame.numpy()) for frame in piece.view(n)) for n in range(len(piece))
        ]
        for (start, end), window in zip(piece.times, numbers, strict=True):
            assert start == pytest.approx(window[0] / 25, abs=1e-6)
            assert end == pytest.approx((window[-1] + 1) / 25, abs=1e-6)
        found.setdefault(piece.info.path, []).extend(numbers)
    for path, frames in zip((paths[0], *paths[2:]), lengths, strict=True):
        times = even(frames)
        expected = slide_windows(PROTOCOL, times=times, stride=Stride(frames=5))
        assert found[str(path)] == [tuple(window) for window in expected]


def test_what_is_held_does_not_grow_with_the_video(tmp_path: Path) -> None:
    short, long = (write_video(tmp_path / f"{n}.mp4", frames=n) for n in (200, 2000))
    held = {}
    for path in (short, long):
        pieces = list(read_windows(dataset([path], None), workers=0))
        assert all(isinstance(piece, VideoViews) for piece in pieces)
        held[path] = max(piece.frames.nbytes for piece in pieces)
        assert sum(len(piece.clips) for piece in pieces) == len(
            slide_windows(PROTOCOL, times=even(int(path.stem)), stride=None)
        )
    assert held[short] == held[long]


def test_variable_frame_rate_shows_in_the_times(tmp_path: Path) -> None:
    times = [n / 50 for n in range(50)] + [1 + n / 5 for n in range(50)]
    path = write_video(tmp_path / "v.mp4", frames=100, times=times)
    spans = [
        time
        for piece in read_windows(dataset([path], Stride(seconds=1)), workers=0)
        for time in piece.times
    ]
    assert spans[0] == pytest.approx((0, 7 / 50), abs=1e-3)
    assert [start for start, _ in spans[:4]] == pytest.approx([0, 1, 2, 3], abs=1e-3)
    assert spans[1][1] - spans[1][0] == pytest.approx(7 / 5, abs=1e-3)


def test_a_video_that_breaks_in_its_middle_is_a_failure_and_the_next_one_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_video(tmp_path / f"{n}.mp4", frames=400, seed=n) for n in range(2)]
    read = Video.read_whole_frames

    def fail(self: Video, indices: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        if self.info.path == str(paths[0]) and max(indices) > 250:
            raise VideoError(f"{self.info.path}: damaged")
        return read(self, indices)

    monkeypatch.setattr(Video, "read_whole_frames", fail)
    pieces = list(read_windows(dataset(paths, None), workers=0))
    failed = [n for n, piece in enumerate(pieces) if isinstance(piece, FailedVideo)]
    assert len(failed) == 1
    assert pieces[failed[0]] == FailedVideo(path=str(paths[0]), reason="damaged")
    assert 1 < failed[0] < len(pieces) - 5
    rest = pieces[failed[0] + 1 :]
    assert {piece.info.path for piece in rest if isinstance(piece, VideoViews)} == {str(paths[1])}
    assert rest[-1].unread == 0


def test_a_video_is_opened_once_and_each_frame_is_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    readers: list[PyAvReader] = []
    index, begin = open_module.index_frames, PyAvReader.__init__

    def count_index(source: PacketSource, **options: Any) -> FrameIndex:
        opened.append(source.path)
        return index(source, **options)

    def count_reader(self: PyAvReader, *arguments: Any) -> None:
        readers.append(self)
        begin(self, *arguments)

    monkeypatch.setattr(open_module, "index_frames", count_index)
    monkeypatch.setattr(PyAvReader, "__init__", count_reader)
    path = write_video(tmp_path / "v.mp4", frames=300)
    pieces = list(read_windows(dataset([path], Stride(frames=3)), workers=0))
    assert len(pieces) > 10
    assert sum(map(len, pieces)) == 99
    assert opened == [str(path)]
    assert [reader.decoded_frames for reader in readers] == [300]


@pytest.mark.parametrize("stride", [Stride(frames=1), Stride(frames=5), Stride(seconds=1), None])
def test_no_frame_is_asked_for_twice(
    stride: Stride | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    read = Video.read_whole_frames

    def spy(self: Video, numbers: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        asked.extend(numbers)
        return read(self, numbers)

    monkeypatch.setattr(Video, "read_whole_frames", spy)
    path = write_video(tmp_path / "v.mp4", frames=120)
    pieces = list(read_windows(dataset([path], stride), workers=0))
    assert asked == sorted(set(asked))
    needed = {n for w in slide_windows(PROTOCOL, times=even(120), stride=stride) for n in w}
    assert set(asked) == needed
    assert {piece.unread for piece in pieces[-1:]} == {0}


@pytest.mark.parametrize("workers", [0, 1])
def test_windows_with_lost_frames_are_gaps_and_all_others_come(
    workers: int, tmp_path: Path
) -> None:
    whole = write_video(tmp_path / "whole.ts", frames=300, size=(48, 48), gop=25)
    path = lose_packets(whole, tmp_path / "holed.ts", share=0.5, count=3)
    with open_video(path) as video:
        count, times, bounds = video.info.frames, video.timestamps(), video.bounds()
        images, missing = video.read_whole_frames(range(count))
    damaged = set(missing)
    # Some are lost altogether: those after them have lower numbers than they show.
    shown = {n: read_number(images[n]) for n in range(count) if n not in damaged}
    assert 0 < len(damaged) < 60
    pieces = list(read_windows(dataset([path], Stride(frames=5)), workers=workers))
    windows = slide_windows(PROTOCOL, times=times, stride=Stride(frames=5))
    lost = [window for window in windows if damaged.intersection(window)]
    assert lost
    assert not any(isinstance(piece, FailedVideo) for piece in pieces)
    found: list[tuple[int, ...]] = []
    gaps: list[Gap] = []
    for first, piece in zip(range(0, len(windows), WINDOWS_AT_ONCE), pieces, strict=True):
        part = windows[first : first + WINDOWS_AT_ONCE]
        assert isinstance(piece, VideoViews)
        assert len(piece.clips) + len(piece.gaps) == len(part)
        assert piece.unread == len(windows) - first - len(part)
        assert [part[gap.place] in lost for gap in piece.gaps] == [True] * len(piece.gaps)
        found += [
            tuple(read_number(frame.numpy()) for frame in piece.view(n)) for n in range(len(piece))
        ]
        gaps += piece.gaps
    assert found == [tuple(shown[n] for n in w) for w in windows if w not in lost]
    assert [(gap.start, gap.end) for gap in gaps] == [
        (bounds[window[0]], bounds[window[-1] + 1]) for window in lost
    ]
    assert all("cannot be decoded" in gap.reason for gap in gaps)


def test_a_video_of_damaged_windows_alone_is_one_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_video(tmp_path / f"{n}.mp4", frames=100, seed=n) for n in range(2)]
    read = Video.read_whole_frames

    def damage(self: Video, numbers: Sequence[int]) -> tuple[np.ndarray, list[int]]:
        images, missing = read(self, numbers)
        return images, missing if self.info.path != str(paths[0]) else list(numbers)

    monkeypatch.setattr(Video, "read_whole_frames", damage)
    pieces = list(read_windows(dataset(paths, None), workers=0))
    failures = [piece for piece in pieces if isinstance(piece, FailedVideo)]
    assert [failure.path for failure in failures] == [str(paths[0])]
    assert "cannot be decoded" in failures[0].reason
    views = [piece for piece in pieces if isinstance(piece, VideoViews)]
    shown = [piece for piece in views if len(piece)]
    assert {piece.info.path for piece in shown} == {str(paths[1])}
    assert sum(map(len, shown)) == len(slide_windows(PROTOCOL, times=even(100), stride=None))


# --- pictures of extreme shapes -------------------------------------------------------------------


@pytest.mark.parametrize("size", [(3200, 16), (16, 3200)], ids=["wide", "tall"])
def test_crops_far_apart_are_held_without_what_lies_between(
    size: tuple[int, int], tmp_path: Path
) -> None:
    path = write_video(
        tmp_path / "long.mkv", frames=6, size=size, codec="mjpeg", pix_fmt="yuvj444p"
    )
    views = resolve_views("1x3", PROTOCOL)
    with open_video(path) as video:
        frames = ResizedFrames(video, protocol=PROTOCOL, views=views)
        frames.read(range(6))
        found = frames.make_views([(0, 2, 4)])
        pictures = torch.from_numpy(video.read_frames([0, 2, 4]))
    side = PROTOCOL.crop_size
    assert found.frames.shape == (3, side, 3 * side, 3)
    whole_size = resized_size(*size[::-1], short_side=views.short_side, rule=PROTOCOL.resize)
    whole = resize(pictures, whole_size, rule=PROTOCOL.resize)
    corners = crop_corners(*whole_size, crop_size=side, crops=3, rule=PROTOCOL.resize)
    for number, (top, left) in enumerate(corners):
        expected = whole[:, top : top + side, left : left + side]
        assert torch.equal(found.view(number), expected), number
    assert not torch.equal(found.view(0), found.view(1))


def test_frames_that_are_kept_do_not_hold_the_pictures_that_they_were_cut_from(
    tmp_path: Path,
) -> None:
    path = write_video(tmp_path / "long.mkv", frames=4, size=(1280, 36), codec="mpeg4")
    with open_video(path) as video:
        frames = ResizedFrames(
            video, protocol=PROTOCOL, views=Views(clips=1, crops=1, short_side=36)
        )
        frames.read([0, 1, 2, 3])
        for image in frames._kept.values():
            assert image.untyped_storage().nbytes() <= 4 * PROTOCOL.crop_size**2 * 3
