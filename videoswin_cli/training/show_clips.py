"""Sheet of augmented clips: what a training would show the network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from videoswin_cli.data.class_folders import Place
from videoswin_cli.data.splitting import rarest_labels
from videoswin_cli.data.training_dataset import TrainingClips
from videoswin_cli.data.view_dataset import FailedVideo
from videoswin_cli.engine.progress import Reporter
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.io.visible import counted
from videoswin_cli.options.training import FinetuneOptions
from videoswin_cli.records import ListedVideo
from videoswin_cli.report.clip_sheet import ShownClip, write_clip_sheet
from videoswin_cli.training.job import resolve_options
from videoswin_cli.training.preparation import choose_augmentation, prepare
from videoswin_cli.training.sampler import ClipSampler

_CLIPS = 10


def show_clips(
    data: Place | None, options: FinetuneOptions, path: Path, reporter: Reporter
) -> None:
    """Draw what augmentation makes of ten training clips; nothing is trained.

    They are spread over the classes, and as the run draws each of them first. Mixup and cutmix,
    which mix clips of a batch, come after this.

    Args:
        data: as for `finetune_clips`.
        options: as for `finetune_clips`.
        path: of the PNG.
        reporter: takes messages.

    Raises:
        UsageError: data or recipe that do not fit.
        VideoSwinError: the PNG cannot be written.
    """
    job = resolve_options(data, options, reporter.notice)
    check_writable(path)
    setup = prepare(job, reporter)
    train = setup.examples.train
    clips = TrainingClips(
        [clip.part for clip in train],
        protocol=setup.spec.protocol,
        augmentation=choose_augmentation(setup.recipe, setup.flips),
        opening=job.opening,
        seed=setup.recipe.seed,
    )
    sampler = ClipSampler(
        rarest_labels(train),
        seed=setup.recipe.seed,
        balanced=setup.recipe.balance == "sampler",
    )
    draws = {key[0]: key for key in reversed(sampler.keys(range(len(train))))}
    shown = []
    for number in _spread(train):
        clip = clips[draws.get(number, (number, 0))]
        if isinstance(clip, FailedVideo):
            frames, what = np.empty((0,), np.uint8), clip.reason
        else:
            frames, what = clip.frames.numpy(), "mirrored" if clip.flipped else ""
        labels = train[number].labels
        if what == "mirrored" and setup.flips.partners is not None:
            labels = tuple(setup.flips.partners[label] for label in labels)
        names = "; ".join(setup.examples.classes[label] for label in labels)
        shown.append(ShownClip(title=f"{names}   {train[number].path}   {what}", frames=frames))
    write_clip_sheet(path, shown)
    reporter.notice(f"{counted(len(shown), 'clip')} as the training would see them: {path}")


def _spread(clips: Sequence[ListedVideo]) -> list[int]:
    """Numbers of ten clips, as many classes as there are first."""
    seen: dict[int, int] = {}  # clips of each class so far
    turns = []
    for number, clip in enumerate(clips):
        label = clip.labels[0] if clip.labels else -1
        turns.append((seen.get(label, 0), number))
        seen[label] = seen.get(label, 0) + 1
    return sorted(number for _, number in sorted(turns)[:_CLIPS])
