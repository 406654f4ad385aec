"""Sources in, one page out: what `videoswin report` runs."""

from collections.abc import Sequence
from pathlib import Path

from videoswin_cli.engine.progress import Reporter
from videoswin_cli.errors import MissingInputError, UsageError
from videoswin_cli.io.atomic import check_no_stream, check_writable
from videoswin_cli.options.report import ReportOptions
from videoswin_cli.report.pages.contents import EvaluationSection, Page, Section
from videoswin_cli.report.pages.environment import describe_environment
from videoswin_cli.report.pages.render import write_page
from videoswin_cli.tasks.report.comparison import compare_dumps
from videoswin_cli.tasks.report.dumps import Dump, read_described
from videoswin_cli.tasks.report.evaluations import describe_dump
from videoswin_cli.tasks.report.strips import Strips
from videoswin_cli.tasks.report.timelines import (
    describe_timeline,
    holds_timelines,
    read_timelines,
)
from videoswin_cli.tasks.report.training_runs import METRICS, describe_run

_DUMPS = (".jsonl", ".npz", ".pkl")


def write_report(
    sources: Sequence[Path],
    options: ReportOptions,
    reporter: Reporter,
) -> Page:
    """Write one page of dumps, runs and timelines, in this order.

    Args:
        sources: files and folders; several dumps are compared with the first.
        options: where to, and what is shown.
        reporter: of progress.

    Raises:
        UsageError: a source cannot be read, or is none of these.
    """
    check_writable(options.out, inputs=sources)
    if options.root is not None and not options.root.is_dir():
        raise MissingInputError(f"--root {options.root}: no such folder")
    dumps: list[Dump] = []
    runs: list[Section] = []
    timelines: list[Section] = []
    for source in sources:
        kind = find_kind(source)
        if kind == "run":
            runs.append(describe_run(source))
        elif kind == "timelines":
            found = read_timelines(source)
            timelines += [describe_timeline(each, options.root, options.out) for each in found]
        else:
            dumps.append(read_described(source, options))
    strips = Strips(options.root)
    evaluations: list[EvaluationSection] = []
    reporter.start(len(dumps), unit="dump")
    for dump in dumps:
        evaluations.append(describe_dump(dump, strips, examples=options.examples))
        reporter.advance()
    sections = [*evaluations, *runs, *timelines]
    page = Page(
        title=sections[0].title if len(sections) == 1 else f"{len(sections)} results",
        sections=sections,
        comparison=compare_dumps(dumps, evaluations) if len(dumps) > 1 else None,
        environment=describe_environment(),
    )
    write_page(options.out, page)
    return page


def find_kind(source: Path) -> str:
    """`dump`, `run` or `timelines`.

    Raises:
        UsageError: no such file or folder, or another kind.
    """
    hint = (
        "expected a dump of `eval --dump` (.jsonl, .npz, .pkl), the folder of a fine-tuning run, "
        "or a timeline (.json, .jsonl)"
    )
    if not source.exists():
        raise MissingInputError(f"{source}: no such file or folder", hint=hint)
    if source.is_dir():
        if (source / METRICS).exists():
            return "run"
        if found := _find_timelines(source):
            raise UsageError(
                f"{source} is a folder of timelines, not of a run",
                hint=f"name its files, such as {found[0]}; timeline --out FILE.json writes all "
                "of them into one",
            )
        raise UsageError(f"{source} is no folder of a run: it holds no {METRICS}", hint=hint)
    check_no_stream(source)
    if source.suffix == ".json" or (source.suffix == ".jsonl" and holds_timelines(source)):
        return "timelines"
    if source.suffix in _DUMPS:
        return "dump"
    raise UsageError(f"{source}: unknown kind of source {source.suffix!r}", hint=hint)


def _find_timelines(folder: Path) -> list[Path]:
    """Files of timelines in a folder that `timeline --out DIR/` wrote, index and all."""
    if not (folder / "index.csv").is_file():
        return []
    return sorted(path for path in folder.rglob("*.json*") if path.suffix in (".json", ".jsonl"))
