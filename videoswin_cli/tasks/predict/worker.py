"""Labelled predictions of videos, and of windows that slide over them."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.engine.aggregate import average_views, top_classes
from videoswin_cli.engine.annotate import annotate
from videoswin_cli.engine.forward import ViewOutputs
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.video_files import remove_earlier
from videoswin_cli.engine.windows import label_windows, window_probabilities
from videoswin_cli.io.paths import file_below
from videoswin_cli.options.tasks import PredictOptions
from videoswin_cli.records import ListedVideo, Prediction, Stride, VideoPart, WindowPrediction
from videoswin_cli.report.overlay import paint_prediction


@dataclass(frozen=True, kw_only=True)
class PredictWorker:
    """The classes of each video."""

    options: PredictOptions

    def compute(
        self, runner: Runner, videos: Sequence[ListedVideo], monitor: Monitor
    ) -> Generator[Prediction, None, None]:
        """One prediction per video, in order, as each video ends."""
        parts = [video.part for video in videos if video.file is not None]
        with closing(runner.forward(runner.views(parts, monitor), monitor=monitor)) as outputs:
            for video in videos:
                output = None if video.file is None else next(outputs)
                found = self._annotate(runner, video, self._to_prediction(runner, video, output))
                monitor.note(video.path, found.notes)
                monitor.advance(failed=found.error is not None)
                yield found

    def _annotate(self, runner: Runner, video: ListedVideo, found: Prediction) -> Prediction:
        """The prediction, once a video with its classes is written where one is wanted."""
        if self.options.annotate is None:
            return found
        if found.error is not None:
            remove_earlier(file_below(self.options.annotate, video.path, ".mp4"))
            return found
        notes = annotate(
            video,
            self.options.annotate,
            lambda canvas: paint_prediction(found, (canvas.width, canvas.height)),
            opening=runner.settings.opening,
        )
        return replace(found, notes=(*found.notes, *notes))

    def _to_prediction(
        self, runner: Runner, video: ListedVideo, output: ViewOutputs | FailedVideo | None
    ) -> Prediction:
        model, views = runner.model, str(runner.settings.views)
        if output is None or isinstance(output, FailedVideo):
            reason = video.missing if output is None else output.reason
            return Prediction(path=video.path, model=model.spec.name, views=views, error=reason)
        probabilities = average_views(
            output.outputs, how=self.options.average, multi_label=model.spec.multi_label
        )
        return Prediction(
            path=video.path,
            model=model.spec.name,
            views=views,
            decoder=output.info.decoder,
            frames=output.info.frames,
            fps=output.info.fps,
            frame_rate=runner.settings.protocol.frame_rate,
            top=top_classes(probabilities, model.labels, k=self.options.topk),
            logits=output.outputs.tolist() if self.options.logits else None,
            notes=output.notes,
        )


def predict_windows(
    runner: Runner, parts: Sequence[VideoPart], *, stride: Stride | None, options: PredictOptions
) -> Iterator[WindowPrediction]:
    """One prediction per window, in order; what cannot be read has its `error` set.

    Raises:
        UsageError: a model that spreads its frames over whole videos.
    """
    found = window_probabilities(
        runner, parts, stride=stride, average=options.average, monitor=Monitor()
    )
    with closing(found) as pieces:
        for part in pieces:
            if isinstance(part, FailedVideo):
                yield WindowPrediction(path=part.path, error=part.reason)
            else:
                yield from label_windows(part, runner.model.labels, topk=options.topk)
