"""Timelines of videos: windows as `predict` sees them, times, gaps, resumed runs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from make_video import damage_video, write_video
from notices import Notices
from tiny import LABELS, PROTOCOL, TINY

from videoswin_cli import load_model, predict
from videoswin_cli.data.decoding.open import open_video
from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.data.sampling import half_window, window_seconds
from videoswin_cli.data.view_dataset import Gap
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.windows import WindowProbabilities, window_probabilities
from videoswin_cli.errors import ResumeError, UsageError
from videoswin_cli.model.catalog import load_spec
from videoswin_cli.model.loading import LoadedModel, find_chosen, save
from videoswin_cli.model.swin3d import Swin3D
from videoswin_cli.options.run import ModelOptions, RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.timeline import SegmentOptions, TimelineOutput
from videoswin_cli.records import (
    ListedVideo,
    RunSummary,
    SamplingRule,
    Stride,
    Timeline,
    VideoInfo,
    VideoPart,
)
from videoswin_cli.tasks.timeline import builder
from videoswin_cli.tasks.timeline.timeline import see_videos
from videoswin_cli.tasks.timeline.worker import TimelineWorker

ALL = SegmentOptions(threshold=0, smooth=0, min_duration=0)


def see(
    paths: Sequence[Path],
    model: str,
    *,
    options: SegmentOptions = ALL,
    source: SourceOptions = SourceOptions(),  # noqa: B008 - frozen
    **run: Any,
) -> list[Timeline]:
    """Timelines in memory."""
    opened = load_model(model, **run)
    listed = find_inputs([str(path) for path in paths], source).listed
    return list(TimelineWorker(options=options).compute(opened._runner, listed, Monitor()))


def write_like(path: Path, **changes: Any) -> str:
    """A weight file of a tiny network with changes to its spec."""
    spec = replace(load_spec("swin-tiny-k400"), name="tiny", architecture=TINY, protocol=PROTOCOL)
    network = Swin3D(TINY).eval()
    model = LoadedModel(
        network=network, spec=replace(spec, **changes), labels=LABELS, weights=path,
        layout="videoswin",
    )  # fmt: skip
    save(path, model)
    return str(path)


# --- windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"views": "1x3"}, {"fps": 10}, {"fps": 25}])
def test_a_window_has_the_bits_of_predict_on_the_same_frames(
    tiny: str, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = write_video(tmp_path / "a.mp4", frames=40)
    model = load_model(tiny, **options)
    runner = model._runner
    stride = half_window(runner.settings.protocol)
    parts, monitor = [VideoPart(path=str(path))], Monitor()
    windows = [
        (start, probabilities)
        for piece in window_probabilities(runner, parts, stride=stride, monitor=monitor)
        if isinstance(piece, WindowProbabilities)
        for (start, _), probabilities in zip(piece.times, piece.probabilities, strict=True)
    ]
    assert len(windows) > 2
    for start, probabilities in windows[:-1]:
        end = start + window_seconds(runner.settings.protocol, fps=25)
        (found,) = predict(path, model=model, start=start, end=end - 1e-6, topk=7)
        assert found.notes == ()
        by_index = {each.index: each.prob for each in found.top}
        assert [by_index[n] for n in range(7)] == probabilities.tolist()


def test_windows_are_half_a_window_apart_and_the_last_one_ends_with_the_video(
    tiny: str, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "a.mp4", frames=27)  # windows: frames 0 to 6, 4 to 10, ...
    (found,) = see([path], tiny, options=SegmentOptions(windows=True, topk=1))
    starts = [round(window.start * 25) for window in found.windows]
    assert starts == [0, 4, 8, 12, 16, 20]
    assert (found.windows[-1].end, found.duration) == (27 / 25, 27 / 25)
    assert (found.window, found.stride, found.fps) == (8 / 25, 4 / 25, 25)


def test_a_video_shorter_than_a_window_has_one_and_says_so(tiny: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=3)
    (found,) = see([path], tiny)
    assert [(each.start, each.end) for each in found.segments] == [(0, 3 / 25)]
    assert "frames are repeated" in " ".join(found.notes)


def test_times_are_those_of_the_stamps(tiny: str, tmp_path: Path) -> None:
    """A slow half and a fast one."""
    times = [n / 10 for n in range(12)] + [1.2 + n / 50 for n in range(12)]
    path = write_video(tmp_path / "a.mkv", frames=24, times=times)
    options = SegmentOptions(windows=True, topk=1, stride=Stride(frames=4))
    (found,) = see([path], tiny, options=options)
    assert [round(window.start, 3) for window in found.windows] == [0, 0.4, 0.8, 1.2, 1.28]


def test_a_picture_that_begins_late_has_late_times(tiny: str) -> None:
    late = Path(__file__).parents[1] / "field" / "late3.mp4"
    (found,) = see([late], tiny)
    with open_video(late) as video:
        assert found.segments[0].start == video.timestamps()[0] > 1


def test_a_part_of_a_video_has_the_times_of_the_whole(tiny: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=100)
    (found,) = see([path], tiny, source=SourceOptions(start=2, end=3))
    assert (found.segments[0].start, found.segments[-1].end) == (2, 3)
    assert (found.start, found.duration) == (2, 1)
    assert found.path == f"{path}#t=2,3"
    assert found.video == str(path)


def test_segments_are_of_the_windows(tiny: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames=200)
    options = SegmentOptions(windows=True, topk=1, threshold=0, smooth=0, min_duration=0)
    (found,) = see([path], tiny, options=options)
    peaks = [max(w.top[0].prob for w in found.windows if w.top[0].index == each.index)
             for each in found.segments[:1]]  # fmt: skip
    assert found.segments[0].label == found.windows[0].top[0].label
    assert found.segments[0].peak in [w.top[0].prob for w in found.windows]
    assert found.segments[0].peak <= peaks[0]


def test_classes_that_do_not_exclude_each_other_overlap(tmp_path: Path) -> None:
    model = write_like(tmp_path / "several.safetensors", multi_label=True)
    path = write_video(tmp_path / "a.mp4", frames=20)
    (found,) = see([path], model)
    assert {each.index for each in found.segments} == set(range(7))
    assert sum(each.mean for each in found.segments) > 1.5  # sigmoids


# --- what cannot be read --------------------------------------------------------------------------


def test_a_damaged_stretch_is_a_gap_and_the_rest_goes_on(tiny: str, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", frames=201, gop=10, b_frames=0)
    path = damage_video(whole, tmp_path / "a.mp4", start=0.5, stop=0.55)
    (found,) = see([path], tiny)
    assert found.error is None
    (gap,) = found.gaps
    assert 3 < gap.start < gap.end < 6
    with open_video(path) as video:
        _, missing = video.read_whole_frames(range(0, 201, 2))  # as windows take them
    assert gap.reason.startswith(f"{len(missing)} of the wanted frames cannot be decoded (")
    assert found.segments[0].start == 0
    assert found.segments[-1].end == 8.04  # the last of every second frame is the last of all
    assert not any(each.start < gap.end and each.end > gap.start for each in found.segments)


def test_a_gap_names_what_is_missing_in_all_its_windows(tiny: str) -> None:
    """Frames of windows that overlap count once; a window in between that was read ends the gap."""
    facts = VideoInfo(path="a", decoder="pyav", frames=99, fps=25, height=8, width=8)
    gaps = {0: (3,), 1: (3, 14), 3: (90,)}
    piece = WindowProbabilities(
        info=facts,
        times=((1.25, 2.25),),
        probabilities=torch.full((1, 7), 1 / 7, dtype=torch.float64),
        gaps=tuple(
            Gap(
                place=place,
                start=place / 2,
                end=place / 2 + 1,
                missing=missing,
                why="the file is damaged",
            )
            for place, missing in gaps.items()
        ),
        notes=(),
        unread=0,
        until=2.5,
    )
    timeline = builder.TimelineBuilder(
        load_model(tiny)._runner, ListedVideo(path="a", file="a", label=None, line=1), ALL
    )
    timeline.add(piece)
    first, second = timeline.finish().gaps
    assert (first.start, first.end, second.start, second.end) == (0, 1.25, 2.25, 2.5)
    assert first.reason == "2 of the wanted frames cannot be decoded (3, 14): the file is damaged"
    assert second.reason == "1 of the wanted frames cannot be decoded (90): the file is damaged"


def test_progress_names_the_video_and_its_time(tiny: str, tmp_path: Path) -> None:
    """The end is that of the part: the last window overlaps more."""
    paths = [write_video(tmp_path / f"{name}.mp4", frames=63) for name in "ab"]
    reporter = Notices()
    opened, source = load_model(tiny), SourceOptions(start=1)
    listed = find_inputs([str(path) for path in paths], source).listed
    monitor = Monitor(reporter=reporter)
    monitor.begin(len(listed))
    list(TimelineWorker(options=ALL).compute(opened._runner, listed, monitor))
    shown = [text.rpartition(", ")[0] for text in reporter.shown]
    last = ("00:00:02 / 00:00:03", "00:00:03 / 00:00:03")
    assert shown == [
        f"{n} of 2, {name}.mp4#t=1: {t}" for n, name in ((1, "a"), (2, "b")) for t in last
    ]


def test_a_video_that_cannot_be_read_is_a_timeline_with_the_reason(
    tiny: str, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    good = write_video(tmp_path / "good.mp4")
    first, second = see([bad, good], tiny)
    assert "not a readable video" in (first.error or "")
    assert first.segments == ()
    assert second.segments


def run(
    paths: Sequence[Path],
    model: str,
    out: Path | None = None,
    *,
    resume: bool = False,
    options: SegmentOptions = ALL,
    reporter: Notices | None = None,
    **settings: Any,
) -> RunSummary:
    """As the command does."""
    return see_videos(
        find_inputs([str(path) for path in paths], SourceOptions()).listed,
        find_chosen(ModelOptions(model=model), with_head=True),
        RunOptions(workers=0, **settings),
        options,
        TimelineOutput(out=None if out is None else str(out)),
        JobOptions(resume=resume),
        reporter or Notices(),
    )


@pytest.mark.parametrize(
    ("sampling", "views", "expected"),
    [("uniform", "1x1", "no windows to slide"), ("official", "2x1", "a view is one clip")],
)
def test_a_model_or_views_without_windows_are_refused(
    tmp_path: Path, sampling: SamplingRule, views: str, expected: str
) -> None:
    protocol = replace(PROTOCOL, sampling=sampling, clips=1)
    model = write_like(tmp_path / "spread.safetensors", protocol=protocol)
    path = write_video(tmp_path / "a.mp4")
    with pytest.raises(UsageError, match=expected):
        run([path], model, views=views)


# --- resumed runs ---------------------------------------------------------------------------------


def stop_after(monkeypatch: pytest.MonkeyPatch, pieces: int) -> Callable[[], list[int]]:
    """Interrupt a run when so many pieces were seen; gives the windows of the pieces so far."""
    seen: list[int] = []
    real = builder.TimelineBuilder.add

    def add(self: builder.TimelineBuilder, piece: WindowProbabilities) -> float:
        if len(seen) == pieces:
            raise KeyboardInterrupt
        seen.append(len(piece))
        return real(self, piece)

    monkeypatch.setattr(builder.TimelineBuilder, "add", add)
    return lambda: seen


def test_a_run_is_resumed_within_a_video(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", frames=200)  # 49 windows, 8 a piece
    run([path], tiny, tmp_path / "whole.json")
    out = tmp_path / "out.json"
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run([path], tiny, out, resume=True)
    assert not out.exists()
    log = next((tmp_path / "out.json.part").glob("*.windows"))
    with log.open("ab") as stream:
        stream.write(b'{"torn')
    reporter = Notices()
    with monkeypatch.context() as patch:
        computed = stop_after(patch, 99)
        run([path], tiny, out, resume=True, reporter=reporter)
    # The piece on its way to the third one was kept as well.
    assert f"{path}: 32 windows were done before: skipped" in reporter.texts
    assert sum(computed()) == 49
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_a_file_that_was_replaced_is_begun_anew(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", frames=200)
    out = tmp_path / "out.json"
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            run([path], tiny, out, resume=True)
    write_video(path, frames=100, seed=5)
    run([path], tiny, tmp_path / "whole.json")
    reporter = Notices()
    run([path], tiny, out, resume=True, reporter=reporter)
    assert "windows were done before" not in " ".join(reporter.texts)
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_finished_videos_are_not_seen_again_whatever_the_format(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4")
    out = tmp_path / "out.srt"
    run([path], tiny, out, resume=True)
    text = out.read_text()
    stop_after(monkeypatch, 0)
    run([path], tiny, out, resume=True)
    assert out.read_text() == text
    with pytest.raises(ResumeError, match=r"run: --threshold was 0, now 0\.3$"):
        run([path], tiny, out, resume=True, options=replace(ALL, threshold=0.3))
    changed = replace(ALL, stride=Stride(seconds=0.5), topk=3)
    expected = r"run: --topk was not given, now 3 \(--stride differs too\)$"
    with pytest.raises(ResumeError, match=expected):
        run([path], tiny, out, resume=True, options=changed)
