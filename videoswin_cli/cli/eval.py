"""`videoswin eval`: how accurate is a model on these videos?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoswin_cli.cli.cluster import choose_cluster
from videoswin_cli.cli.console import ProgressBar, notice, result
from videoswin_cli.cli.options import AllowPrivateRedirects
from videoswin_cli.data.lists import check_list
from videoswin_cli.errors import ExpectationError, UsageError, VideoError
from videoswin_cli.options.run import ClassifierOptions, RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.tasks import EvalOptions
from videoswin_cli.records import METRIC_NAMES
from videoswin_cli.report.evaluation import format_summary

if TYPE_CHECKING:
    from videoswin_cli.tasks.evaluate.summary import Evaluation


def eval(
    folder: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FOLDER]", help="Folder with one folder per class, or tar shards."),
    ] = None,
    source: SourceOptions = SourceOptions(),
    model: ClassifierOptions = ClassifierOptions(),
    run: RunOptions = RunOptions(views="paper"),
    options: EvalOptions = EvalOptions(),
    job: JobOptions = JobOptions(),
    allow_private_redirects: AllowPrivateRedirects = False,
) -> None:
    """Measure accuracy on a list or a folder of labelled videos.

    videoswin eval --list kinetics_val_list.txt --root DIR

    videoswin eval 'val-{000000..000007}.tar'

    videoswin eval --list val.txt --root DIR --shard 1/4 --dump part1.npz

    videoswin eval --from-dump part1.npz part2.npz part3.npz part4.npz

    videoswin eval --from-dump tiny.npz base.npz --fuse --weights 1,2

    Lists are recognized by their content: `path label`, `id frames label`, `id;label`, CSV with a
    header, JSON (Kinetics, ActivityNet, Something-Something and others), JSON lines, split files of
    UCF101 and HMDB51; labels may be numbers or names.

    Failed videos are listed in DUMP.failed.jsonl beside the dump, or in the folder of --out.
    Several processes under torchrun or srun share the work.
    """
    run, job = choose_cluster(run, job)

    from videoswin_cli.data.class_folders import to_place

    folders = list(map(to_place, folder or []))
    if options.from_dump:  # and what a shell makes of part*.npz
        options = options.with_dumps(list(map(Path, folder or [])))
    elif bool(folders) == (source.list_file is not None):
        raise UsageError(
            "expected one source of videos",
            hint="give FOLDER, FILE.tar..., --list FILE or --from-dump FILE...",
        )
    if options.fuse and not options.from_dump:
        raise UsageError("--fuse needs --from-dump: it averages what earlier runs wrote")
    if job.resume and options.dump is None:
        raise UsageError("--resume needs --dump: that is where finished videos are kept")
    if source.list_file is not None:
        check_list(source.list_file)

    from videoswin_cli.engine.distributed import find_world
    from videoswin_cli.model.loading import find_chosen
    from videoswin_cli.tasks.evaluate.evaluate import evaluate_videos
    from videoswin_cli.tasks.evaluate.from_dumps import check_idle_options, evaluate_dumps

    world = find_world()
    with ProgressBar(silent=not world.is_main) as bar:
        if options.from_dump:
            check_idle_options(model, run, options, source, job)
            found = evaluate_dumps(options, model, bar)
        else:
            chosen = find_chosen(model.weights, labels=model.labels, with_head=True)
            found = evaluate_videos(folders, source, chosen, run, options, job, bar)
    if world.is_main:
        _print(found, options)


def _print(found: "Evaluation", options: EvalOptions) -> None:
    """Print the result and choose the exit code."""
    result(format_summary(found.summary, options.format), end="")
    for text in found.summary.warnings:
        notice(f"warning: {text}")
    accuracy = found.summary.accuracy
    name = "map" if "map" in accuracy else "top1"
    expected = options.expect
    if expected is not None and not abs(accuracy[name] - expected) <= options.tolerance:
        raise ExpectationError(
            f"{METRIC_NAMES[name]} is {accuracy[name]:.2f} %, "
            f"expected {expected:g} within {options.tolerance:g}"
        )
    if found.failed or found.summary.lost:
        raise typer.Exit(VideoError.exit_code)
