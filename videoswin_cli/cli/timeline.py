"""`videoswin timeline`: what is seen when in these videos?"""

from videoswin_cli.cli.cluster import choose_cluster
from videoswin_cli.cli.console import ProgressBar
from videoswin_cli.cli.options import AllowPrivateRedirects, Inputs
from videoswin_cli.cli.results import check_out, end_run
from videoswin_cli.cli.stdin import stdin_paths
from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.errors import UsageError
from videoswin_cli.options.run import ClassifierOptions, RunOptions
from videoswin_cli.options.source import JobOptions, SourceOptions
from videoswin_cli.options.timeline import SegmentOptions, TimelineOutput


def timeline(
    inputs: Inputs = None,
    source: SourceOptions = SourceOptions(),
    model: ClassifierOptions = ClassifierOptions(),
    run: RunOptions = RunOptions(),
    options: SegmentOptions = SegmentOptions(),
    output: TimelineOutput = TimelineOutput(),
    job: JobOptions = JobOptions(),
    allow_private_redirects: AllowPrivateRedirects = False,
) -> None:
    """Find what is seen when in videos.

    videoswin timeline match.mp4

    videoswin timeline match.mp4 --out match.srt

    videoswin timeline videos/ --format elan --out labels/ --resume

    Windows of the model slide over each video; neighboring ones of one class become a segment.
    """
    output.check(videos=1, windows=options.windows)
    run, job = choose_cluster(run, job)

    from videoswin_cli.engine.distributed import check_stdin, find_world

    world = find_world()
    check_stdin(inputs or [], world)
    found = find_inputs(inputs or [], source, stdin=stdin_paths())
    output.check(videos=len(found.listed), windows=options.windows)
    if output.file is not None and output.is_folder:
        if not output.file.absolute().parent.is_dir():
            raise UsageError(f"cannot write {output.out}: no such folder: {output.file.parent}")
        if world.is_main:
            output.file.mkdir(exist_ok=True)
    elif output.file is not None:
        check_out(output.file, inputs or [], found, source, model)

    from videoswin_cli.model.loading import find_chosen
    from videoswin_cli.tasks.timeline.timeline import see_videos

    with ProgressBar(silent=not world.is_main) as bar:
        for text in found.notices:
            bar.notice(text)
        chosen = find_chosen(model.weights, labels=model.labels, with_head=True)
        done = see_videos(found.listed, chosen, run, options, output, job, bar)
    if world.is_main:
        end_run(done, listed=len(found.listed), failed="failed, or could not be read in part")
