"""Clips that stay on one side of a split: names of one file, copies, cuts of one recording."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from videoswin_cli.data.duplicates import find_equal, find_same
from videoswin_cli.data.found_clips import Found, Notice, overlap
from videoswin_cli.data.recordings import Recordings, find_recordings
from videoswin_cli.errors import UsageError
from videoswin_cli.io.visible import name_some
from videoswin_cli.ranges import shown
from videoswin_cli.records import ListedVideo

_LONGEST = 1000  # characters of a path that a pattern is looked for in
_FEW = 3  # recordings that a notice shows
_SAME = "are the same files under other names"
_COPIES = "are copies, byte by byte"


def check_rule(rule: str) -> None:
    """Raises UsageError where a rule is neither `auto` nor `none` nor a regular expression."""
    if rule in ("auto", "none"):
        return
    try:
        re.compile(rule)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"--group {shown(rule)}: no regular expression: {error}",
            hint=r"expected auto, none, or one such as '(match\d+)', searched in the path",
        ) from error


def group_clips(found: Found, rule: str, notice: Notice) -> Found:
    """The clips with the groups that their files and names tell.

    Where there are validation clips already, only what is in both parts is said.

    Args:
        found: clips, of which none was opened.
        rule: `auto`, `none`, or a regular expression for the name of the recording in the path:
            its first group, or all that it matches.
        notice: prints what was found.

    Raises:
        UsageError: the regular expression is wrong or matches nothing.
    """
    clips = (*found.train, *(found.val or ()))
    recordings = _apply(rule, clips, found.classes, notice)
    names = {path: name for each in recordings for path, name in each.names.items()}
    if found.val is not None:
        _tell_shared(found, names, notice)
        return found
    by = "going by their names," if rule == "auto" else "by --group"
    for each in recordings:
        notice(f"{_describe(each, by=by)}; a recording stays on one side of the split (--group)")
    if recordings:
        titles = ", ".join(each.title for each in recordings)
        groups = {clip.path: names.get(video_path(clip), video_path(clip)) for clip in clips}
        found = replace(found, groups=groups, grouped_by=titles)
    return _join(found, find_same(clip.file or "" for clip in clips), notice, what=_SAME)


def join_copies(found: Found, notice: Notice) -> Found:
    """The clips with files of equal bytes in one group; reads the files that may be equal.

    Copies in given training and validation clips are only told: public data sets have some.
    """
    clips = (*found.train, *(found.val or ()))
    files = dict.fromkeys(clip.file or "" for clip in clips)
    for again in find_same(files):
        for file in again[1:]:
            del files[file]
    copies = find_equal(files)
    if found.val is None:
        return _join(found, copies, notice, what=_COPIES)
    number = {file: n for n, files in enumerate(copies) for file in files}
    trained: dict[int | None, list[ListedVideo]] = defaultdict(list)
    for clip in found.train:
        trained[number.get(clip.file or "")].append(clip)
    both = [
        (clip, own)
        for clip in found.val
        if clip.file in number
        for own in trained[number[clip.file]]
        if overlap(clip, own)
    ]
    if both:
        copy, own = both[0]
        other = sum(one.labels != two.labels for one, two in both)
        labels = f" ({other} under other classes, which cannot both be right)" if other else ""
        notice(
            f"{len({clip.path for clip, _ in both})} validation clips copy training clips, "
            f"byte by byte, such as {copy.path} of {own.path}{labels}: accuracy on new videos may "
            "be lower"
        )
    return found


def video_path(clip: ListedVideo) -> str:
    """Path of a clip without its segment."""
    return clip.path.removesuffix(f"#{clip.segment}")


def _apply(
    rule: str, clips: Sequence[ListedVideo], classes: Sequence[str], notice: Notice
) -> list[Recordings]:
    videos = {video_path(clip): clip.label or 0 for clip in clips}
    if rule == "none":
        return []
    if rule == "auto":
        return find_recordings(videos, classes)
    pattern = re.compile(rule)
    names = {}
    for path in videos:
        match = pattern.search(path[-_LONGEST:])
        if name := match and next(filter(None, match.groups()), match[0]):
            names[path] = name
    if not names:
        raise UsageError(
            f"--group {shown(rule)} matches no clip, such as {next(iter(videos), '')}",
            hint="it is searched in the path under the data folder or --root",
        )
    if alone := [path for path in videos if path not in names]:
        notice(f"--group matches {len(names)} of {len(videos)} videos, not {name_some(alone)}: "
               "each of these stands alone")  # fmt: skip
    return [Recordings(title=rule, names=names)]


def _describe(found: Recordings, *, by: str) -> str:
    """Numbers of videos and recordings, with examples."""
    paths: dict[str, list[str]] = defaultdict(list)
    for path, name in found.names.items():
        paths[name].append(path)
    several = sorted((name for name in paths if len(paths[name]) > 1), key=lambda n: paths[n][0])
    some = ", ".join(f"{name} ({', '.join(paths[name][:2])})" for name in several[:_FEW])
    return f"{len(found.names)} videos are of {len(paths)} recordings, {by} {found.title}" + (
        f": {some}" if some else ""
    )


def _tell_shared(found: Found, names: Mapping[str, str], notice: Notice) -> None:
    """Say which recordings are in given training and validation clips."""
    trained = {names[path]: path for clip in found.train if (path := video_path(clip)) in names}
    both = [clip for clip in found.val or () if names.get(video_path(clip)) in trained]
    if both:
        path = video_path(both[0])
        notice(
            f"{len(both)} validation clips are of recordings that are trained on too, by their "
            f"names, such as {path} and {trained[names[path]]} ({names[path]}): accuracy on new "
            "recordings may be lower"
        )


def _join(found: Found, sets: Sequence[Sequence[str]], notice: Notice, *, what: str) -> Found:
    """The clips with the files of each set in one group."""
    if not sets:
        return found
    clips: dict[str, list[ListedVideo]] = defaultdict(list)
    for clip in found.train:
        clips[clip.file or ""].append(clip)
    first, second = clips[sets[0][0]][0], clips[sets[0][1]][0]
    notice(
        f"{sum(map(len, sets)) - len(sets)} videos {what}, such as {second.path} of {first.path}: "
        "they stay on one side of the split"
    )
    doubtful = [
        (one, other)
        for files in sets
        for one in clips[files[0]]
        for file in files[1:]
        for other in clips[file]
        if one.labels != other.labels and overlap(one, other)
    ]
    if doubtful:
        one, other = doubtful[0]
        own, others = (
            ", ".join(found.classes[label] for label in clip.labels) for clip in doubtful[0]
        )
        notice(
            f"{len(doubtful)} of them have other labels, such as {one.path} ({own}) and "
            f"{other.path} ({others}): at most one of the two can be learned"
        )
    names = dict(found.groups) or {clip.path: video_path(clip) for clip in found.train}
    merged = _merge(
        names, ([clip.path for file in files for clip in clips[file]] for files in sets)
    )
    return replace(found, groups=merged)


def _merge(names: Mapping[str, str], sets: Iterable[Sequence[str]]) -> dict[str, str]:
    """The names with those of each set of paths made one, which is the first."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while name in above:
            name = above[name]
        return name

    for first, *others in sets:
        for other in others:
            one, two = top(names[first]), top(names[other])
            if one != two:
                above[two] = one
    return {path: top(name) for path, name in names.items()}
