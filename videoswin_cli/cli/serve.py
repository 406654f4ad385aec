"""`videoswin serve`: predictions and timelines over HTTP."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from videoswin_cli.cli.console import ProgressBar, notice
from videoswin_cli.errors import UsageError, install_extra
from videoswin_cli.options.run import ClassifierOptions
from videoswin_cli.options.serve import ServedRunOptions, ServeOptions
from videoswin_cli.options.tasks import PredictOptions
from videoswin_cli.options.timeline import SegmentOptions

if TYPE_CHECKING:
    from videoswin_cli.tasks.serve.answers import Answer

_PACKAGES = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "prometheus_client": "prometheus-client",
}


def serve(
    model: ClassifierOptions = ClassifierOptions(),
    run: ServedRunOptions = ServedRunOptions(),
    options: ServeOptions = ServeOptions(),
) -> None:
    """Answer predictions and timelines over HTTP, with a page to try it.

    videoswin serve --model camera-motion

    curl -F file=@clip.mp4 http://127.0.0.1:8000/predict

    Ctrl-C or SIGTERM ends it with exit code 0, once what runs is finished; also while it loads.
    """
    if missing := [name for module, name in _PACKAGES.items() if find_spec(module) is None]:
        raise UsageError(f"serve: not installed: {', '.join(missing)}", hint=install_extra("serve"))

    with _until_signal():
        from videoswin_cli.model.loading import find_chosen
        from videoswin_cli.tasks.serve.serve import serve_answers

        with ProgressBar() as bar:
            chosen = find_chosen(model.weights, labels=model.labels, with_head=True)
            serve_answers(chosen, run.run, list_answers(), options, bar)
    notice("stopped")


@contextmanager
def _until_signal() -> Iterator[None]:
    """A block that SIGINT and SIGTERM end; uvicorn sends them again once all is finished.

    SIGINT is no KeyboardInterrupt there: Python dies of one that came through an `exec`, as in
    many imports, although it was caught.
    """
    from videoswin_cli.cli.last_net import TerminatedError

    def stop(number: int, frame: object) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGINT, stop)
    try:
        with suppress(TerminatedError):
            yield
    finally:
        signal.signal(signal.SIGINT, before)


def list_answers() -> "dict[str, Answer]":
    """Answers of the server, by route: those of the commands of the same names."""
    from videoswin_cli.records import Prediction, Timeline
    from videoswin_cli.report.predictions import to_json_line
    from videoswin_cli.report.timeline import tables
    from videoswin_cli.tasks.predict.worker import PredictWorker
    from videoswin_cli.tasks.serve.answers import Answer
    from videoswin_cli.tasks.timeline.timeline import check_windows
    from videoswin_cli.tasks.timeline.worker import TimelineWorker

    return {
        "predict": Answer(
            summary="The classes of a video, as `videoswin predict --format jsonl` prints them.",
            record=Prediction,
            options=PredictOptions(),
            parameters=("topk", "average", "logits"),
            worker=lambda options: PredictWorker(options=options),
            to_json=to_json_line,
        ),
        "timeline": Answer(
            summary="What is seen when, as `videoswin timeline --format jsonl` prints it.",
            record=Timeline,
            options=SegmentOptions(),
            parameters=("stride", "threshold", "smooth", "min_duration", "topk"),
            worker=lambda options: TimelineWorker(options=options),
            to_json=tables.to_json_line,
            check=check_windows,
        ),
    }
