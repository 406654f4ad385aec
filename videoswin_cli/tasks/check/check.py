"""Check of a data set before a run: what `videoswin check` runs."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing

from videoswin_cli.engine.progress import Reporter
from videoswin_cli.io.atomic import check_writable
from videoswin_cli.io.visible import counted
from videoswin_cli.model.label_files import list_labels
from videoswin_cli.model.loading import find_model
from videoswin_cli.options.check import CheckOptions
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import InputProtocol
from videoswin_cli.report.findings import NOTES, PROBLEMS, CheckReport, Finding
from videoswin_cli.tasks.check.clean_list import describe_lost, write_clean_list
from videoswin_cli.tasks.check.copies import check_copies, check_recordings
from videoswin_cli.tasks.check.data_set import DataSet, read_data_set
from videoswin_cli.tasks.check.facts import look_at_videos
from videoswin_cli.tasks.check.files import check_file, find
from videoswin_cli.tasks.check.labels import check_labels, count_classes

_RANKS = {kind: rank for rank, kind in enumerate((*PROBLEMS, *NOTES))}


def check_data(
    inputs: Sequence[str],
    source: SourceOptions,
    options: CheckOptions,
    reporter: Reporter,
    *,
    stdin: Iterable[str] = (),
) -> CheckReport:
    """Open every video, and hold videos, lists and classes against each other.

    Args:
        inputs: folders, files, globs and the like; none where a list is named.
        source: names the list, and what to read of the videos.
        options: what is looked for.
        reporter: takes messages and progress.
        stdin: lines that `-` stands for.

    Raises:
        UsageError: there is no video, or a list cannot be read at all.
        VideoSwinError: the disk is full.
    """
    protocol, given = _read_model(options)
    data = read_data_set(inputs, source, options, given, reporter, stdin)
    _check_outputs(data, source, options)
    findings = list(check_labels(data))
    fingerprints: dict[int, bytes] = {}
    findings += _check_files(data, options, protocol, reporter, fingerprints)
    reporter.show("comparing files")
    findings += [*check_copies(data, fingerprints), *check_recordings(data)]
    findings.sort(key=lambda each: _RANKS[each.kind])
    bad = {
        (each.split, each.path)
        for each in findings
        if each.severity == "problem" and each.path is not None
    }
    if options.write_list is not None:
        count = write_clean_list(options.write_list, data, bad)
        reporter.notice(f"{options.write_list}: {counted(count, 'video')}")
        if len(inputs) == 1 and data.parts:
            reporter.notice(
                f"its names are relative to {inputs[0]}: read it with --root {inputs[0]}"
            )
        for text in describe_lost(data, bad):
            reporter.notice(text)
    return _sum_up(data, findings, len(bad))


def _read_model(
    options: CheckOptions,
) -> tuple[InputProtocol | None, tuple[str, ...] | None]:
    """Sampling and classes that the videos are held against."""
    if options.model is None:
        return None, None if options.labels is None else list_labels(options.labels)
    found = find_model(options.model, labels=options.labels)
    return found.spec.protocol, found.labels or None


def _check_outputs(data: DataSet, source: SourceOptions, options: CheckOptions) -> None:
    lists = [source.list_file, options.val_list, options.test_list, options.labels]
    read = [*lists, *(member.video.file for member in data.members)]
    for path in (options.out, options.write_list):
        if path is not None:
            check_writable(path, inputs=read)


def _check_files(
    data: DataSet,
    options: CheckOptions,
    protocol: InputProtocol | None,
    reporter: Reporter,
    fingerprints: dict[int, bytes],
) -> Iterator[Finding]:
    """Findings of each file; fills `fingerprints` by the number of the member."""
    there = [n for n, member in enumerate(data.members) if member.video.file is not None]
    reporter.start(len(data.members), unit="video")
    for member in data.members:
        if member.video.file is None:
            yield find(member, "missing", member.video.missing)
            reporter.advance(failed=True)
    videos = [data.members[number].video for number in there]
    with closing(look_at_videos(videos, options, protocol, reporter)) as looks:
        for number, facts in zip(there, looks, strict=True):
            yield from check_file(data.members[number], facts)
            if facts.fingerprint is not None:
                fingerprints[number] = facts.fingerprint
            reporter.advance(failed=facts.failure is not None)


def _sum_up(data: DataSet, findings: Sequence[Finding], bad_videos: int) -> CheckReport:
    splits = {
        str(split): sum(member.split == split for member in data.members)
        for split in data.parts
        if split is not None
    }
    counts = count_classes(data)
    return CheckReport(
        findings=tuple(findings),
        videos=len(data.members),
        bad_videos=bad_videos,
        splits=splits,
        classes={data.classes[number]: count for number, count in counts.items()},
    )
