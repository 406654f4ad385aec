"""Videos in, labelled predictions out: what `videoswin predict` and `predict()` run."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch

from videoswin_cli.data.decoding.container import MAX_PIXELS
from videoswin_cli.data.decoding.open import DecoderChoice
from videoswin_cli.data.segments import make_segment
from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.data.views import resolve_views
from videoswin_cli.engine.aggregate import Average, average_views, top_classes
from videoswin_cli.engine.distributed import World
from videoswin_cli.engine.forward import ViewOutputs, run_videos
from videoswin_cli.engine.precision import resolve_auto
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runtime import Precision, RunOptions, choose_runtime
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import DEFAULT_MODEL
from videoswin_cli.model.loading import LoadedModel, describe, load
from videoswin_cli.records import Prediction, Segment, VideoPart

_ALONE = World()


def load_model(
    name_or_path: str | Path,
    *,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
    weights_set: str | None = None,
) -> torch.nn.Module:
    """A ready network in eval mode.

    Args:
        name_or_path: a name of `videoswin models`, a YAML of the same form, or one of our own
            weight files.
        checkpoint: weights of any known layout to put into it.
        device: where to put it.
        dtype: of its parameters; float32 by default.
        weights_set: which of several sets of weights in one file: a name, `ema` or `model`.

    Returns:
        A module that takes normalized RGB clips (B, 3, T, H, W) and gives logits (B, classes); its
        `forward_features` gives (B, C, T', H', W') after the final norm.

    Raises:
        UsageError, CheckpointError, FetchError: see `videoswin_cli.model.loading.load`.
    """
    runtime = choose_runtime(device=device)
    model = load(
        str(name_or_path),
        checkpoint=checkpoint,
        dtype=dtype or torch.float32,
        weights_set=weights_set,
    )
    return model.network.to(runtime.device)


def predict(
    path_or_paths: str | Path | Sequence[str | Path],
    *,
    model: str | LoadedModel = DEFAULT_MODEL,
    checkpoint: str | Path | None = None,
    labels: str | Path | None = None,
    weights_set: str | None = None,
    views: str = "1x1",
    topk: int = 5,
    average: Average = "prob",
    device: str = "auto",
    precision: Precision = "fp32",
    decoder: DecoderChoice = "auto",
    stream: int | None = None,
    allow_truncated: bool = False,
    all_files: bool = False,
    max_pixels: int = MAX_PIXELS,
    logits: bool = False,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    workers: int | None = 0,
    batch_size: int | None = None,
) -> list[Prediction]:
    """Recognise the actions in one or several videos, folders, globs or URLs.

    The keywords are the options of `videoswin predict`. A video that cannot be read is a record
    with its `error` set.

    Raises:
        UsageError, CheckpointError, FetchError: nothing could be predicted at all.
    """
    if topk < 1:
        raise UsageError(f"topk {topk}: expected 1 or more")
    inputs = [path_or_paths] if isinstance(path_or_paths, str | Path) else path_or_paths
    videos = expand_inputs([str(path) for path in inputs], all_files=all_files).videos
    options = RunOptions(
        views=views,
        device=device,
        precision=precision,
        decoder=decoder,
        stream=stream,
        allow_truncated=allow_truncated,
        max_pixels=max_pixels,
        workers=workers,
        batch_size=batch_size,
    )
    if not isinstance(model, LoadedModel):
        model = load_classifier(
            model, options, checkpoint=checkpoint, labels=labels, weights_set=weights_set
        )
    return list(
        iter_predictions(
            model,
            videos,
            options=options,
            topk=topk,
            average=average,
            logits=logits,
            segment=make_segment(start_seconds, end_seconds),
        )
    )


def load_classifier(
    model: str,
    options: RunOptions,
    *,
    checkpoint: str | Path | None = None,
    labels: str | Path | None = None,
    weights_set: str | None = None,
) -> LoadedModel:
    """Load a model with classes, once everything else that can be wrong was looked at.

    Raises:
        UsageError: also where an option does not fit the model.
        CheckpointError, FetchError: see `videoswin_cli.model.loading.load`.
    """
    spec, _ = describe(model, checkpoint=checkpoint, labels=labels, weights_set=weights_set)
    resolve_views(options.views, spec.protocol)
    choose_runtime(device=options.device, precision=options.precision)
    return load(
        model, checkpoint=checkpoint, labels=labels, with_head=True, weights_set=weights_set
    )


def iter_predictions(
    model: LoadedModel,
    paths: Sequence[str],
    *,
    options: RunOptions,
    topk: int,
    average: Average,
    logits: bool,
    segment: Segment | None = None,
    monitor: Monitor | None = None,
    world: World = _ALONE,
) -> Iterator[Prediction]:
    """One prediction a path, in order, as each video ends.

    Several processes share the paths; the first one gives the predictions of all, the others give
    none.

    Raises:
        UsageError: an option does not fit the model.
    """
    monitor = monitor or Monitor()
    options = resolve_auto(model, options, notice=monitor.notice, world=world)
    own_paths = world.shard.select(paths)
    outputs = run_videos(
        model,
        [VideoPart(path=path, segment=segment) for path in own_paths],
        options=options,
        monitor=monitor,
    )
    views = str(resolve_views(options.views, model.spec.protocol))
    own = (
        _answer(model, path, output, views, topk=topk, average=average, raw=logits)
        for path, output in zip(own_paths, outputs, strict=True)
    )
    return own if world.size == 1 else _in_order(own, len(paths), world)


def _in_order(own: Iterator[Prediction], total: int, world: World) -> Iterator[Prediction]:
    """All predictions on the first process, one of each process at a time, as they were dealt."""
    for _ in range(0, total, world.size):
        yield from world.gather(list(islice(own, 1)))


def _answer(
    model: LoadedModel,
    path: str,
    output: ViewOutputs | FailedVideo,
    views: str,
    *,
    topk: int,
    average: Average,
    raw: bool,
) -> Prediction:
    name = model.spec.name
    if isinstance(output, FailedVideo):
        return Prediction(path=path, model=name, views=views, error=output.reason)
    probabilities = average_views(output.outputs, how=average, multi_label=model.spec.multi_label)
    return Prediction(
        path=path,
        model=name,
        views=views,
        decoder=output.info.decoder,
        frames=output.info.frames,
        fps=output.info.fps,
        top=top_classes(probabilities, model.labels, k=topk),
        logits=output.outputs.tolist() if raw else None,
        notes=output.notes,
    )
