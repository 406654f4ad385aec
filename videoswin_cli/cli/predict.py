"""`videoswin predict`: what happens in these videos?"""

from pathlib import Path
from typing import Annotated

import typer

from videoswin_cli.cli import options
from videoswin_cli.cli.console import ProgressBar, notice, progress
from videoswin_cli.cli.stdin import stdin_paths
from videoswin_cli.data.decoding.container import MAX_PIXELS
from videoswin_cli.data.segments import make_segment
from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.model.catalog import DEFAULT_MODEL
from videoswin_cli.model.limits import MAX_CLASSES
from videoswin_cli.report.predictions import Format, open_report


def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Videos, folders, globs, @list.txt, - for paths on stdin, http(s) URLs.",
        ),
    ],
    model: options.Model = DEFAULT_MODEL,
    checkpoint: options.Checkpoint = None,
    weights_set: options.WeightsSet = None,
    labels: options.Labels = None,
    views: options.Views = "1x1",
    topk: Annotated[
        int, typer.Option("--topk", min=1, max=MAX_CLASSES, help="Classes to show.")
    ] = 5,
    average: options.Average = "prob",
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    decoder: options.Decoder = "auto",
    stream: options.Stream = None,
    allow_truncated: options.AllowTruncated = False,
    all_files: options.AllFiles = False,
    max_pixels: options.MaxPixels = MAX_PIXELS,
    allow_private_redirects: options.AllowPrivateRedirects = False,
    format: Annotated[Format, typer.Option("--format", help="How to print.")] = "table",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write there, not to stdout.")
    ] = None,
    logits: Annotated[
        bool, typer.Option("--logits", help="Add the raw scores of each view (json, jsonl).")
    ] = False,
    start: options.Start = None,
    end: options.End = None,
    workers: options.Workers = None,
    batch_size: options.BatchSize = None,
) -> None:
    """Recognise the actions in videos.

    videoswin predict clip.mp4

    videoswin predict clips/ --views paper --format jsonl > scores.jsonl

    Several processes under torchrun or srun share the videos; the first one prints.
    """
    if logits and format not in ("json", "jsonl"):
        raise UsageError(f"--logits does not fit --format {format}", hint="use json or jsonl")
    segment = make_segment(
        options.parse_seconds("--start", start), options.parse_seconds("--end", end)
    )

    from videoswin_cli.engine.distributed import check_stdin, find_world

    world = find_world()
    check_stdin(inputs, world)
    found = expand_inputs(inputs, stdin=stdin_paths(), all_files=all_files)
    videos = found.videos
    if out is not None:
        lists = [text[1:] for text in inputs if text.startswith("@")]
        check_writable(out, inputs=[*videos, *lists, model, checkpoint, labels])

    from videoswin_cli.engine.distributed import process_group
    from videoswin_cli.engine.progress import Monitor
    from videoswin_cli.engine.runtime import RunOptions
    from videoswin_cli.tasks.predict import iter_predictions, load_classifier

    run = RunOptions(
        views=views,
        device=world.device(device),
        precision=precision,
        decoder=decoder,
        stream=stream,
        allow_truncated=allow_truncated,
        max_pixels=max_pixels,
        workers=workers,
        batch_size=batch_size,
    )
    monitor = Monitor(reporter=ProgressBar()) if world.is_main else Monitor()
    for text in found.notices:
        monitor.notice(text)
    with process_group(world):
        loaded = load_classifier(
            model, run, checkpoint=checkpoint, labels=labels, weights_set=weights_set
        )
        monitor.notice(loaded.summary)
        predictions = iter_predictions(
            loaded,
            videos,
            options=run,
            topk=topk,
            average=average,
            logits=logits,
            segment=segment,
            monitor=monitor,
            world=world,
        )
        if not world.is_main:
            list(predictions)  # none: the first process tells
            return
        with open_report(format, out) as write:
            failed = noted = 0
            for prediction in progress(predictions, total=len(videos), unit="video"):
                write(prediction)
                failed += prediction.error is not None
                noted += bool(prediction.notes)
                for note in prediction.notes:
                    notice(f"{prediction.path}: {note}")
    if noted:
        notice(f"{noted} of {len(videos)} videos with notes")
    if failed:
        notice(f"{failed} of {len(videos)} videos failed")
        raise typer.Exit(VideoError.exit_code)
