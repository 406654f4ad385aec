"""Features of clips: outputs of the network before its head, as rows of numbers."""

import math
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.data.window_dataset import Begun
from videoswin_cli.engine.forward import Compute, ViewOutputs
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner
from videoswin_cli.engine.settings import Settings
from videoswin_cli.errors import UsageError
from videoswin_cli.model.catalog import ModelSpec
from videoswin_cli.model.network import VideoNetwork
from videoswin_cli.options.tasks import FeatureOptions
from videoswin_cli.records import Architecture, VideoPart, Views

Times = tuple[tuple[float, float], ...]

_DTYPES: dict[str, np.dtype[Any]] = {"fp32": np.dtype(np.float32), "fp16": np.dtype(np.float16)}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Feature options that were found to fit a model."""

    options: FeatureOptions
    views: Views
    shape: tuple[int, ...]  # of one row

    @property
    def dtype(self) -> np.dtype[Any]:
        return _DTYPES[self.options.dtype]

    @property
    def failed_rows(self) -> int:
        """Rows of a video that cannot be read."""
        return self.views.clips if self.options.per == "clip" else 1


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Some rows of one video, in order."""

    path: str
    features: NDArray[Any]  # (rows, *shape)
    times: Times  # start and end of each row in seconds
    decoder: str
    notes: tuple[str, ...]
    last: bool  # the video has no more
    gaps: Mapping[int, str] = field(default_factory=dict)  # row -> why there is nothing but NaN


def plan_features(spec: ModelSpec, settings: Settings, options: FeatureOptions) -> Plan:
    """The plan of a run; raises what `check_features` does."""
    check_features(spec, settings, options)
    return Plan(
        options=options,
        views=settings.views,
        shape=_row_shape(spec.architecture, settings, options),
    )


def check_features(spec: ModelSpec, settings: Settings, options: FeatureOptions) -> None:
    """Check the options against a model and the settings of a run.

    Raises:
        UsageError: they do not fit it or each other.
    """
    if settings.pooled_only and (options.stage is not None or options.pool != "avg"):
        option = "--pool" if options.stage is None else "--stage"
        raise UsageError(
            f"{option}: an exported graph gives pooled features of the last stage alone",
            hint="extract with the model itself",
        )
    views = settings.views
    per, pool, stages = options.per, options.pool, len(spec.architecture.depths)
    if options.stage is not None and not 1 <= options.stage <= stages:
        raise UsageError(f"no stage {options.stage}: {spec.name} has stages 1 to {stages}")
    if per == "window" and views.clips > 1:
        raise UsageError(
            f"--views {views} does not fit --per window: windows slide, so a view is one clip",
            hint="use 1x1 or 1x3",
        )
    if per == "window" and spec.protocol.sampling == "uniform":
        raise UsageError(
            f"{spec.name} spreads one clip over the whole video: there are no windows to slide",
            hint="use --per video or --per clip",
        )
    if pool != "avg" and per == "video" and views.clips > 1:
        raise UsageError(
            f"--pool {pool} keeps time, and {views.clips} clips show different times: they cannot "
            "become one row",
            hint="use --per clip, --views 1x1 or --pool avg",
        )
    if pool == "none" and views.crops > 1:
        raise UsageError(
            f"--pool none keeps places, and {views.crops} crops show different ones",
            hint="use --views with one crop, or --pool time",
        )


def compute_rows(
    runner: Runner,
    parts: Sequence[VideoPart],
    plan: Plan,
    *,
    monitor: Monitor,
    begun: Begun = Begun(),  # noqa: B008 - frozen
) -> Generator[Rows | FailedVideo, None, None]:
    """Features of all videos in order, a failure in place of the (remaining) rows of a video.

    Args:
        runner: that computes them.
        parts: the videos.
        plan: which features.
        monitor: of the run.
        begun: windows of the first video that are not computed again.
    """
    options = plan.options
    if options.per == "window":
        videos = runner.windows(parts, monitor, stride=options.stride, begun=begun)
    else:
        videos = runner.views(parts, monitor)
    computed = runner.forward(
        videos,
        _feature_function(runner.network, options),
        fill_batches=True,  # so that no video's numbers depend on its neighbours
        monitor=monitor,
    )
    skipping = False  # what still comes of a video that failed
    with closing(computed) as outputs:
        for output in outputs:
            if not skipping:
                rows = output if isinstance(output, FailedVideo) else _to_rows(output, plan)
                yield rows
                skipping = isinstance(rows, FailedVideo)
            skipping = skipping and output.unread > 0


def _row_shape(sizes: Architecture, settings: Settings, options: FeatureOptions) -> tuple[int, ...]:
    """Of (C, T', H', W'), or what pooling leaves of it."""
    protocol = settings.protocol
    merges = min(options.stage or len(sizes.depths), len(sizes.depths) - 1)
    width = sizes.embed_dim * 2**merges
    extent = (protocol.clip_frames, protocol.crop_size, protocol.crop_size)
    time, *area = (math.ceil(n / p) for n, p in zip(extent, sizes.patch_size, strict=True))
    area = [math.ceil(n / 2**merges) for n in area]
    return {"avg": (width,), "time": (time, width), "none": (width, time, *area)}[options.pool]


def _feature_function(network: VideoNetwork, options: FeatureOptions) -> Compute:
    def compute(clips: Tensor) -> Tensor:
        features = network.forward_features(clips, stage=options.stage).float()
        # Means of contiguous numbers: those over strided axes depend on the number of threads.
        if options.pool == "avg":
            return features.flatten(2).mean(dim=-1)
        if options.pool == "time":
            return features.flatten(3).mean(dim=-1).transpose(1, 2)
        return features

    return compute


def _to_rows(output: ViewOutputs, plan: Plan) -> Rows | FailedVideo:
    clips, times = len(output.times), output.times
    by_crop = output.outputs.reshape(plan.views.crops, clips, *plan.shape)
    features = by_crop.double().mean(dim=0)
    if plan.options.per == "video":
        features = features.mean(dim=0, keepdim=True)
        times = ((min(start for start, _ in times), max(end for _, end in times)),)
    with np.errstate(over="ignore"):  # what overflows is noticed as infinity
        array = features.numpy().astype(plan.dtype)
    if not np.isfinite(array).all():
        reason = "a feature is too large for fp16"
        return FailedVideo(path=output.info.path, reason=reason, unread=output.unread)
    for gap in output.gaps:  # in rising order: each place is that of the row by now
        array = np.insert(array, gap.place, np.nan, axis=0)
        times = (*times[: gap.place], (gap.start, gap.end), *times[gap.place :])
    return Rows(
        path=output.info.path,
        features=array,
        times=times,
        gaps={gap.place: gap.reason for gap in output.gaps},
        decoder=output.info.decoder,
        notes=output.notes,
        last=not output.unread,
    )
