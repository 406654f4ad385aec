"""Python functions of the package, and the model that they work with.

    from videoswin_cli import load_model

    model = load_model("swin-tiny-k400", precision="bf16")
    model.predict("clip.mp4")
    model(clips)  # normalized RGB clips (B, 3, T, H, W) -> logits (B, classes)

Keyword arguments are the options of the commands: see `videoswin_cli.options`.
"""

import weakref
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from videoswin_cli.data.class_folders import to_place
from videoswin_cli.data.in_memory import Data, Source, Sources, Spool, list_labelled
from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.engine.places import reaching
from videoswin_cli.engine.progress import Monitor, Silent
from videoswin_cli.engine.runner import Runner, open_runner
from videoswin_cli.engine.video_files import name_files
from videoswin_cli.errors import UsageError
from videoswin_cli.io.addresses import is_bucket, is_hub_model
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.io.staging import fetch_staged
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.loading import find_chosen
from videoswin_cli.options.check import CheckOptions
from videoswin_cli.options.fields import set_signature, split_keywords
from videoswin_cli.options.parsers import parse_stride
from videoswin_cli.options.run import ClassifierOptions, RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.tasks import EvalOptions, ExplainOptions, FeatureOptions, PredictOptions
from videoswin_cli.options.timeline import SegmentOptions, TimelineOutput
from videoswin_cli.records import ListedVideo, Prediction, Stride, Timeline, WindowPrediction
from videoswin_cli.report.findings import CheckReport
from videoswin_cli.tasks.check.check import check_data
from videoswin_cli.tasks.evaluate.evaluate import evaluate_videos
from videoswin_cli.tasks.evaluate.summary import Evaluation
from videoswin_cli.tasks.explain.explain import explain_video
from videoswin_cli.tasks.explain.explanation import Explanation
from videoswin_cli.tasks.extract.tables import FeatureTable
from videoswin_cli.tasks.extract.worker import compute_table
from videoswin_cli.tasks.predict.worker import PredictWorker, predict_windows
from videoswin_cli.tasks.timeline.timeline import check_windows
from videoswin_cli.tasks.timeline.worker import TimelineWorker

_MODEL = ClassifierOptions()
_RUN = RunOptions(workers=0)  # no processes but the caller's, unless asked for
_EVAL_RUN = RunOptions(views="paper", workers=0)
_SOURCE = SourceOptions()
_CHECK = CheckOptions(workers=0)


class Model:
    """A loaded model that is ready to run.

    Attributes:
        network: the module itself, on its device and in its dtype.
        labels: class names in index order; empty without a head.
        spec: architecture, input protocol and origin.
    """

    def __init__(self, runner: Runner, options: RunOptions) -> None:
        self._open: Runner | None = runner
        self._options = options

    @property
    def _runner(self) -> Runner:
        if self._open is None:
            raise UsageError("the model is closed", hint="load it again")
        return self._open

    @property
    def network(self) -> nn.Module:
        return self._runner.model.module

    @property
    def labels(self) -> tuple[str, ...]:
        return self._runner.model.labels

    @property
    def spec(self) -> ModelSpec:
        return self._runner.model.spec

    @property
    def device(self) -> torch.device:
        return self._runner.settings.runtime.device

    @property
    def dtype(self) -> torch.dtype:
        return self._runner.settings.runtime.dtype

    def __call__(self, clips: Tensor) -> Tensor:
        """Logits (B, classes) of normalized RGB clips (B, 3, T, H, W); without gradients.

        A model without a head gives features (B, channels).
        """
        network = self._runner.network
        compute = network.pool if network.head is None else network
        with full_float32(), torch.inference_mode():
            found: Tensor = compute(clips.to(self.device, self.dtype))
        return found

    def predict(self, paths: Sources, **options: Any) -> list[Prediction]:
        """Predictions of videos; see `predict`."""
        return predict(paths, model=self, **options)

    def extract(self, paths: Sources, **options: Any) -> FeatureTable:
        """Features of videos; see `extract`."""
        return extract(paths, model=self, **options)

    def timeline(self, paths: Sources, **options: Any) -> list[Timeline]:
        """Timelines of videos; see `timeline`."""
        return timeline(paths, model=self, **options)

    def explain(self, path: Source, **options: Any) -> Explanation:
        """Evidence for a class in a video; see `explain`."""
        return explain(path, model=self, **options)

    def windows(
        self, paths: Sources, *, stride: Stride | str | float | None = None, **options: Any
    ) -> Iterator[WindowPrediction]:
        """Predictions of windows that slide over videos, as they are computed.

        Args:
            paths: as for `predict`.
            stride: from window to window: seconds, or frames such as "16f"; without it windows
                follow each other without a gap.
            options: those of `predict`, but for `annotate` and `logits`.

        Raises:
            UsageError: an option does not fit the model, or it has no windows to slide.
        """
        run, source, wanted = split_keywords(
            options,
            (self._options, _SOURCE, PredictOptions()),
            function="windows",
            without=("annotate", "logits"),
        )
        if stride is not None and not isinstance(stride, Stride):
            stride = parse_stride(str(stride))
        with ExitStack() as stack:
            spool = stack.enter_context(Spool(paths))
            parts = [video.part for video in find_inputs(spool.texts, source).listed]
            runner = self._runner.change(run)
            windows = predict_windows(runner, parts, stride=stride, options=wanted)
            stack.pop_all()  # what is in memory stays until the last window
        return _rename_windows(windows, spool)

    def close(self) -> None:
        """Free the network; the model cannot be used any more."""
        if self._open is not None:
            self._open.close()
        self._open = None


