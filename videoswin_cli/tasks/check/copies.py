"""Findings of videos that are there more than once, and of what two splits have in common."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from videoswin_cli.data.duplicates import find_equal, find_same
from videoswin_cli.data.fingerprints import find_near
from videoswin_cli.data.found_clips import overlap
from videoswin_cli.data.groups import video_path
from videoswin_cli.data.recordings import find_recordings
from videoswin_cli.io.visible import counted
from videoswin_cli.ranges import shown
from videoswin_cli.report.findings import Finding, FindingKind
from videoswin_cli.tasks.check.data_set import DataSet, Member
from videoswin_cli.tasks.check.files import find

# Of a leak the video of the earlier split is named, and left out of a clean list: figures of the
# others keep their videos.
_ORDER = {"train": 0, "val": 2, "test": 3}  # 1: any other split

_SAME, _EQUAL, _NEAR = "is the same file as", "has the same bytes as", "looks the same as"


def check_copies(data: DataSet, fingerprints: Mapping[int, bytes]) -> Iterator[Finding]:
    """Findings of files that are one, equal, or look the same.

    Args:
        data: videos; those without a file are left out.
        fingerprints: by the number of the member.
    """
    by_file: dict[str, list[Member]] = defaultdict(list)
    for member in data.members:
        if member.video.file is not None:
            by_file[member.video.file].append(member)
    for members in by_file.values():
        if len({member.split for member in members}) > 1:
            yield from _compare(members, _SAME, data)
    same = find_same(by_file)
    for files in same:
        yield from _compare([m for file in files for m in by_file[file]], _SAME, data)
    again = {file for files in same for file in files[1:]}
    equal = find_equal(file for file in by_file if file not in again)
    for files in equal:
        yield from _compare([m for file in files for m in by_file[file]], _EQUAL, data)
    again |= {file for files in equal for file in files[1:]}
    numbers = [n for n in fingerprints if data.members[n].video.file not in again]
    for group in find_near([fingerprints[n] for n in numbers]):
        yield from _compare([data.members[numbers[n]] for n in group], _NEAR, data)


def check_recordings(data: DataSet) -> Iterator[Finding]:
    """Recordings that the names of videos tell, with videos in several splits."""
    if len(data.parts) < 2:
        return
    videos = {
        video_path(member.video): member.classes[0] if member.classes else 0
        for member in data.members
    }
    names = {
        path: name
        for each in find_recordings(videos, data.classes)
        for path, name in each.names.items()
    }
    clips: dict[str, list[Member]] = defaultdict(list)
    for member in data.members:
        if (name := names.get(video_path(member.video))) is not None:
            clips[name].append(member)
    for name, members in clips.items():
        first = members[0]
        other = next((member for member in members if member.split != first.split), None)
        if other is not None and video_path(first.video) != video_path(other.video):
            text = f"{counted(len(members), 'video')} of {shown(name)}, also in {other.split}"
            yield find(first, "recording", text, other)


def _compare(members: Sequence[Member], how: str, data: DataSet) -> Iterator[Finding]:
    """Findings of members that are one video, or parts of one."""
    ordered = sorted(members, key=lambda member: _ORDER.get(member.split or "", 1))
    for place, member in enumerate(ordered):
        before = (other for other in ordered[:place] if _share(member, other, how))
        after = (other for other in ordered[place + 1 :] if _share(member, other, how))
        leaked = next((other for other in after if other.split != member.split), None)
        again = next((other for other in before if _is_copy(member, other)), None)
        if leaked is not None:
            yield find(member, "leak", f"{how} {leaked.video.path} of {leaked.split}", leaked)
        elif again is not None:
            kind: FindingKind = "near-duplicate" if how == _NEAR else "duplicate"
            text = f"{how} {again.video.path}"
            if how == _NEAR and again.classes != member.classes:
                text = _tell_apart(member, again, how, data)
            yield find(member, kind, text, again)
        if how != _NEAR and not data.multi_label:
            yield from _find_dispute(member, ordered, how, data)


def _find_dispute(
    member: Member, others: Sequence[Member], how: str, data: DataSet
) -> Iterator[Finding]:
    """A finding where the same frames have other classes elsewhere."""
    for other in others:
        disputed = member.classes and other.classes and other.classes != member.classes
        if disputed and _share(member, other, how):
            yield find(member, "two-labels", _tell_apart(member, other, how, data), other)
            return


def _tell_apart(member: Member, other: Member, how: str, data: DataSet) -> str:
    own, their = (
        " and ".join(shown(data.classes[number]) for number in one.classes) or "no class"
        for one in (member, other)
    )
    return f"{own} here; it {how} {other.video.path}, which is {their}"


def _share(one: Member, other: Member, how: str) -> bool:
    """Whether members of one content have frames in common."""
    if how == _NEAR:  # by the frames of just their parts
        return one.video.file != other.video.file
    return overlap(one.video, other.video)


def _is_copy(one: Member, other: Member) -> bool:
    return one.split == other.split and one.video.file != other.video.file
