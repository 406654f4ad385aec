"""`videoswin explain`: where in a video, and when, is what speaks for a class?"""

from pathlib import Path
from typing import Annotated

import typer

from videoswin_cli.cli.console import ProgressBar, result
from videoswin_cli.cli.options import AllowPrivateRedirects
from videoswin_cli.cli.results import check_outside
from videoswin_cli.cli.splice import option_of
from videoswin_cli.data.inputs import find_inputs
from videoswin_cli.errors import OutputExistsError, UsageError
from videoswin_cli.io.addresses import is_web
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.io.visible import counted
from videoswin_cli.options.fields import fill
from videoswin_cli.options.run import ClassifierOptions, RunOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.options.tasks import ExplainOptions
from videoswin_cli.report.percent import percent


def explain(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A file or URL.")],
    model: ClassifierOptions = ClassifierOptions(),
    run: RunOptions = RunOptions(workers=0),
    start: Annotated[str | None, option_of(SourceOptions(), "start")] = None,
    end: Annotated[str | None, option_of(SourceOptions(), "end")] = None,
    options: ExplainOptions = ExplainOptions(),
    allow_private_redirects: AllowPrivateRedirects = False,
) -> None:
    """Show where and when a video speaks for a class: Grad-CAM on its frames.

    videoswin explain clip.mp4 --out clip.gif

    videoswin explain clip.mp4 --class "arm wrestling" --contact-sheet sheet.png
    """
    times = {name: value for name, value in (("start", start), ("end", end)) if value is not None}
    found = find_inputs([video], fill(SourceOptions(), times))
    if len(found.listed) != 1:
        raise UsageError(f"{video}: {len(found.listed)} videos", hint="explain takes one")
    (listed,) = found.listed
    out = options.out
    if out is None and options.contact_sheet is None and options.npy is None:
        out = Path(f"{_find_stem(listed.part.path)}.explained.mp4")
    beside = options.npy and options.npy.with_suffix(".json")
    weights = [model.weights.model, model.weights.checkpoint, model.labels]
    for path in (out, options.contact_sheet, options.npy, beside):
        if path is not None:
            check_writable(path, inputs=[listed.file, *weights])
            check_outside(path, [listed])
    if options.npy and beside and options.npy.exists() != beside.exists():
        there, other = sorted((options.npy, beside), key=Path.exists, reverse=True)
        raise OutputExistsError(
            f"{there} exists, and {other} does not: it may be of something else",
            hint="choose another name for --npy, which writes both, or remove it",
        )

    from videoswin_cli.engine.progress import Monitor
    from videoswin_cli.engine.runner import open_runner
    from videoswin_cli.model.loading import find_chosen
    from videoswin_cli.tasks.explain.explain import explain_video

    with ProgressBar() as bar:
        for text in found.notices:
            bar.notice(text)
        chosen = find_chosen(model.weights, labels=model.labels, with_head=True)
        runner = open_runner(chosen, run, with_head=True, reporter=bar)
        explanation = explain_video(runner, listed, options, Monitor(reporter=bar))
        notes = list(explanation.notes)
        if out is not None:
            notes += explanation.write_video(out)
        if options.contact_sheet is not None:
            explanation.write_contact_sheet(options.contact_sheet)
        if options.npy is not None:
            explanation.write_npy(options.npy)
        for text in notes:
            bar.notice(f"{listed.path}: {text}")
    each, clips = explanation.explained, explanation.clips
    result(
        f"{listed.path}  {each.label} {percent(each.prob, 2)}%  (stage {explanation.stage} of "
        f"{explanation.model}, {explanation.views} views, "
        f"{counted(len(explanation.times), 'frame')} from "
        f"{min(clips)[0]:.2f} to {max(end for _, end in clips):.2f} s)"
    )
    for path in (out, options.contact_sheet, options.npy):
        if path is not None:
            result(path)


def _find_stem(ref: str) -> str:
    """Name of a file without its suffix, or of a folder, be it `.`."""
    path = Path(ref.partition("?")[0] if is_web(ref) else ref)
    return path.resolve().name if path.is_dir() else path.stem