ModelLike: TypeAlias = Model | str | Path


@reaching(_MODEL)
def load_model(name_or_path: str | Path | None = None, **options: Any) -> Model:
    """A model by name or file, loaded once and kept ready to run.

    Args:
        name_or_path: a name from `videoswin models`, a YAML of the same form, or a weight file
            written by videoswin.
        options: which weights (`checkpoint`, `weights_set`, `labels`), and how it runs: `device`,
            `precision`, `views` and the others of `predict`.

    Raises:
        UsageError, CheckpointError, FetchError: the model cannot be loaded, or cannot run so.
    """
    chosen, run = split_keywords(options, (_MODEL, _RUN), function="load_model")
    return _load(name_or_path, chosen, run, with_head=False)


@reaching(_MODEL, _SOURCE, PredictOptions())
def predict(
    paths: Sources = (), *, model: ModelLike | None = None, **options: Any
) -> list[Prediction]:
    """Predictions of one or several videos, folders, globs or URLs, in order.

    Args:
        paths: what to read; none with `list_file`. Also uint8 arrays (frames, height, width, 3) of
            NumPy or torch, whose rate `frames_fps` gives, the bytes of video files, and files that
            are open as binary. Results call these `array 0`, `bytes 1`, or as the file is called.
        model: from `load_model`, or a name or file.
        options: those of `videoswin predict`. With a loaded model they change how videos are read
            for this call.

    Returns:
        One record per video; of a video that cannot be read it has its `error` set.

    Raises:
        UsageError, CheckpointError, FetchError: nothing could be predicted at all.
    """
    chosen, run, source, wanted = split_keywords(
        options, (_MODEL, _run_of(model), _SOURCE, PredictOptions()), function="predict"
    )
    with Spool(paths) as spool:
        listed = _find(spool, source)
        if wanted.annotate is not None:
            name_files(wanted.annotate, listed, ".mp4")
        runner = _open(model, chosen, run, with_head=True)
        return list(PredictWorker(options=wanted).compute(runner, listed, Monitor()))


@reaching(_MODEL, _SOURCE)
def extract(paths: Sources = (), *, model: ModelLike | None = None, **options: Any) -> FeatureTable:
    """Features of one or several videos, folders, globs or URLs, in memory.

    Args:
        paths: as for `predict`.
        model: from `load_model`, or a name or file.
        options: those of `videoswin extract`.

    Returns:
        Rows of all videos; one that cannot be read has NaN rows and says why in `status`.

    Raises:
        UsageError, CheckpointError, FetchError: nothing could be computed at all.
    """
    chosen, run, source, wanted = split_keywords(
        options, (_MODEL, _run_of(model), _SOURCE, FeatureOptions()), function="extract"
    )
    with Spool(paths) as spool:
        listed = _find(spool, source)
        runner = _open(model, chosen, run, with_head=False)
        return compute_table(runner, listed, wanted)


