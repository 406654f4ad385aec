"""A list without the videos that have problems, in the form of the list that was checked."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from videoswin_cli.data.groups import video_path
from videoswin_cli.data.lists import VideoList
from videoswin_cli.io.atomic import FILE_NAMES, atomic_write
from videoswin_cli.io.csv_text import to_csv
from videoswin_cli.io.text_files import read_text
from videoswin_cli.io.visible import name_some
from videoswin_cli.tasks.check.data_set import DataSet, Member

_BY_LINE = (  # formats of rows that are lines, whatever the name of the file
    *("paths", "path-label", "path-labels", "id-label", "id-frames-label", "csv", "jsonl"),
    *("path-start-count-label", "moments", "ucf101"),
)
_COLUMNS = {"seconds": ("start", "end"), "frames": ("start_frame", "end_frame")}


def write_clean_list(path: Path, data: DataSet, bad: Collection[tuple[str | None, str]]) -> int:
    """Write the videos of a data set that have no problem; of several lists those of the first.

    Lines of a text list are copied as they stand, its header and comments too. Of JSON and of
    class folders it is a table, of other inputs a path per line.

    Args:
        path: where to.
        data: the videos.
        bad: split and path of the videos to leave out.

    Returns:
        Number of the videos written.

    Raises:
        VideoSwinError: the file cannot be written.
    """
    whole = data.whole
    own = {split for split, part in data.parts.items() if not whole or part.source == whole.source}
    good = [
        member
        for member in data.members
        if (not own or member.split in own) and (member.split, member.video.path) not in bad
    ]
    if whole is not None and whole.format in _BY_LINE and Path(whole.source).is_file():
        lines = _copy_lines(whole, data, good)
    elif data.parts:
        lines = _make_table(data, good)
    else:
        lines = (f"{member.video.path}\n" for member in good)
    with (
        atomic_write(path) as part,
        part.open("w", encoding="utf-8", errors=FILE_NAMES, newline="") as stream,
    ):
        stream.writelines(lines)
    return len(good)


def describe_lost(data: DataSet, bad: Collection[tuple[str | None, str]]) -> Iterator[str]:
    """Sentences on classes that have videos to train on, and none in the clean list."""
    for split in data.parts:
        if split not in (None, "train"):
            continue
        own = [member for member in data.members if member.split == split]
        left = {
            number
            for member in own
            if (split, member.video.path) not in bad
            for number in member.classes
        }
        lost = sorted({number for member in own for number in member.classes} - left)
        if lost:
            named = name_some([data.classes[number] for number in lost])
            yield f"no video is left{f' in {split}' if split else ''} of {named}"


def _copy_lines(whole: VideoList, data: DataSet, good: Sequence[Member]) -> Iterator[str]:
    """Lines of a list: those of good rows, and those before the first row."""
    kept: set[int] = set()
    for split, part in data.parts.items():
        if part.source == whole.source:
            lines = {member.video.line for member in good if member.split == split}
            # A video may be named again, for further classes.
            names = {(row.name, row.segment) for row in part.rows if row.line in lines}
            kept.update(row.line for row in part.rows if (row.name, row.segment) in names)
    rows = {row.line for row in whole.rows}
    keep = True
    for number, line in enumerate(read_text(Path(whole.source), what="list").split("\n"), start=1):
        if number in rows:
            keep = number in kept
        if keep and line:  # a cell in quotes may go on in lines that are no rows
            yield f"{line}\n"


def _make_table(data: DataSet, good: Sequence[Member]) -> Iterator[str]:
    units = [member.video.segment.unit for member in good if member.video.segment is not None]
    times = _COLUMNS[units[0]] if units else ()
    split = ("split",) if len(data.parts) > 1 else ()
    yield to_csv([("path", "label", *times, *split)])
    for member in good:
        segment = member.video.segment
        span = (
            () if not times else (None, None) if segment is None else (segment.start, segment.end)
        )
        labels = ";".join(data.spellings[number][0] for number in member.classes)
        yield to_csv([(video_path(member.video), labels, *span, *(split and (member.split,)))])
