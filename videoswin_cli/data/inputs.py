"""Videos of a run: what the user named, or the rows of a list, and the part of each to read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.data.lists import VideoList, read_list
from videoswin_cli.data.lists.splits import describe_splits
from videoswin_cli.data.locating import locate, name_missing
from videoswin_cli.data.segments import make_segment
from videoswin_cli.data.sources import expand_inputs
from videoswin_cli.errors import UsageError
from videoswin_cli.io.visible import counted
from videoswin_cli.options.source import SourceOptions
from videoswin_cli.records import ListedVideo


@dataclass(frozen=True, kw_only=True)
class FoundVideos:
    """Videos in order, and what to say about how they were found."""

    listed: tuple[ListedVideo, ...]
    notices: tuple[str, ...]


def find_inputs(
    inputs: Sequence[str], source: SourceOptions, *, stdin: Iterable[str] = ()
) -> FoundVideos:
    """All videos that are named or listed, without labels.

    Args:
        inputs: files, folders, globs, @list.txt, `-` or URLs; none where a list is named.
        source: names the list, and what to read of the videos.
        stdin: lines that `-` stands for.

    Raises:
        UsageError: both or neither are named, there is no video, or the list cannot be read.
    """
    if bool(inputs) == (source.list_file is not None):
        raise UsageError("expected one source of videos", hint="give INPUT... or --list FILE")
    if source.list_file is None:
        found = expand_inputs(inputs, stdin=stdin, all_files=source.all_files)
        videos = FoundVideos(
            listed=tuple(
                ListedVideo(path=hide_credentials(path), file=path, label=None, line=number)
                for number, path in enumerate(found.videos, start=1)
            ),
            notices=found.notices,
        )
    else:
        rows = read_list(
            source.list_file,
            format=source.list_format,
            labelled=False,
            split=source.split,
            label_column=source.label_column,
        )
        videos = _locate(rows, source)
    return replace(videos, listed=tuple(cut(videos.listed, source)))


def cut(listed: Sequence[ListedVideo], source: SourceOptions) -> list[ListedVideo]:
    """The first `--limit` videos, from `--start` to `--end`.

    Raises:
        UsageError: the end is not after the start, or the list has times of its own.
    """
    chosen = list(listed[: source.limit])
    segment = make_segment(source.start, source.end)
    if segment is None:
        return chosen
    if timed := next((video for video in chosen if video.segment is not None), None):
        raise UsageError(
            f"--start and --end do not fit a list with times of its own: {timed.path}",
            hint="leave them out, or take the times out of the list",
        )
    # The key says it, as that of a segment of a list does: results of other times are others.
    return [replace(video, path=f"{video.path}#{segment}", segment=segment) for video in chosen]


def _locate(rows: VideoList, source: SourceOptions) -> FoundVideos:
    notices = [f"{rows.source}: {counted(len(rows.rows), 'row')} ({rows.format})", *rows.notices]
    if source.split is None and len(rows.splits) > 1:
        splits = describe_splits(rows.splits)
        notices.append(f"all splits are taken: {splits}; --split NAME chooses one")
    listed, more = locate(rows, [None] * len(rows.rows), root=source.root)
    if all(video.file is None for video in listed):
        root = source.root or (source.list_file and source.list_file.parent)
        raise UsageError(
            f"{describe_found(listed)} under {root}",
            hint="is --root the folder that the names in the list are relative to?",
        )
    return FoundVideos(listed=tuple(listed), notices=(*notices, *more, describe_found(listed)))


def describe_found(listed: Sequence[ListedVideo]) -> str:
    """Number of videos of a list that were found, and some that were not."""
    found = sum(video.file is not None for video in listed)
    missing = f"; missing: {name_missing(listed)}" if found < len(listed) else ""
    return f"{found} of {counted(len(listed), 'video')} found{missing}"