@reaching(_MODEL, _SOURCE, TimelineOutput())
def timeline(
    paths: Sources = (), *, model: ModelLike | None = None, **options: Any
) -> list[Timeline]:
    """Timelines of one or several videos, folders, globs or URLs, in order: what is seen when.

    Args:
        paths: what to read; none with `list_file`.
        model: from `load_model`, or a name or file.
        options: those of `videoswin timeline`, such as `stride`, `threshold` and `html`.

    Returns:
        One record per video, with its segments and gaps; of a video that cannot be read it has its
        `error` set.

    Raises:
        UsageError, CheckpointError, FetchError: nothing could be computed at all, as of a model
            without windows.
    """
    chosen, run, source, wanted, output = split_keywords(
        options,
        (_MODEL, _run_of(model), _SOURCE, SegmentOptions(), TimelineOutput()),
        function="timeline",
    )
    with Spool(paths) as spool:
        listed = _find(spool, source)
        for folder, suffix in output.beside:
            name_files(folder, listed, suffix)
        runner = _open(model, chosen, run, with_head=True)
        check_windows(runner.model.spec, runner.settings)
        worker = TimelineWorker(options=wanted, output=output)
        return list(worker.compute(runner, listed, Monitor()))


def explain(path: Source, *, model: ModelLike | None = None, **options: Any) -> Explanation:
    """Evidence for a class in a video, its places and times, by Grad-CAM.

    Args:
        path: one of what `predict` takes.
        model: from `load_model`, or a name or file.
        options: those of `videoswin explain`, such as `class_name` and `stage`.

    Returns:
        Maps [T, H, W] with their times, which write themselves as video, contact sheet and `.npy`.

    Raises:
        UsageError, CheckpointError, FetchError: no such class or stage, or the model cannot be
            loaded.
        VideoError: the video cannot be read.
    """
    chosen, run, source, wanted = split_keywords(
        options, (_MODEL, _run_of(model), _SOURCE, ExplainOptions()), function="explain"
    )
    with ExitStack() as stack:
        spool = stack.enter_context(Spool(path))
        listed = _find(spool, source)
        if len(listed) != 1:
            named = f"{path}: " if isinstance(path, str | Path) else ""
            raise UsageError(f"{named}{len(listed)} videos", hint="explain takes one")
        runner = _open(model, chosen, run, with_head=True)
        explanation = explain_video(runner, listed[0], wanted, Monitor())
        weakref.finalize(explanation, stack.pop_all().close)  # it draws on the video later
    return explanation


@reaching(_MODEL, _SOURCE, EvalOptions())
def evaluate(
    data: Data | None = None, *, model: ModelLike | None = None, **options: Any
) -> Evaluation:
    """Accuracy on a folder of class folders, or on a list.

    Args:
        data: a folder with one folder per class, tar shards, or pairs of a video, which may be an
            array, bytes or an open file, and its class; without it `list_file` names a list.
        model: from `load_model`, whose options hold but for its views; or a name or file.
        options: those of `videoswin eval`, such as `list_file`, `root`, `views`, `dump`, `out`.

    Raises:
        UsageError, CheckpointError, FetchError: nothing could be scored at all.
        VideoError: a video failed and `on_error` is "fail".
    """
    default = _EVAL_RUN
    if isinstance(model, Model):
        default = replace(_like(model._runner, model._options), views=_EVAL_RUN.views)
    chosen, run, source, wanted, job = split_keywords(
        options, (_MODEL, default, _SOURCE, EvalOptions(), JobOptions()), function="evaluate"
    )
    with ExitStack() as stack:
        inputs: list[Path | str] = []
        if isinstance(data, str | Path):
            inputs = [to_place(str(data))]
        elif data is not None:
            list_file, root = stack.enter_context(list_labelled(data))
            source = replace(source, list_file=list_file, root=root)
        if isinstance(model, Model):
            runner = _open(model, chosen, run, with_head=True)
            run = _like(runner, run)
            return evaluate_videos(inputs, source, runner.model, run, wanted, job, Silent())
        found = find_chosen(_named(chosen, model).weights, labels=chosen.labels, with_head=True)
        return evaluate_videos(inputs, source, found, run, wanted, job, Silent())


