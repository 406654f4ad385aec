"""Class probabilities of windows that slide over videos, for all that asks what is seen when."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import Tensor

from videoswin_cli.data.view_dataset import FailedVideo, Gap
from videoswin_cli.data.window_dataset import Begun
from videoswin_cli.engine.aggregate import average_views, top_classes
from videoswin_cli.engine.forward import ViewOutputs
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner
from videoswin_cli.options.tasks import Average
from videoswin_cli.records import Stride, VideoInfo, VideoPart, WindowPrediction


@dataclass(frozen=True, kw_only=True)
class WindowProbabilities:
    """Probabilities of some consecutive windows of a video, and the gaps between them."""

    info: VideoInfo
    times: tuple[tuple[float, float], ...]  # s, start and end of each window that was read
    probabilities: Tensor  # float64 (windows, classes)
    gaps: tuple[Gap, ...]  # windows that cannot be read
    notes: tuple[str, ...]
    unread: int  # windows that come after these
    until: float  # s, end of the last one of the video

    def __len__(self) -> int:
        """Number of windows, those that cannot be read included."""
        return len(self.times) + len(self.gaps)

    def in_order(self) -> Iterator[tuple[float, float, Tensor | Gap]]:
        """Start and end in seconds of each window, and its probabilities unless it is a gap."""
        good = zip(self.times, self.probabilities, strict=True)
        gaps = {gap.place: gap for gap in self.gaps}
        for place in range(len(self)):
            if (gap := gaps.get(place)) is not None:
                yield gap.start, gap.end, gap
            else:
                (start, end), probabilities = next(good)
                yield start, end, probabilities


def window_probabilities(
    runner: Runner,
    parts: Sequence[VideoPart],
    *,
    stride: Stride | None,
    average: Average = "prob",
    monitor: Monitor,
    begun: Begun = Begun(),  # noqa: B008 - frozen
    beside: bool = False,
) -> Generator[WindowProbabilities | FailedVideo, None, None]:
    """Probabilities of all windows of videos in order, or a failure in place of the rest of one.

    Args:
        runner: that computes them.
        parts: the videos.
        stride: from window to window; None: no gap and no overlap.
        average: of the crops of a window.
        monitor: of the run.
        begun: windows of the first video that are left out.
        beside: decode beside the network, in a process of its own even for one video.

    Raises:
        UsageError: a model that spreads its frames over whole videos.
    """
    decoded = runner.windows(parts, monitor, stride=stride, begun=begun, beside=beside)
    failed = False  # the video whose rest still comes
    # Batches of one size, so that no window's numbers depend on its neighbors.
    with closing(runner.forward(decoded, fill_batches=True, monitor=monitor)) as outputs:
        for output in outputs:
            if not failed:
                failed = isinstance(output, FailedVideo)
                yield (
                    output
                    if isinstance(output, FailedVideo)
                    else _to_probabilities(runner, output, average)
                )
            failed = failed and output.unread > 0


def _to_probabilities(runner: Runner, output: ViewOutputs, average: Average) -> WindowProbabilities:
    windows, classes = len(output.times), runner.model.spec.architecture.num_classes
    by_crop = output.outputs.reshape(-1, windows, classes) if windows else None
    each = [
        average_views(by_crop[:, n], how=average, multi_label=runner.model.spec.multi_label)
        for n in range(windows)
        if by_crop is not None
    ]
    return WindowProbabilities(
        info=output.info,
        times=output.times,
        probabilities=torch.stack(each) if each else torch.empty(0, classes, dtype=torch.float64),
        gaps=output.gaps,
        notes=output.notes,
        unread=output.unread,
        until=output.until,
    )


def label_windows(
    part: WindowProbabilities, labels: Sequence[str], *, topk: int, path: str | None = None
) -> Iterator[WindowPrediction]:
    """The likeliest classes of each window; windows that cannot be read have their `error` set.

    Args:
        part: of a video.
        labels: class names in index order.
        topk: classes per window.
        path: that the windows get; None: that of the file.
    """
    path = path or part.info.path
    for start, end, found in part.in_order():
        if isinstance(found, Gap):
            yield WindowPrediction(path=path, start=start, end=end, error=found.reason)
        else:
            top = top_classes(found, labels, k=topk)
            yield WindowPrediction(path=path, start=start, end=end, top=top)
