"""Fine-tuning: clips in, a trained model and its folder out."""

import time
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from videoswin_cli.data.class_folders import Place, to_place
from videoswin_cli.data.in_memory import Data, list_labelled
from videoswin_cli.engine.distributed import World, find_world, process_group
from videoswin_cli.engine.places import reaching
from videoswin_cli.engine.progress import Reporter, Silent
from videoswin_cli.errors import VideoSwinError, install_extra
from videoswin_cli.io.process_state import (
    deterministic_algorithms,
    full_float32,
    random_state_kept,
)
from videoswin_cli.io.visible import counted
from videoswin_cli.options.fields import set_signature, split_keywords
from videoswin_cli.options.training import FinetuneOptions
from videoswin_cli.report.curves import can_draw
from videoswin_cli.training.assemble import assemble_trainer
from videoswin_cli.training.job import Job, resolve_options
from videoswin_cli.training.preparation import prepare
from videoswin_cli.training.result import FAILED, FinetuneResult, describe_result, describe_test
from videoswin_cli.training.run_folder import check_output, lock_folder
from videoswin_cli.training.train_log import TrainLog


@reaching(FinetuneOptions())
def finetune(
    data: Data | None = None, *, reporter: Reporter | None = None, **options: Any
) -> FinetuneResult:
    """A model trained on one's own classes.

    Args:
        data: DATA/CLASS/CLIP, or DATA/train/CLASS/CLIP and DATA/val/CLASS/CLIP; or pairs of a clip,
            which may be an array, bytes or an open file, and its class; without it `train_list`
            names a list.
        reporter: takes messages and progress.
        options: those of `videoswin finetune`, such as `model`, `epochs`, `lr`, `out`; `changes`
            are those of `--set`.

    Raises:
        UsageError: data, recipe or output that do not fit.
        VideoSwinError: out of memory, or the disk is full.
    """
    (chosen,) = split_keywords(options, (FinetuneOptions(),), function="finetune")
    reporter = reporter or Silent()
    if data is None or isinstance(data, str | Path):
        return finetune_clips(None if data is None else to_place(str(data)), chosen, reporter)
    with list_labelled(data) as (train_list, root):
        clips = replace(chosen.clips, train_list=train_list, root=root)
        return finetune_clips(None, replace(chosen, clips=clips), reporter)


def finetune_clips(
    data: Place | None, options: FinetuneOptions, reporter: Reporter
) -> FinetuneResult:
    """Train, validate after every epoch, keep the best, and write how it went.

    Returns:
        The same in all processes that train together.

    Raises:
        UsageError: data, recipe or output that do not fit.
        VideoSwinError: out of memory, or the disk is full.
    """
    world = find_world()
    with TrainLog(reporter if world.is_main else Silent()) as log:
        try:
            job = resolve_options(data, options, log.notice)
            check_output(job.out, job.resume)
            repeatable = deterministic_algorithms() if job.recipe.deterministic else nullcontext()
            with repeatable, full_float32(), random_state_kept(), process_group(world):
                # All that holds on to the group of processes goes with this call: torch may hang
                # where the group outlives its end.
                return _run(job, log, world)
        except VideoSwinError as error:
            log.keep(f"error: {error.message}")
            raise


def _run(job: Job, log: TrainLog, world: World) -> FinetuneResult:
    started, begun = time.strftime("%Y-%m-%dT%H:%M:%S%z"), time.monotonic()
    setup = prepare(job, log)
    trainer = assemble_trainer(job, setup, world, log)
    with lock_folder(job.out, world), closing(trainer):
        if world.is_main:
            log.open(job.out / "train.log")
            if not can_draw():
                log.notice(f"no curves.png, no confusion.png: {install_extra('plots')}")
        if job.resume is not None:
            trainer.restore(job.resume)
        trainer.write_files()
        interrupted, test = trainer.run(), None
        if setup.test_views is not None and not interrupted:
            found = trainer.test(setup.test_views)
            interrupted = found is None
            test = None if found is None else describe_test(found, setup.test_views)
        result = describe_result(
            trainer,
            start=job.weights.name,
            interrupted=interrupted,
            test=test,
            started=started,
            seconds=time.monotonic() - begun,
        )
        result = world.broadcast(result)
        if world.is_main:
            _conclude(result, log)
    return result


def _conclude(result: FinetuneResult, log: TrainLog) -> None:
    """Write and tell how the run went, or how it is resumed."""
    if result.interrupted:
        log.notice(f"interrupted; --resume continues {result.folder}")
        return
    result.write(result.folder)
    log.notice(result.summary())
    if result.failed:
        log.notice(
            f"{counted(len(result.failed), 'clip')} could not be read: {result.folder / FAILED}"
        )


set_signature(finetune, (FinetuneOptions(),))
