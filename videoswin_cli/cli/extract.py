"""`videoswin extract`: features of videos, for other models to work on."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from videoswin_cli.cli import options
from videoswin_cli.cli.console import ProgressBar, notice, result
from videoswin_cli.cli.stdin import stdin_paths
from videoswin_cli.data.decoding.container import MAX_PIXELS
from videoswin_cli.data.lists import read_list
from videoswin_cli.data.lists.splits import describe_splits
from videoswin_cli.data.locating import locate, name_missing
from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.model.catalog import DEFAULT_MODEL
from videoswin_cli.ranges import shown
from videoswin_cli.records import ListedVideo
from videoswin_cli.report.timing import describe_timing

if TYPE_CHECKING:
    from videoswin_cli.data.lists import VideoList

_EXAMPLES = 5  # failed videos that are named; the index has all


def extract(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT...]",
            help="Videos, folders, globs, @list.txt, - for paths on stdin, http(s) URLs.",
        ),
    ] = None,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            metavar="FILE|DIR/",
            help="One matrix (.npy, with index and description beside it), all in one file "
            "(.npz, .safetensors), or a folder with a file a video (a name without suffix is one).",
        ),
    ] = ...,  # type: ignore[assignment]
    list_file: options.ListFile = None,
    root: options.Root = None,
    list_format: options.ListFormatOption = None,
    split: options.Split = None,
    label_column: options.LabelColumn = None,
    model: options.Model = DEFAULT_MODEL,
    checkpoint: options.Checkpoint = None,
    weights_set: options.WeightsSet = None,
    per: Annotated[
        Literal["video", "clip", "window"],
        typer.Option("--per", help="What a row is. Windows slide over the whole video."),
    ] = "video",
    stride: Annotated[
        str | None,
        typer.Option(
            "--stride",
            metavar="SECONDS|Nf",
            help="From window to window: 2 or 0.5 seconds, or 16f for 16 frames.",
            show_default="no gap and no overlap",
        ),
    ] = None,
    stage: Annotated[
        Literal["1", "2", "3", "4", "final"],
        typer.Option("--stage", help="After this stage; final: after the last one and its norm."),
    ] = "final",
    pool: Annotated[
        Literal["avg", "time", "none"],
        typer.Option(
            "--pool", help="Rows of C; time: T' x C, mean over space; none: C x T' x H' x W'."
        ),
    ] = "avg",
    views: options.Views = "1x1",
    dtype: Annotated[
        Literal["fp32", "fp16"], typer.Option("--dtype", help="Of the numbers written.")
    ] = "fp32",
    resume: Annotated[
        bool,
        typer.Option("--resume/--no-resume", help="Go on with what --out holds, or refuse to."),
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove what --out holds first.")
    ] = False,
    shard: options.Shard = "1/1",
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
) -> None:
    """Write the features of videos.

    videoswin extract clips/ --out feats.npy

    videoswin extract --list all.txt --root DIR --out feats/ --per window --stride 2

    A killed run is gone on with by the same command. Videos that cannot be read have NaN rows and
    say why in the index (in a folder they have no file). Several processes under torchrun or srun
    share the work, and so do --shard 1/4 to 4/4 with the same --out: the one that ends last writes
    it.
    """
    if bool(inputs) == (list_file is not None):
        raise UsageError("expected one source of videos", hint="give INPUT... or --list FILE")
    if all_files and list_file is not None:
        raise UsageError("--all-files is for folders; a list's names are taken as they stand")
    if split is not None and list_file is None:
        raise UsageError("--split needs --list: it chooses among the rows of a list")
    if label_column is not None and list_file is None:
        raise UsageError("--label-column needs --list: it names a column of the list")
    if overwrite and shard != "1/1":
        raise UsageError(
            "--overwrite with --shard would remove what the other shards wrote",
            hint="remove the output by hand before the first shard starts",
        )

    from videoswin_cli.engine.distributed import check_stdin, find_world

    world = find_world()
    check_stdin(inputs or [], world)
    if list_file is None:
        found = expand_inputs(inputs or [], stdin=stdin_paths(), all_files=all_files)
        for text in found.notices if world.is_main else ():
            notice(text)
        listed = [
            ListedVideo(path=path, file=path, label=None, line=number)
            for number, path in enumerate(found.videos, start=1)
        ]
    else:
        videos = read_list(
            list_file, format=list_format, labelled=False, split=split, label_column=label_column
        )
        listed = _locate(videos, root or list_file.parent, split)

    from videoswin_cli.engine.distributed import parse_shard
    from videoswin_cli.engine.progress import Monitor
    from videoswin_cli.engine.runtime import RunOptions
    from videoswin_cli.tasks.extract.extract import extract_to_files, make_stride
    from videoswin_cli.tasks.extract.features import FeatureOptions
    from videoswin_cli.tasks.extract.output import parse_output

    output = parse_output(out)
    if output.kind != "folder":
        check_writable(output.path, inputs=[list_file, model, checkpoint])
    frames, seconds = _parse_stride(stride)
    chosen = FeatureOptions(
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
        per=per,
        stride=make_stride(frames=frames, seconds=seconds),
        stage=None if stage == "final" else int(stage),
        pool=pool,
        dtype=dtype,
    )
    with ProgressBar() as bar:
        done = extract_to_files(
            listed,
            output,
            chosen,
            model=model,
            checkpoint=checkpoint,
            weights_set=weights_set,
            shard=parse_shard(shard),
            resume=resume,
            overwrite=overwrite,
            monitor=Monitor(reporter=bar),
        )
    if done is None:
        return  # the first process tells
    notice(describe_timing(done.timing))
    failed = [video for video in done.videos if video.error is not None]
    for video in failed[:_EXAMPLES]:
        notice(f"failed: {video.path}: {video.error}")
    if failed:
        notice(f"{len(failed)} of {len(done.videos)} videos failed")
    broken = [video for video in done.videos if video.gaps]
    for video in broken[:_EXAMPLES]:
        notice(
            f"{len(video.gaps)} of {len(video.times)} rows are NaN: {video.path}: "
            f"{next(iter(video.gaps.values()))}"
        )
    if broken:
        notice(f"{len(broken)} of {len(done.videos)} videos are damaged in part")
    if noted := sum(bool(video.notes) for video in done.videos):
        notice(f"{noted} of {len(done.videos)} videos with notes: see the column notes")
    if done.complete:
        result(out)
    else:
        notice(f"{len(done.videos)} of {len(listed)} videos are there; the other shards go on")
    if failed or broken:
        raise typer.Exit(VideoError.exit_code)


def _locate(videos: "VideoList", root: Path, split: str | None) -> list[ListedVideo]:
    notice(f"{videos.source}: {len(videos.rows)} rows ({videos.format})")
    for text in videos.notices:
        notice(text)
    if split is None and len(videos.splits) > 1:
        notice(f"all splits are taken: {describe_splits(videos.splits)}; --split NAME chooses one")
    listed, notices = locate(videos, [None] * len(videos.rows), root=root)
    missing = sum(video.file is None for video in listed)
    found = f"{len(listed) - missing} of {len(listed)} videos found"
    if missing == len(listed):
        raise UsageError(
            f"{found} under {root}; missing are, for example: {name_missing(listed)}",
            hint="is --root the folder that the names in the list are relative to?",
        )
    for text in (*notices, f"{found}; missing: {name_missing(listed)}" if missing else found):
        notice(text)
    return listed


def _parse_stride(text: str | None) -> tuple[int | None, float | None]:
    """Frames or seconds."""
    if text is None:
        return None, None
    if match := re.fullmatch(r"([0-9]{1,7}) ?f(?:rames?)?", text):
        return int(match[1]), None
    if match := re.fullmatch(r"([0-9]{0,6}\.?[0-9]{1,12}) ?s?", text):
        return None, float(match[1])
    raise UsageError(
        f"--stride {shown(text)}: expected seconds below 1000000, like 2 or 0.5, or frames below "
        "10000000, like 16f"
    )
