"""`videoswin eval`: how accurate is a model on these videos?"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from videoswin_cli.cli import options
from videoswin_cli.cli.console import ProgressBar, notice
from videoswin_cli.cli.console import result as print_result
from videoswin_cli.data.decoding.container import MAX_PIXELS
from videoswin_cli.data.lists import check_list
from videoswin_cli.errors import ExpectationError, UsageError, VideoError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.model.catalog import DEFAULT_MODEL
from videoswin_cli.ranges import shown
from videoswin_cli.records import METRIC_NAMES
from videoswin_cli.report.evaluation import (
    Format,
    format_summary,
    write_class_accuracies,
    write_confusions,
)
from videoswin_cli.report.failures import write_failures

if TYPE_CHECKING:
    from videoswin_cli.tasks.evaluate.evaluate import Evaluation


def eval(
    folder: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]", help="Folder with one folder a class."),
    ] = None,
    list_file: options.ListFile = None,
    root: options.Root = None,
    list_format: options.ListFormatOption = None,
    split: options.Split = None,
    label_column: options.LabelColumn = None,
    from_dump: Annotated[
        list[Path] | None,
        typer.Option("--from-dump", metavar="FILE...", help="Score earlier dumps; no model runs."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|FILE",
            help="As for predict; for dumps it adds names and published accuracy.",
            show_default=DEFAULT_MODEL,
        ),
    ] = None,
    checkpoint: options.Checkpoint = None,
    weights_set: options.WeightsSet = None,
    labels: options.Labels = None,
    views: options.Views = "paper",
    average: options.Average = "prob",
    topk: Annotated[
        str, typer.Option("--topk", metavar="K,K", help="Which top-k accuracies.")
    ] = "1,5",
    dump: Annotated[
        Path | None,
        typer.Option(
            "--dump",
            metavar="FILE",
            help="Keep the answers: .jsonl, .npz (all scores) or .pkl (as mmaction2).",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what --dump holds or a killed run left.")
    ] = False,
    per_class: Annotated[
        Path | None, typer.Option("--per-class", metavar="FILE.csv", help="Accuracy by class.")
    ] = None,
    confusion: Annotated[
        Path | None, typer.Option("--confusion", metavar="FILE.csv", help="What is taken for what.")
    ] = None,
    on_error: Annotated[
        Literal["wrong", "skip", "fail"],
        typer.Option("--on-error", help="Failed videos count as wrong, do not count, or stop."),
    ] = "wrong",
    min_found: Annotated[
        float,
        typer.Option("--min-found", min=0, max=1, help="Share of the videos that must exist."),
    ] = 0.95,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="The first N videos only.")
    ] = None,
    shard: options.Shard = "1/1",
    expect: Annotated[
        float | None,
        typer.Option("--expect", metavar="ACC", help="Exit 5 unless top-1 (or mAP), %, is this."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, metavar="T", help="Of --expect, in percent.")
    ] = 0.1,
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    decoder: options.Decoder = "auto",
    stream: options.Stream = None,
    allow_truncated: options.AllowTruncated = False,
    all_files: options.AllFiles = False,
    max_pixels: options.MaxPixels = MAX_PIXELS,
    allow_private_redirects: options.AllowPrivateRedirects = False,
    workers: options.Workers = None,
    batch_size: options.BatchSize = None,
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = "table",
) -> None:
    """Measure accuracy on a list or a folder of labelled videos.

    videoswin eval --list kinetics_val_list.txt --root DIR

    videoswin eval --list val.txt --root DIR --shard 1/4 --dump part1.npz

    videoswin eval --from-dump part1.npz part2.npz part3.npz part4.npz

    Failed videos are listed in failed.jsonl, or in DUMP.failed.jsonl beside the dump. Several
    processes under torchrun or srun share the work.
    """
    folders, dumps = folder or [], from_dump or []
    if dumps:  # what a shell makes of part*.npz
        folders, dumps = [], [*dumps, *folders]
    if len(folders) + (list_file is not None) + bool(dumps) != 1:
        raise UsageError(
            "expected one source of videos",
            hint="give FOLDER, --list FILE or --from-dump FILE...",
        )
    if all_files and not folders:
        raise UsageError("--all-files is for a FOLDER; a list's names are taken as they stand")
    if split is not None and list_file is None:
        raise UsageError("--split needs --list: it chooses among the rows of a list")
    if label_column is not None and list_file is None:
        raise UsageError("--label-column needs --list: it names a column of the list")
    if resume and dump is None:
        raise UsageError("--resume needs --dump: that is where finished videos are kept")
    if dumps:
        given = {
            "--dump": dump is not None,
            "--checkpoint": checkpoint is not None,
            "--weights-set": weights_set is not None,
            "--limit": limit is not None,
            "--shard": shard != "1/1",
            "--views": views != "paper",
            "--average": average != "prob",
        }
        if idle := [name for name, is_given in given.items() if is_given]:
            raise UsageError(f"{idle[0]} does not fit --from-dump, which runs no model")
    chosen_topk = _parse_topk(topk)
    if not 0 <= min_found <= 1:  # also not a number
        raise UsageError(f"--min-found {min_found}: expected a share from 0 to 1")
    if expect is not None and not 0 <= expect <= 100:
        raise UsageError(f"--expect {expect}: expected percent, 0 to 100")
    if expect is not None and 1 not in chosen_topk:
        raise UsageError("--expect is about top-1: add 1 to --topk")
    for path in (per_class, confusion):
        if path is not None:
            check_writable(path)
    if list_file is not None:
        check_list(list_file)

    from videoswin_cli.engine.distributed import parse_shard
    from videoswin_cli.engine.progress import Monitor
    from videoswin_cli.engine.runtime import RunOptions
    from videoswin_cli.tasks.evaluate import evaluate as engine

    chosen = engine.EvalOptions(
        model=model or DEFAULT_MODEL,
        checkpoint=checkpoint,
        weights_set=weights_set,
        labels=labels,
        run=RunOptions(
            views=views,
            device=device,
            precision=precision,
            decoder=decoder,
            stream=stream,
            allow_truncated=allow_truncated,
            max_pixels=max_pixels,
            workers=workers,
            batch_size=batch_size,
        ),
        average=average,
        topk=chosen_topk,
        on_error=on_error,
        min_found=min_found,
        limit=limit,
        shard=parse_shard(shard),
        dump=dump,
        resume=resume,
    )
    if dumps:
        result = engine.evaluate_dumps(dumps, chosen, named=model is not None)
    else:
        source = folders[0] if folders else None
        if (per_class or confusion) and engine.is_multi_label(chosen):
            raise _one_class_only()
        videos = engine.read_videos(
            source,
            list_file,
            chosen,
            format=list_format,
            all_files=all_files,
            split=split,
            label_column=label_column,
        )
        with ProgressBar() as bar:
            monitor = Monitor(reporter=bar)
            done = engine.evaluate(videos, chosen, root=root, monitor=monitor)
        if done is None:
            return  # the first process tells
        result = done
    print_result(format_summary(result.summary, format), end="")
    for text in result.summary.warnings:
        notice(f"warning: {text}")
    _write_tables(result, per_class, confusion)
    _finish(result, dump, expect, tolerance)


def _parse_topk(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[1-9][0-9]{0,5}(,[1-9][0-9]{0,5}){0,19}", text):
        raise UsageError(f"--topk {shown(text)}: expected up to 20 numbers below 1000000, like 1,5")
    return tuple(dict.fromkeys(int(part) for part in text.split(",")))


def _one_class_only() -> UsageError:
    return UsageError("--per-class and --confusion are for models that give a video one class")


def _write_tables(result: "Evaluation", per_class: Path | None, confusion: Path | None) -> None:
    from videoswin_cli.engine.metrics import class_accuracies, confusions

    if (per_class or confusion) and "map" in result.summary.accuracy:
        raise _one_class_only()
    if per_class is not None:
        write_class_accuracies(per_class, class_accuracies(result.videos), result.labels)
    if confusion is not None:
        write_confusions(confusion, confusions(result.videos), result.labels)


def _finish(
    result: "Evaluation", dump: Path | None, expect: float | None, tolerance: float
) -> None:
    """List the failed videos and choose the exit code."""
    path = Path("failed.jsonl") if dump is None else dump.with_name(f"{dump.name}.failed.jsonl")
    if result.failed:
        write_failures(path, ((video.path, video.error or "") for video in result.failed))
        notice(f"{len(result.failed)} of {len(result.videos)} videos failed: see {path}")
    elif dump is not None:
        path.unlink(missing_ok=True)  # of a run before this one
    accuracy = result.summary.accuracy
    name = "map" if "map" in accuracy else "top1"
    if expect is not None and not abs(accuracy[name] - expect) <= tolerance:
        raise ExpectationError(
            f"{METRIC_NAMES[name]} is {accuracy[name]:.2f} %, "
            f"expected {expect:g} within {tolerance:g}"
        )
    if result.failed:
        raise typer.Exit(VideoError.exit_code)
