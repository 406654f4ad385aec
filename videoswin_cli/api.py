"""Python functions of the package, and the model that they work with.

    from videoswin_cli import load_model

    model = load_model("swin-tiny-k400", precision="bf16")
    model.predict("clip.mp4")
    model(clips)  # normalized RGB clips (B, 3, T, H, W) -> logits (B, classes)

Keyword arguments are the options of the commands: see `videoswin_cli.options`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.engine.annotate import check_folder
from videoswin_cli.engine.places import find_places, local_places
from videoswin_cli.engine.progress import Monitor, Silent
from videoswin_cli.engine.runner import Runner, open_runner
from videoswin_cli.errors import UsageError
from videoswin_cli.io.addresses import is_bucket, is_hub_model
from videoswin_cli.io.process_state import full_float32
from videoswin_cli.io.staging import fetch_staged
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.loading import find_chosen
from videoswin_cli.options.fields import set_signature, split_keywords
from videoswin_cli.options.parsers import parse_stride
from videoswin_cli.options.run import ClassifierOptions, RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.tasks import EvalOptions, ExplainOptions, FeatureOptions, PredictOptions
from videoswin_cli.records import Prediction, Stride, WindowPrediction
from videoswin_cli.tasks.evaluate.evaluate import evaluate_videos
from videoswin_cli.tasks.evaluate.summary import Evaluation
from videoswin_cli.tasks.explain.explain import explain_video
from videoswin_cli.tasks.explain.explanation import Explanation
from videoswin_cli.tasks.extract.tables import FeatureTable
from videoswin_cli.tasks.extract.worker import compute_table
from videoswin_cli.tasks.predict.worker import PredictWorker, predict_windows

Returned = TypeVar("Returned")
Paths: TypeAlias = str | Path | Sequence[str | Path]

_MODEL = ClassifierOptions()
_RUN = RunOptions(workers=0)  # no processes but the caller's, unless asked for
_EVAL_RUN = RunOptions(views="paper", workers=0)
_SOURCE = SourceOptions()


def _reaching(*records: Any) -> Callable[[Callable[..., Returned]], Callable[..., Returned]]:
    """Let the keywords of a function be addresses where their options are files."""
    places = find_places(records)

    def decorate(function: Callable[..., Returned]) -> Callable[..., Returned]:
        @wraps(function)
        def run(*args: Any, **options: Any) -> Returned:
            with local_places(options, places) as local:
                return function(*args, **local)

        return run

    return decorate


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
        return self._runner.model.network

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

    def predict(self, paths: Paths, **options: Any) -> list[Prediction]:
        """Predictions of videos; see `predict`."""
        return predict(paths, model=self, **options)

    def extract(self, paths: Paths, **options: Any) -> FeatureTable:
        """Features of videos; see `extract`."""
        return extract(paths, model=self, **options)

    def explain(self, path: str | Path, **options: Any) -> Explanation:
        """Evidence for a class in a video; see `explain`."""
        return explain(path, model=self, **options)

    def windows(
        self, paths: Paths, *, stride: Stride | str | float | None = None, **options: Any
    ) -> Iterator[WindowPrediction]:
        """Predictions of windows that slide over videos, as they are computed.

        Args:
            paths: as for `predict`.
            stride: from window to window: seconds, or frames such as "16f"; without it windows
                follow each other without a gap.
            options: those of `predict`.

        Raises:
            UsageError: an option does not fit the model, or it has no windows to slide.
        """
        run, source, wanted = split_keywords(
            options, (self._options, _SOURCE, PredictOptions()), function="windows"
        )
        if stride is not None and not isinstance(stride, Stride):
            stride = parse_stride(str(stride))
        parts = [video.part for video in find_inputs(_to_texts(paths), source).listed]
        runner = self._runner.change(run)
        return predict_windows(runner, parts, stride=stride, options=wanted)

    def close(self) -> None:
        """Free the network; the model cannot be used any more."""
        if self._open is not None:
            self._open.close()
        self._open = None


ModelLike: TypeAlias = Model | str | Path


@_reaching(_MODEL)
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


@_reaching(_MODEL, _SOURCE, PredictOptions())
def predict(
    paths: Paths = (), *, model: ModelLike | None = None, **options: Any
) -> list[Prediction]:
    """Predictions of one or several videos, folders, globs or URLs, in order.

    Args:
        paths: what to read; none with `list_file`.
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
    found = find_inputs(_to_texts(paths), source)
    if wanted.annotate is not None:
        check_folder(wanted.annotate, found.listed)
    runner = _open(model, chosen, run, with_head=True)
    return list(PredictWorker(options=wanted).compute(runner, found.listed, Monitor()))


@_reaching(_MODEL, _SOURCE)
def extract(paths: Paths = (), *, model: ModelLike | None = None, **options: Any) -> FeatureTable:
    """Features of one or several videos, folders, globs or URLs, in memory.

    Args:
        paths: what to read; none with `list_file`.
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
    found = find_inputs(_to_texts(paths), source)
    runner = _open(model, chosen, run, with_head=False)
    return compute_table(runner, found.listed, wanted)


def explain(path: str | Path, *, model: ModelLike | None = None, **options: Any) -> Explanation:
    """Evidence for a class in a video, its places and times, by Grad-CAM.

    Args:
        path: a video, or its URL.
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
    found = find_inputs(_to_texts(path), source)
    if len(found.listed) != 1:
        raise UsageError(f"{path}: {len(found.listed)} videos", hint="explain takes one")
    runner = _open(model, chosen, run, with_head=True)
    return explain_video(runner, found.listed[0], wanted, Monitor())


@_reaching(_MODEL, _SOURCE, EvalOptions())
def evaluate(
    folder: str | Path | None = None, *, model: ModelLike | None = None, **options: Any
) -> Evaluation:
    """Accuracy on a folder of class folders, or on a list.

    Args:
        folder: with one folder per class; without it `list_file` names a list.
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
    only = None if folder is None else Path(folder)
    if isinstance(model, Model):
        runner = _open(model, chosen, run, with_head=True)
        run = _like(runner, run)
        return evaluate_videos(only, source, runner.model, run, wanted, job, Silent())
    found = find_chosen(_named(chosen, model).weights, labels=chosen.labels, with_head=True)
    return evaluate_videos(only, source, found, run, wanted, job, Silent())


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


def _to_texts(paths: Paths) -> list[str]:
    """Raises TypeError for what is no path, such as an array of frames."""
    if not isinstance(paths, Iterable | Path):
        raise TypeError(f"expected paths or URLs, found {type(paths).__name__}")
    every = [paths] if isinstance(paths, str | Path) else list(paths)
    for path in every:
        if not isinstance(path, str | Path):
            raise TypeError(f"expected a path or URL, found {type(path).__name__}")
    return [str(path) for path in every]


_CALL = (_MODEL, _RUN, _SOURCE)
set_signature(load_model, (_MODEL, _RUN))
set_signature(predict, (*_CALL, PredictOptions()))
set_signature(extract, (*_CALL, FeatureOptions()))
set_signature(explain, (*_CALL, ExplainOptions()))
set_signature(evaluate, (_MODEL, _EVAL_RUN, _SOURCE, EvalOptions(), JobOptions()))
