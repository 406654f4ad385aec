"""`videoswin predict`: what happens in these videos?"""

from videoswin_cli.cli.console import ProgressBar
from videoswin_cli.cli.options import AllowPrivateRedirects, Inputs
from videoswin_cli.cli.results import check_out, end_run
from videoswin_cli.cli.stdin import stdin_paths
from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.options.run import ClassifierOptions, RunOptions
from videoswin_cli.options.source import ShardOptions, SourceOptions
from videoswin_cli.options.tasks import PredictOptions


def predict(
    inputs: Inputs = None,
    source: SourceOptions = SourceOptions(),
    model: ClassifierOptions = ClassifierOptions(),
    run: RunOptions = RunOptions(),
    options: PredictOptions = PredictOptions(),
    job: ShardOptions = ShardOptions(),
    allow_private_redirects: AllowPrivateRedirects = False,
) -> None:
    """Recognize the actions in videos.

    videoswin predict clip.mp4

    videoswin predict clips/ --views paper --out scores.jsonl

    Several processes under torchrun or srun share the videos; the first one prints.
    """
    options.check_report()

    from videoswin_cli.engine.distributed import check_stdin, find_world

    world = find_world()
    check_stdin(inputs or [], world)
    found = find_inputs(inputs or [], source, stdin=stdin_paths())
    if options.out is not None:
        check_out(options.out, inputs or [], found, source, model)
        options.check_suffix()

    from videoswin_cli.model.loading import find_chosen
    from videoswin_cli.tasks.predict.predict import predict_videos

    with ProgressBar(silent=not world.is_main) as bar:
        for text in found.notices:
            bar.notice(text)
        chosen = find_chosen(model.weights, labels=model.labels, with_head=True)
        done = predict_videos(found.listed, chosen, run, options, job, bar)
    if world.is_main:
        end_run(done, listed=len(found.listed))
