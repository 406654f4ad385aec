"""`videoswin extract`: features of videos, for other models to work on."""

from typing import TYPE_CHECKING

import typer

from videoswin_cli.cli.cluster import choose_cluster
from videoswin_cli.cli.console import ProgressBar, notice, result
from videoswin_cli.cli.options import AllowPrivateRedirects, Inputs
from videoswin_cli.cli.stdin import stdin_paths
from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.errors import UsageError, VideoError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.io.visible import counted
from videoswin_cli.options.run import ModelOptions, RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.tasks import FeatureOptions, OutputOptions
from videoswin_cli.report.timing import describe_timing

if TYPE_CHECKING:
    from videoswin_cli.tasks.extract.output import Output
    from videoswin_cli.tasks.extract.parts import PartsOutput
    from videoswin_cli.tasks.extract.sink import Extraction

_EXAMPLES = 5  # failed videos that are named; the index has all


def extract(
    inputs: Inputs = None,
    output: OutputOptions = OutputOptions(),
    source: SourceOptions = SourceOptions(),
    model: ModelOptions = ModelOptions(),
    options: FeatureOptions = FeatureOptions(),
    run: RunOptions = RunOptions(),
    job: JobOptions = JobOptions(resume=True),
    allow_private_redirects: AllowPrivateRedirects = False,
) -> None:
    """Write the features of videos.

    videoswin extract clips/ --out feats.npy

    videoswin extract --list all.txt --root DIR --out feats/ --per window --stride 2

    Run the same command again to resume an interrupted run. Videos that cannot be read have NaN
    rows and say why in the index (in a folder they have no file). Several processes under torchrun
    or srun share the work, and so do --shard 1/4 to 4/4 with the same --out: the one that ends last
    writes it.
    """
    run, job = choose_cluster(run, job)
    if output.overwrite and job.shard.count > 1:
        raise UsageError(
            "--overwrite with --shard would remove what the other shards wrote",
            hint="remove the output by hand before the first shard starts",
        )

    from videoswin_cli.engine.distributed import check_stdin, find_world

    world = find_world()
    check_stdin(inputs or [], world)
    found = find_inputs(inputs or [], source, stdin=stdin_paths())

    from videoswin_cli.model.loading import find_chosen
    from videoswin_cli.tasks.extract.extract import extract_to_files
    from videoswin_cli.tasks.extract.parts import PartsOutput

    out = _open_output(output, job, options, videos=len(found.listed))
    if not isinstance(out, PartsOutput) and out.kind != "folder":
        check_writable(out.path, inputs=[source.list_file, model.model, model.checkpoint])
    with ProgressBar(silent=not world.is_main) as bar:
        for text in found.notices:
            bar.notice(text)
        done = extract_to_files(
            found.listed,
            out,
            find_chosen(model),
            run,
            options,
            job,
            bar,
            overwrite=output.overwrite,
        )
    if not world.is_main:
        return
    _print_notices(done)
    if done.complete:
        result(output.out)
    else:
        notice(
            f"{len(done.videos)} of {counted(len(found.listed), 'video')} done; "
            "waiting for the other shards"
        )
    if any(video.error is not None or video.gaps for video in done.videos):
        raise typer.Exit(VideoError.exit_code)


def _open_output(
    output: OutputOptions, job: JobOptions, options: FeatureOptions, *, videos: int
) -> "Output | PartsOutput":
    from videoswin_cli.tasks.extract.output import parse_output
    from videoswin_cli.tasks.extract.parts import open_parts

    if output.output_format is None:
        return parse_output(output.out)
    return open_parts(output.out, output.output_format, job.cluster.part_size, options, videos)


def _print_notices(done: "Extraction") -> None:
    """Print where the time went, and which videos have something to note."""
    total = len(done.videos)
    notice(describe_timing(done.timing))
    failed = [video for video in done.videos if video.error is not None]
    for video in failed[:_EXAMPLES]:
        notice(f"failed: {video.path}: {video.error}")
    if failed:
        notice(f"{len(failed)} of {counted(total, 'video')} failed")
    broken = [video for video in done.videos if video.gaps]
    for video in broken[:_EXAMPLES]:
        notice(
            f"{len(video.gaps)} of {len(video.times)} rows are NaN: {video.path}: "
            f"{next(iter(video.gaps.values()))}"
        )
    if broken:
        notice(f"{len(broken)} of {counted(total, 'video')} damaged in part")
    if noted := sum(bool(video.notes) for video in done.videos):
        notice(f"{noted} of {counted(total, 'video')} with notes: see the column notes")