@reaching(_SOURCE, _CHECK)
def check(paths: str | Path | Sequence[str | Path] = (), **options: Any) -> CheckReport:
    """Findings of videos, lists and classes, before a run.

    Args:
        paths: videos, or one folder with class folders; none with `list_file`.
        options: those of `videoswin check`, such as `list_file`, `root`, `model`, `deep`.

    Raises:
        UsageError: there is no video, or a list cannot be read at all.
    """
    source, wanted = split_keywords(options, (_SOURCE, _CHECK), function="check")
    every = [paths] if isinstance(paths, str | Path) else paths
    return check_data(list(map(str, every)), source, wanted, Silent())


def _load(
    name: str | Path | None, chosen: ClassifierOptions, run: RunOptions, *, with_head: bool
) -> Model:
    chosen = _named(chosen, name)
    found = find_chosen(chosen.weights, labels=chosen.labels, with_head=with_head)
    return Model(open_runner(found, run, with_head=with_head), run)


def _open(
    model: ModelLike | None, chosen: ClassifierOptions, run: RunOptions, *, with_head: bool
) -> Runner:
    """A runner of a loaded model, or of one that is loaded for this call."""
    if not isinstance(model, Model):
        return _load(model, chosen, run, with_head=with_head)._runner
    if chosen != _MODEL:
        raise UsageError(
            "checkpoint, weights_set and labels do not fit a loaded model",
            hint="give them to load_model",
        )
    if with_head and not model.labels:
        raise UsageError(f"{model.spec.name} has no classes to predict")
    return model._runner.change(run)


def _like(runner: Runner, run: RunOptions) -> RunOptions:
    """Options that compute where, and as precisely as, a loaded model does."""
    runtime = runner.settings.runtime
    return replace(run, device=str(runtime.device), precision=runtime.precision)


def _run_of(model: ModelLike | None) -> RunOptions:
    return model._options if isinstance(model, Model) else _RUN


def _named(chosen: ClassifierOptions, name: str | Path | None) -> ClassifierOptions:
    if name is None:
        return chosen
    if chosen.weights.model is not None:
        raise TypeError(f"two models: {name} and {chosen.weights.model}")
    if not isinstance(name, str | Path):
        raise UsageError(
            f"a model of type {type(name).__name__}",
            hint="give a name, a path, or what load_model returns",
        )
    if is_bucket(str(name)) and not is_hub_model(str(name)):
        name = fetch_staged(str(name))
    return replace(chosen, weights=replace(chosen.weights, model=str(name)))


def _find(spool: Spool, source: SourceOptions) -> tuple[ListedVideo, ...]:
    return spool.rename(find_inputs(spool.texts, source).listed)


def _rename_windows(
    windows: Generator[WindowPrediction, None, None], spool: Spool
) -> Generator[WindowPrediction, None, None]:
    with spool, closing(windows):
        for window in windows:
            yield replace(window, path=spool.names.get(window.path, window.path))


_CALL = (_MODEL, _RUN, _SOURCE)
set_signature(load_model, (_MODEL, _RUN))
set_signature(predict, (*_CALL, PredictOptions()))
set_signature(extract, (*_CALL, FeatureOptions()))
set_signature(timeline, (*_CALL, SegmentOptions(), TimelineOutput()))
set_signature(explain, (*_CALL, ExplainOptions()))
set_signature(check, (_SOURCE, _CHECK))
set_signature(evaluate, (_MODEL, _EVAL_RUN, _SOURCE, EvalOptions(), JobOptions()))
