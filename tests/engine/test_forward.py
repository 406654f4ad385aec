"""The forward loop against the naive one: one view after the other, nothing shared."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from make_video import as_parts, read_number, write_video
from notices import Notices
from tiny import PROTOCOL, TINY
from torch import Tensor, nn

from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.sampling import sample_clips
from videoswin_cli.data.segments import make_segment
from videoswin_cli.data.transforms import crop_corners, normalize, resize, resized_size
from videoswin_cli.data.view_dataset import FailedVideo, VideoViews, ViewDataset
from videoswin_cli.data.workers import load_in_workers
from videoswin_cli.engine.forward import ViewOutputs, forward_videos
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runtime import Runtime
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.loading import LoadedModel
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.records import InputProtocol, Segment, Views

FORKS = "ignore:.*fork.*:DeprecationWarning"  # of Python 3.12, in a process with threads
SIX_VIEWS = Views(clips=2, crops=3, short_side=32)
# Twice 64x48 and 48x64, so that three crops lie along the width and along the height.
VIDEOS: dict[str, dict[str, Any]] = {
    "wide.mp4": {"frames": 30, "seed": 1},
    "tall.mp4": {"frames": 24, "seed": 2, "size": (48, 64)},
    "short.mp4": {"frames": 3, "seed": 3},
    "other.mp4": {"frames": 19, "seed": 4},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name, options in VIDEOS.items():
        write_video(folder / name, **options)
    (folder / "broken.mp4").write_bytes(b"no video at all" * 20)
    return folder


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    torch.manual_seed(0)
    network = Swin3D(TINY).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    spec = replace(load_spec("swin-tiny-k400"), architecture=TINY, protocol=PROTOCOL)
    return LoadedModel(
        network=network,
        spec=spec,
        labels=tuple("abcdefg"),
        weights=Path("none"),
        layout="videoswin",
    )


def run(
    model: LoadedModel,
    paths: Sequence[Path],
    *,
    views: Views = SIX_VIEWS,
    batch_size: int = 4,
    workers: int = 0,
    dtype: torch.dtype = torch.float32,
) -> list[ViewOutputs | FailedVideo]:
    dataset = ViewDataset(as_parts(*paths), protocol=PROTOCOL, views=views)
    runtime = Runtime(device=torch.device("cpu"), dtype=dtype)
    videos = load_in_workers(dataset, range(len(paths)), workers=workers)
    return list(
        forward_videos(
            videos, model.module, protocol=PROTOCOL, runtime=runtime, batch_size=batch_size
        )
    )


def naive_logits(model: LoadedModel, path: Path, views: Views) -> Tensor:
    rows = []
    with open_video(path) as video, torch.inference_mode():
        info = video.info
        size = resized_size(info.height, info.width, short_side=views.short_side, rule="cv2")
        clips = sample_clips(PROTOCOL, frames=info.frames, fps=info.fps, clips=views.clips)
        for top, left in crop_corners(*size, crop_size=32, crops=views.crops, rule="cv2"):
            for clip in clips:
                frames = resize(torch.from_numpy(video.read_frames(clip)), size, rule="cv2")
                view = frames[None, :, top : top + 32, left : left + 32]
                values = normalize(view, mean=PROTOCOL.mean, std=PROTOCOL.std, dtype=torch.float32)
                rows.append(model.module(values)[0])
    return torch.stack(rows)


@contextmanager
def counted_views(model: LoadedModel) -> Iterator[list[int]]:
    """Sizes of the batches that the network sees within the block."""
    sizes: list[int] = []
    hook = model.network.register_forward_pre_hook(
        lambda module, inputs: sizes.append(len(inputs[0]))
    )
    yield sizes
    hook.remove()


@pytest.mark.filterwarnings(FORKS)
@pytest.mark.parametrize("views", [SIX_VIEWS, Views(clips=3, crops=1, short_side=36)], ids=str)
@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (3, 0), (5, 0), (100, 0), (5, 2)])
def test_batching_changes_no_result_and_no_order(
    model: LoadedModel, folder: Path, batch_size: int, workers: int, views: Views
) -> None:
    paths = [folder / name for name in VIDEOS]
    outputs = run(model, paths, views=views, batch_size=batch_size, workers=workers)
    assert len(outputs) == len(paths)
    for path, output in zip(paths, outputs, strict=True):
        assert isinstance(output, ViewOutputs)
        assert output.info.path == str(path)
        assert output.info.frames == VIDEOS[path.name]["frames"]
        assert output.outputs.dtype == torch.float32
        expected = naive_logits(model, path, views)
        torch.testing.assert_close(output.outputs, expected, rtol=0, atol=1e-5)


def test_views_are_numbered_clip_by_clip_within_each_crop(model: LoadedModel, folder: Path) -> None:
    (output,) = run(model, [folder / "wide.mp4"])
    with open_video(folder / "wide.mp4") as video:
        # 30 frames, spans of 8, segments of 11.5: the clips start at 5 and 17.
        clips = [[5, 7, 9, 11], [17, 19, 21, 23]]
        images = [torch.from_numpy(video.read_frames(clip)) for clip in clips]
    assert output.outputs.shape == (6, 7)
    for number, (left, clip) in enumerate(
        [(0, 0), (0, 1), (10, 0), (10, 1), (5, 0), (5, 1)]  # 43 px wide: left, right, middle
    ):
        view = resize(images[clip], (32, 43), rule="cv2")[None, :, :, left : left + 32]
        values = normalize(view, mean=PROTOCOL.mean, std=PROTOCOL.std, dtype=torch.float32)
        with torch.inference_mode():
            expected = model.module(values)[0]
        torch.testing.assert_close(output.outputs[number], expected, rtol=0, atol=1e-5)
    differences = torch.cdist(output.outputs, output.outputs) + torch.eye(6)
    assert float(differences.min()) > 1e-3, "no two views look alike"


@pytest.mark.filterwarnings(FORKS)
@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (4, 0), (100, 0), (4, 2)])
def test_failed_videos_keep_their_place(
    model: LoadedModel, folder: Path, batch_size: int, workers: int
) -> None:
    names = [
        "broken.mp4",
        "wide.mp4",
        "gone.mp4",
        "broken.mp4",
        "tall.mp4",
        "other.mp4",
        "gone.mp4",
    ]
    paths = [folder / name for name in names]
    outputs = run(model, paths, batch_size=batch_size, workers=workers)
    assert [o.path if isinstance(o, FailedVideo) else o.info.path for o in outputs] == [
        str(path) for path in paths
    ]
    for name, path, output in zip(names, paths, outputs, strict=True):
        if name in VIDEOS:
            assert isinstance(output, ViewOutputs)
            expected = naive_logits(model, path, SIX_VIEWS)
            torch.testing.assert_close(output.outputs, expected, rtol=0, atol=1e-5)
        else:
            assert isinstance(output, FailedVideo)
            assert "no such file" in output.reason or "not a readable video" in output.reason
            assert name not in output.reason  # the path stands beside it


def test_a_video_alone_gives_what_it_gives_among_others(model: LoadedModel, folder: Path) -> None:
    together = run(model, [folder / name for name in VIDEOS], batch_size=5)
    for name, output in zip(VIDEOS, together, strict=True):
        (alone,) = run(model, [folder / name], batch_size=1)
        torch.testing.assert_close(output.outputs, alone.outputs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 4, 5])
def test_batches_are_full_across_videos(model: LoadedModel, folder: Path, batch_size: int) -> None:
    names = ["wide.mp4", "broken.mp4", "tall.mp4", "other.mp4"]  # 3 times 6 views
    with counted_views(model) as sizes:
        run(model, [folder / name for name in names], batch_size=batch_size)
    full, rest = divmod(18, batch_size)
    assert sizes == [batch_size] * full + [rest] * bool(rest)


def test_equal_views_are_computed_once(model: LoadedModel, folder: Path, tmp_path: Path) -> None:
    with counted_views(model) as sizes:
        (looping,) = run(model, [folder / "short.mp4"], views=replace(SIX_VIEWS, clips=4))
    assert sum(sizes) == 3, "all 4 clips of a video that loops are the same one, in 3 crops"
    assert looping.outputs.shape == (12, 7)
    for crop in range(3):
        assert (looping.outputs[4 * crop : 4 * crop + 4] == looping.outputs[4 * crop]).all()
    assert not looping.outputs[0].equal(looping.outputs[4])

    write_video(tmp_path / "square.mp4", frames=30, size=(64, 64))
    with counted_views(model) as sizes:
        (square,) = run(model, [tmp_path / "square.mp4"])
    assert sum(sizes) == 2, "a square video has one crop, three times"
    assert square.outputs[0::2].equal(square.outputs[:1].expand(3, -1))
    assert not square.outputs[0].equal(square.outputs[1])


def test_the_same_video_twice_is_two_videos(model: LoadedModel, folder: Path) -> None:
    first, second = run(model, [folder / "wide.mp4"] * 2, batch_size=4)
    torch.testing.assert_close(first.outputs, second.outputs, rtol=0, atol=1e-5)


def test_a_result_comes_as_soon_as_its_views_are_done(model: LoadedModel, folder: Path) -> None:
    paths = [str(folder / name) for name in ("wide.mp4", "broken.mp4", "tall.mp4", "other.mp4")]
    dataset = ViewDataset(as_parts(*paths), protocol=PROTOCOL, views=SIX_VIEWS)
    read = []

    def videos() -> Iterator[VideoViews | FailedVideo]:
        for number, path in enumerate(paths):
            read.append(path)
            yield dataset[number]

    runtime = Runtime(device=torch.device("cpu"), dtype=torch.float32)
    results = forward_videos(
        videos(), model.module, protocol=PROTOCOL, runtime=runtime, batch_size=6
    )
    next(results)
    assert read == paths[:1]
    assert isinstance(next(results), FailedVideo)
    assert read == paths[:2]
    assert len(list(results)) == 2


def test_half_precision_gives_float32_near_the_exact_logits(
    model: LoadedModel, folder: Path
) -> None:
    (exact,) = run(model, [folder / "wide.mp4"])
    model.network.to(torch.bfloat16)
    try:
        (half,) = run(model, [folder / "wide.mp4"], dtype=torch.bfloat16)
    finally:
        model.network.to(torch.float32)
    assert half.outputs.dtype == torch.float32
    error = (half.outputs - exact.outputs).abs()
    assert 0 < float(error.max()) < 0.1 * float(exact.outputs.std())


# --- what goes wrong on the way -------------------------------------------------------------------


def starved(model: LoadedModel, *, most: int, error: type[RuntimeError]) -> Callable[..., Tensor]:
    """The network on a device whose memory holds `most` views."""

    def compute(clips: Tensor) -> Tensor:
        if len(clips) > most:
            raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return model.module(clips)

    return compute


@pytest.mark.parametrize("error", [RuntimeError, torch.OutOfMemoryError])
def test_without_memory_the_batch_is_halved(
    model: LoadedModel, folder: Path, error: type[RuntimeError]
) -> None:
    paths = [str(folder / name) for name in VIDEOS]
    dataset = ViewDataset(as_parts(*paths), protocol=PROTOCOL, views=SIX_VIEWS)
    runtime = Runtime(device=torch.device("cpu"), dtype=torch.float32)
    notices: list[str] = []

    def results(most: int) -> list[ViewOutputs | FailedVideo]:
        compute = starved(model, most=most, error=error)
        monitor = Monitor(reporter=Notices(notices))
        videos = (dataset[number] for number in range(len(paths)))
        outputs = forward_videos(
            videos, compute, protocol=PROTOCOL, runtime=runtime, batch_size=8, monitor=monitor
        )
        return list(outputs)

    for output, path in zip(results(3), paths, strict=True):
        expected = naive_logits(model, Path(path), SIX_VIEWS)
        torch.testing.assert_close(output.outputs, expected, rtol=0, atol=1e-5)
    assert [notice.partition(" (")[0] for notice in notices] == [
        "out of memory: continuing with 4 views per forward pass",
        "out of memory: continuing with 2 views per forward pass",
    ]
    with pytest.raises(VideoSwinError, match="out of memory with one view at a time") as failure:
        results(0)
    assert failure.value.exit_code == 1


def test_other_errors_of_the_network_are_not_swallowed(model: LoadedModel, folder: Path) -> None:
    def compute(clips: Tensor) -> Tensor:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    dataset = ViewDataset(as_parts(folder / "wide.mp4"), protocol=PROTOCOL, views=SIX_VIEWS)
    runtime = Runtime(device=torch.device("cpu"), dtype=torch.float32)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        list(
            forward_videos(
                iter([dataset[0]]), compute, protocol=PROTOCOL, runtime=runtime, batch_size=2
            )
        )


def test_the_monitor_knows_where_the_time_went(model: LoadedModel, folder: Path) -> None:
    def compute(clips: Tensor) -> Tensor:
        time.sleep(0.02)
        return model.module(clips)

    dataset = ViewDataset(as_parts(folder / "wide.mp4"), protocol=PROTOCOL, views=SIX_VIEWS)
    runtime = Runtime(device=torch.device("cpu"), dtype=torch.float32)
    monitor = Monitor()
    videos = (dataset[0] for _ in range(2))
    list(
        forward_videos(
            videos, compute, protocol=PROTOCOL, runtime=runtime, batch_size=6, monitor=monitor
        )
    )
    assert monitor.model_seconds >= 0.04
    assert 0 < monitor.decode_seconds <= monitor.wait_seconds


# --- which frames of which video ------------------------------------------------------------------


def shown_numbers(
    path: Path,
    *,
    protocol: InputProtocol = PROTOCOL,
    clips: int = 1,
    start: float | None = None,
    end: float | None = None,
) -> list[list[int]]:
    """Numbers that the frames of each clip show.

    The frames keep their size, to be legible, and three crops need all of it.
    """
    dataset = ViewDataset(
        as_parts(path, segment=make_segment(start, end)),
        protocol=replace(protocol, crop_size=48),
        views=Views(clips=clips, crops=3, short_side=48),
    )
    video = dataset[0]
    assert isinstance(video, VideoViews), video
    return [[read_number(video.frames[row].numpy()) for row in clip] for clip in video.clips]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames at 25 a second: frame n starts at n / 25 s."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=40)


@pytest.mark.parametrize(
    ("start", "end", "expected"),  # the middle one of 4 frames, every second one
    [
        (None, None, [16, 18, 20, 22]),
        (0.0, None, [16, 18, 20, 22]),
        (0.4, None, [21, 23, 25, 27]),  # frames 10 to 39: the frame that starts then is in
        (0.41, None, [22, 24, 26, 28]),  # 11 to 39: 29 frames, middle of 22 places
        (None, 0.8, [6, 8, 10, 12]),  # 0 to 19: the frame that starts then is out
        (None, 0.81, [7, 9, 11, 13]),  # 0 to 20
        (0.4, 0.8, [11, 13, 15, 17]),  # 10 to 19
        (0.4, 0.72, [10, 12, 14, 16]),  # 8 frames
        (0.4, 0.60, [10, 12, 14, 11]),  # 5 frames: loops within the part
        (1.56, None, [39, 39, 39, 39]),
        (1.0, 99.0, [29, 31, 33, 35]),
    ],
)
def test_start_and_end_choose_the_frames(
    clip: Path, start: float | None, end: float | None, expected: list[int]
) -> None:
    assert shown_numbers(clip, start=start, end=end) == [expected]


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (1.6, None, "no frame between 1.6 s and the end"),
        (60.0, 70.0, "no frame between 60 s and 70 s"),
        (0.01, 0.03, "no frame between 0.01 s and 0.03 s"),
    ],
)
def test_a_part_without_a_frame_is_a_failure_that_says_where_the_video_ends(
    clip: Path, start: float | None, end: float | None, reason: str
) -> None:
    dataset = ViewDataset(
        as_parts(clip, segment=make_segment(start, end)), protocol=PROTOCOL, views=SIX_VIEWS
    )
    failed = dataset[0]
    assert isinstance(failed, FailedVideo)
    assert reason in failed.reason
    assert "1.56 s" in failed.reason


def test_parts_of_a_video_with_an_uneven_rate_go_by_its_clock(tmp_path: Path) -> None:
    times = [0.1 * n for n in range(10)] + [1 + 0.02 * n for n in range(30)]
    path = write_video(tmp_path / "uneven.mp4", frames=40, times=times)
    protocol = replace(PROTOCOL, interval_frames=1)
    assert shown_numbers(path, protocol=protocol, start=0.55, end=0.95) == [[6, 7, 8, 9]]
    assert shown_numbers(path, protocol=protocol, start=1.19, end=1.27) == [
        [10 + n for n in range(10, 14)]
    ]


def test_each_rule_reads_the_frames_it_names(clip: Path) -> None:
    mmaction2 = replace(PROTOCOL, sampling="mmaction2")
    uniform = replace(PROTOCOL, sampling="uniform")
    torchvision = replace(PROTOCOL, sampling="torchvision", frame_rate=5.0)
    assert shown_numbers(clip, clips=2) == [[8, 10, 12, 14], [24, 26, 28, 30]]
    assert shown_numbers(clip, protocol=mmaction2, clips=2) == [[0, 2, 4, 6], [33, 35, 37, 39]]
    assert shown_numbers(clip, protocol=uniform) == [[5, 15, 24, 34]]
    assert shown_numbers(clip, protocol=torchvision, clips=2) == [[0, 5, 10, 15], [20, 25, 30, 35]]


def test_large_frames_are_read_in_parts_and_all_the_same(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ViewDataset(as_parts(clip), protocol=PROTOCOL, views=SIX_VIEWS)[0]
    monkeypatch.setattr("videoswin_cli.data.view_dataset._BYTES_AT_ONCE", 3 * 64 * 48 * 3)
    parts = ViewDataset(as_parts(clip), protocol=PROTOCOL, views=SIX_VIEWS)[0]
    assert parts.frames.equal(whole.frames)
    assert parts.clips == whole.clips


# --- what the user is told ------------------------------------------------------------------------


def notes_on(path: Path, **changes: Any) -> tuple[str, ...]:
    dataset = ViewDataset(
        as_parts(path),
        protocol=replace(PROTOCOL, **changes),
        views=Views(clips=1, crops=1, short_side=36),
    )
    return dataset[0].notes


def test_an_ordinary_video_has_no_notes(model: LoadedModel, clip: Path) -> None:
    assert notes_on(clip) == ()


def test_a_video_shorter_than_a_clip_is_noted(model: LoadedModel, folder: Path) -> None:
    (note,) = notes_on(folder / "short.mp4")
    assert note.startswith("only 3 frames")
    assert "frames are repeated" in note
    (output,) = run(model, [folder / "short.mp4"])
    assert output.notes == (note,)


def test_the_part_of_a_video_counts_for_the_note(clip: Path) -> None:
    views = Views(clips=1, crops=1, short_side=36)
    segment = Segment(start=0, end=0.2)
    part = ViewDataset(as_parts(clip, segment=segment), protocol=PROTOCOL, views=views)
    (note,) = part[0].notes
    assert note.startswith("only 5 frames")


def test_a_fast_video_is_noted_where_the_stride_is_fixed(tmp_path: Path) -> None:
    fast = write_video(tmp_path / "fast.mp4", frames=40, fps=60)
    (note,) = notes_on(fast)
    assert note.startswith("60 frames per second")
    assert notes_on(fast, sampling="mmaction2") == (note,)
    assert notes_on(fast, sampling="uniform") == ()
    assert notes_on(fast, sampling="torchvision", frame_rate=15.0) == ()
    ordinary = write_video(tmp_path / "ordinary.mp4", frames=40, fps=30)
    assert notes_on(ordinary) == ()
