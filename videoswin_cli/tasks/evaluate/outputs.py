"""Files that an evaluation leaves beside its dump, in its folder, or where options say."""

from typing import TYPE_CHECKING

from videoswin_cli.engine.progress import Reporter
from videoswin_cli.errors import UsageError
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.options.tasks import EvalOptions
from videoswin_cli.tasks.evaluate.summary import Evaluation

if TYPE_CHECKING:
    from pathlib import Path


def check_outputs(options: EvalOptions) -> None:
    """Raises UsageError where a file could not be written at the end."""
    for path in (options.per_class, options.confusion):
        if path is not None:
            check_writable(path)
    if options.out is not None:
        if options.out.exists() and not options.out.is_dir():
            raise UsageError(f"--out {options.out} is a file: expected a folder")
        options.out.mkdir(parents=True, exist_ok=True)
        check_writable(options.out / "result.json")


def write_outputs(evaluation: Evaluation, options: EvalOptions, reporter: Reporter) -> None:
    """Write what was asked for, and report the videos that failed."""
    if options.per_class is not None:
        evaluation.write_class_accuracies(options.per_class)
    if options.confusion is not None:
        evaluation.write_confusions(options.confusion)
    files: list[Path] = []
    if options.dump is not None:
        files.append(options.dump.with_name(f"{options.dump.name}.failed.jsonl"))
        evaluation.write_failed(files[0])
    if options.out is not None:
        evaluation.write(options.out)
        files.append(options.out / "failed.jsonl")
    failed = evaluation.failed
    if failed:
        where = f"see {files[0]}" if files else name_some([video.path for video in failed])
        reporter.notice(
            f"{len(failed)} of {counted(len(evaluation.videos), 'video')} failed: {where}"
        )
