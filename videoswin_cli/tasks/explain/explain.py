"""Evidence for a class in a video: what `videoswin explain` computes."""

from collections.abc import Sequence
from contextlib import closing
from difflib import get_close_matches

import numpy as np
import torch
from torch import Tensor

from videoswin_cli.class_names import fold_name, whole_number
from videoswin_cli.data.rates import state_rate
from videoswin_cli.data.transforms import crop_corners, resized_size
from videoswin_cli.data.view_dataset import FailedVideo, VideoViews
from videoswin_cli.engine.aggregate import average_views, top_classes
from videoswin_cli.engine.forward import Compute, ViewOutputs
from videoswin_cli.engine.grad_cam import GradCam, spread_cells
from videoswin_cli.engine.progress import Monitor
from videoswin_cli.engine.runner import Runner
from videoswin_cli.errors import LabelError, UsageError, VideoError
from videoswin_cli.options.tasks import ExplainOptions
from videoswin_cli.records import ListedVideo
from videoswin_cli.tasks.explain.explanation import Explanation

_TOP = 5  # classes that an explanation names


def explain_video(
    runner: Runner, video: ListedVideo, options: ExplainOptions, monitor: Monitor
) -> Explanation:
    """Evidence for a class in a video, its places and times, by Grad-CAM.

    The network first predicts, as `predict` does; then the same views are computed once more, with
    gradients.

    Args:
        runner: of a model with classes.
        video: what is looked at.
        options: the class, and the stage whose features are looked at.
        monitor: of the run.

    Raises:
        LabelError: the model has no such class.
        UsageError: it has no such stage.
        VideoError: the video cannot be read.
    """
    model = runner.model
    network = model.module  # with gradients: raises for an exported graph
    stages = len(model.spec.architecture.depths)
    stage = options.stage or stages
    if stage > stages:
        raise UsageError(f"--stage {stage}: {model.spec.name} has {stages} stages")
    chosen = None if options.class_name is None else find_class(options.class_name, model.labels)
    with closing(runner.views([video.part], monitor)) as decoded:
        views = next(decoded)
    if isinstance(views, FailedVideo):
        raise VideoError(f"{video.path}: {views.reason}")
    predicted = _compute(runner, views, None, monitor)
    probabilities = average_views(
        predicted.outputs, how=options.average, multi_label=model.spec.multi_label
    )
    every = top_classes(probabilities, model.labels, k=len(model.labels))
    explained = next(each for each in every if chosen is None or each.index == chosen)
    behind = None if stage == stages else stage
    compute = GradCam(network=network, index=explained.index, stage=behind)
    cells = _compute(runner, views, compute, monitor).outputs
    maps = join_views(views, cells, runner, network.cell_size(behind))
    notes = list(predicted.notes)
    if not np.nanmax(maps) > 0:
        notes.append(f"nothing that it sees speaks for {explained.label}: the maps are 0")
    return Explanation(
        path=video.path,
        model=model.spec.name,
        views=str(runner.settings.views),
        stage=stage,
        explained=explained,
        top=every[:_TOP],
        maps=maps,
        times=views.starts,
        clips=views.times,
        part=video.part,
        opening=state_rate(runner.settings.opening, views.info),
        notes=tuple(notes),
    )


def find_class(text: str, labels: Sequence[str]) -> int:
    """Index of a class by its name, however it is spelled, or by its number.

    Raises:
        LabelError: there is none, or several of that name.
    """
    if text in labels:
        return labels.index(text)
    number = whole_number(text)
    if number is not None and 0 <= number < len(labels):
        return number
    folded = [fold_name(label) for label in labels]
    found = [index for index, name in enumerate(folded) if name == fold_name(text)]
    if len(found) == 1:
        return found[0]
    if found:
        raise LabelError(
            f"{len(found)} classes are called {text}", hint=f"give a number: {found[0]}"
        )
    near = get_close_matches(fold_name(text)[:200], folded, n=3)
    names = ", ".join(labels[folded.index(name)] for name in near)
    raise LabelError(
        f"no class {text}: the model has {len(labels)}, from 0 to {len(labels) - 1}",
        hint=f"did you mean {names}?" if near else "`videoswin models NAME` lists them",
    )


def _compute(
    runner: Runner, views: VideoViews, compute: Compute | None, monitor: Monitor
) -> ViewOutputs:
    """Raises VideoError where the answers are not finite."""
    with closing(runner.forward([views], compute, monitor=monitor)) as outputs:
        found = next(outputs)
    if isinstance(found, FailedVideo):
        raise VideoError(f"{found.path}: {found.reason}")
    return found


def join_views(
    views: VideoViews, cells: Tensor, runner: Runner, cell_size: tuple[int, int, int]
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Maps (T, H, W) of the resized frames from those of all views, (views, T', H', W').

    Where several views have looked it is their mean, elsewhere NaN. What speaks against the class
    counts as 0.
    """
    run = runner.settings
    rule, info, side = run.protocol.resize, views.info, views.crop_size
    height, width = resized_size(
        info.height, info.width, short_side=run.views.short_side, rule=rule
    )
    corners = crop_corners(height, width, crop_size=side, crops=run.views.crops, rule=rule)
    total = torch.zeros(len(views.starts), height, width)
    looks = torch.zeros(len(views.starts), height, width)
    for number, map_ in enumerate(cells):
        crop, clip = divmod(number, len(views.clips))
        rows, (top, left) = views.clips[clip], corners[crop]
        box = slice(top, top + side), slice(left, left + side)
        spread = spread_cells(map_.relu(), cell_size, (len(rows), side, side))
        for row, frame in zip(rows, spread, strict=True):  # a frame may come twice
            total[row][box] += frame
            looks[row][box] += 1
    return (total / looks).numpy()
