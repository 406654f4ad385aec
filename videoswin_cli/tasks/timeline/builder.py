"""The timeline of one video, from the windows of its pieces."""

from dataclasses import replace

from videoswin_cli.data.sampling import half_window, window_seconds
from videoswin_cli.data.view_dataset import Gap, describe_damage
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.windows import WindowProbabilities, label_windows
from videoswin_cli.options.timeline import SMOOTHED_WINDOWS, WINDOWS_SHOWN, SegmentOptions
from videoswin_cli.records import (
    ListedVideo,
    Stride,
    Timeline,
    UnreadSpan,
    VideoInfo,
    WindowPrediction,
)
from videoswin_cli.tasks.timeline.segments import Segmenter, SegmentRule


class TimelineBuilder:
    """Segments and gaps of a video, whose pieces come in order."""

    def __init__(self, runner: Runner, video: ListedVideo, options: SegmentOptions) -> None:
        self._runner = runner
        self.video = video
        self._options = options
        self._segmenter: Segmenter | None = None
        self._gaps: list[UnreadSpan] = []
        self._windows: list[WindowPrediction] = []
        self._notes: tuple[str, ...] = ()
        self._info: VideoInfo | None = None
        self._first: float | None = None  # s, start of the first window
        self._read_to: float | None = None  # s, end of the last window that was read
        self._gap: Gap | None = None  # all windows before the next one that cannot be read
        self.position = 0.0  # s, end of the last window
        self.until = 0.0  # s, end of the last window of the video

    def add(self, piece: WindowProbabilities) -> float:
        """More windows. Gives the seconds of the video by which they go on."""
        before, segmenter = self.position, self._segmenter
        if segmenter is None:
            rule = make_rule(self._runner, self._options, fps=piece.info.fps)
            segmenter = self._segmenter = Segmenter(self._runner.model.labels, rule)
        self._info, self._notes = piece.info, (*self._notes, *piece.notes)
        self.until = piece.until
        for start, end, found in piece.in_order():
            if self._first is None:
                self._first = before = start
            if isinstance(found, Gap):
                segmenter.skip()
                self._add_gap(found)
            else:
                self._end_gap(start)
                segmenter.add(start, end, found.numpy())
                self._read_to = end
            self.position = end
        if self._options.windows:
            topk = self._options.topk or WINDOWS_SHOWN
            labels = self._runner.model.labels
            self._windows += label_windows(piece, labels, topk=topk, path=self.video.path)
        return self.position - before

    def finish(self) -> Timeline:
        """The timeline, once all pieces of the video are added; times in seconds."""
        info, segmenter = self._info, self._segmenter
        assert info is not None and segmenter is not None  # noqa: PT018 - a video has a window
        self._end_gap(self.position)
        return Timeline(
            path=self.video.path,
            model=self._runner.model.spec.name,
            video=name_video(self.video),
            fps=info.fps,
            start=self._first or 0.0,
            duration=self.position - (self._first or 0.0),
            window=window_seconds(self._runner.settings.protocol, fps=info.fps),
            stride=self._stride_seconds,
            segments=segmenter.finish(),
            gaps=tuple(self._gaps),
            notes=self._notes,
            windows=tuple(self._windows),
        )

    @property
    def _stride_seconds(self) -> float:
        stride = choose_stride(self._runner, self._options)
        if stride.seconds is not None:
            return stride.seconds
        return (stride.frames or 0) / (self._info.fps if self._info else 1.0)

    def _add_gap(self, gap: Gap) -> None:
        if self._gap is None:
            self._gap = replace(gap, start=max(gap.start, self._read_to or gap.start))
        else:
            missing = (*self._gap.missing, *gap.missing)
            self._gap = replace(self._gap, end=gap.end, missing=missing)

    def _end_gap(self, start: float) -> None:
        """The next window, from `start` on, was read, or there is none."""
        if (gap := self._gap) is None:
            return
        end = start if gap.start < start < gap.end else gap.end
        reason = describe_damage(set(gap.missing))  # windows overlap
        self._gaps.append(UnreadSpan(start=gap.start, end=end, reason=reason))
        self._gap = None


def choose_stride(runner: Runner, options: SegmentOptions) -> Stride:
    """The stride that was asked for, else half a window of the model."""
    return options.stride or half_window(runner.settings.protocol)


def make_rule(runner: Runner, options: SegmentOptions, *, fps: float) -> SegmentRule:
    """The rule of segments for a model, whose classes may exclude each other.

    Args:
        runner: of the model.
        options: of the run.
        fps: frames per second of the video, on which the length of a window may depend.
    """
    window = window_seconds(runner.settings.protocol, fps=fps)
    of_model = len(runner.model.labels) if runner.model.spec.multi_label else 1
    return SegmentRule(
        threshold=options.threshold,
        topk=options.topk or of_model,
        smooth=SMOOTHED_WINDOWS * window if options.smooth is None else options.smooth,
        min_duration=options.min_duration,
    )


def name_video(video: ListedVideo) -> str:
    """File or URL of a video as it was named, without the part that is read."""
    return video.path.removesuffix(f"#{video.segment}") if video.segment else video.path


def failed_timeline(runner: Runner, video: ListedVideo, reason: str) -> Timeline:
    """The timeline of a video that cannot be read."""
    model = runner.model.spec.name
    return Timeline(path=video.path, model=model, video=name_video(video), error=reason)
