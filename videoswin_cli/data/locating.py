"""Files of the videos of a list: under a root, by path or by id, with any extension."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from videoswin_cli.credentials import hide_credentials
from videoswin_cli.data.lists import ListRow, VideoList
from videoswin_cli.data.name_search import Match, NameSearch
from videoswin_cli.errors import DatasetError, LabelError
from videoswin_cli.io.addresses import is_url
from videoswin_cli.io.visible import counted, name_some
from videoswin_cli.records import NO_SUCH_FILE, ListedVideo, Segment

_FEW = 5  # examples that a message names
_LONGEST = 200  # characters of each

_Found = tuple[Match, Segment | None]  # the segment of that file which a row means


def locate(
    videos: VideoList,
    labels: Sequence[int | None],
    *,
    root: Path | str | None,
    multi_label: bool = False,
) -> tuple[list[ListedVideo], list[str]]:
    """Look for the file of every row.

    A name is taken as it stands where there is such a file, then in another spelling, then with
    other video extensions; an id without a folder is also looked for in the subfolders, first in
    that of its class. An absolute path that is not there is looked for by its tail.

    Args:
        videos: the list.
        labels: class index of each row.
        root: folder, or its address, that the names are relative to; by default that of the list.
        multi_label: several rows of one video give it several classes.

    Returns:
        Each video once, in the order of the list, and what was noticed on the way.

    Raises:
        UsageError: `root` is no folder, or one video is listed with two labels.
    """
    search = NameSearch(root or _default_root(videos))
    matches, notices = _check_tails(
        [_find(search, row, from_json=videos.format == "json") for row in videos.rows]
    )
    found: dict[str, ListedVideo] = {}
    first_names: dict[str, str] = {}  # by key, where it is another
    respelled: set[tuple[str, str]] = set()
    repeated = 0
    for row, (match, segment), label in zip(videos.rows, matches, labels, strict=True):
        key = match.path or row.name
        key = hide_credentials(key) if is_url(key) else key.replace(os.sep, "/")
        key = key if segment is None else f"{key}#{segment}"
        if key in found:
            if row.name != first_names.get(key, key):
                respelled.add((key, row.name))
            if multi_label and label is not None:
                _check_repeated(found[key], row, found[key].label, videos.source)
                more = (*found[key].more_labels, label)
                found[key] = replace(found[key], more_labels=more)
            else:
                _check_repeated(found[key], row, label, videos.source)
                repeated += 1
            continue
        if row.name != key:
            first_names[key] = row.name
        file = None if match.path is None else search.locate(match.path)
        found[key] = ListedVideo(
            path=key,
            file=file,
            label=label,
            line=row.line,
            segment=segment,
            missing=match.problem,
            frames=row.frames,
        )
    if repeated:
        otherwise = f", {len(respelled)} of them in another spelling" if respelled else ""
        notices.append(f"{counted(repeated, 'repeated row')}{otherwise}; each is scored once")
    missing = any(video.file is None for video in found.values())
    return list(found.values()), [*notices, *search.notices(missing=missing)]


def _check_repeated(video: ListedVideo, row: ListRow, label: int | None, source: str) -> None:
    """Raises DatasetError or LabelError where a row says of a video what another row does not."""
    here, there = f"{source}:{row.line}: {video.path} has", f"in line {video.line}"
    hint = "keep one of the two lines"
    if video.frames != row.frames:
        raise DatasetError(f"{here} {row.frames} frames here and {video.frames} {there}", hint=hint)
    if video.label != label:
        raise LabelError(f"{here} label {label} here and {video.label} {there}", hint=hint)


def _find(search: NameSearch, row: ListRow, *, from_json: bool) -> _Found:
    if is_url(row.name):  # which is not looked for: no other spelling, no part of it
        return search.find(row.name, row.label), row.segment
    for name in row.trimmed_names:
        match = search.find(name, row.label)
        if match.path is not None or match.ambiguous:
            return match, None
    match = search.find(row.name, row.label, of_frames=row.frames is not None)
    if from_json and match.path is None and not match.ambiguous and "/" not in row.name:
        activitynet = search.find(f"v_{row.name}", row.label)  # as its files are called
        match = match if activitynet.path is None else activitynet
    return match, row.segment


def _check_tails(found: Sequence[_Found]) -> tuple[list[_Found], list[str]]:
    """Take no file that several absolute paths end in; and what to say of such paths."""
    starts: dict[str, set[str]] = defaultdict(set)  # of absolute paths, by the file found
    for match, _ in found:
        if match.path is not None and match.stripped is not None:
            starts[match.path].add(match.stripped)
    checked: list[_Found] = []
    stripped: Counter[str] = Counter()
    for match, segment in found:
        if match.path is not None and match.stripped is not None:
            if len(starts[match.path]) > 1:
                problem = f"ambiguous: paths of several folders end in {match.path}"
                checked.append((Match(problem=problem, ambiguous=True), segment))
                continue
            stripped[match.stripped] += 1
        checked.append((match, segment))
    if not stripped:
        return checked, []
    shown = name_some([f"{start} ({count})" for start, count in stripped.most_common()])
    return checked, [
        f"{counted(stripped.total(), 'row')} with absolute paths that are not there; their "
        "files were "
        f"found under the root without {shown}"
    ]


def name_missing(listed: Sequence[ListedVideo]) -> str:
    """The first videos of a list that were not found, with what is known beyond that."""
    missing = [video for video in listed if video.file is None]
    plain = NO_SUCH_FILE  # the default
    return ", ".join(
        video.path[:_LONGEST] + ("" if video.missing == plain else f" ({video.missing})")
        for video in missing[:_FEW]
    )


def _default_root(videos: VideoList) -> Path | str:
    return Path(videos.source).parent if videos.root is None else videos.root
