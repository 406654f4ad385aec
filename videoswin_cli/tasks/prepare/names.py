"""Names of outputs: one for each video, as the videos' own, and none twice."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path, PurePosixPath

from videoswin_cli.data.groups import video_path
from videoswin_cli.data.lists.names import ends_as_video, trimmed_names
from videoswin_cli.io.paths import file_below
from videoswin_cli.records import ListedVideo


def name_outputs(
    videos: Sequence[ListedVideo], *, suffix: str, before: Mapping[str, str]
) -> dict[str, str]:
    """Output of each video by its path, relative to the folder of all; none where no name is left.

    `a/b.avi` becomes `a/b.mp4`, and `a/b.avi.mp4` where another video has that name, in whatever
    case. A part is named as those of Kinetics are: `b_000010_000020.mp4`.

    Args:
        videos: in order.
        suffix: of the outputs; empty for folders.
        before: names that an earlier run gave; they stay.
    """
    places = {video.path: file_below(Path(), video_path(video), "") for video in videos}
    folders = {
        str(above).casefold() for place in places.values() if place for above in place.parents
    }
    names = {path: before[path] for path in places if path in before}
    taken = {name.casefold() for name in before.values()}
    own_first = sorted(videos, key=lambda video: not video_path(video).endswith(suffix))
    for video in own_first:
        place = places[video.path]
        if place is None or video.path in names:
            continue
        for name in _candidates(PurePosixPath(place), video, suffix):
            if name.casefold() not in taken and name.casefold() not in folders:
                names[video.path] = name
                taken.add(name.casefold())
                break
    return names


def _candidates(place: PurePosixPath, video: ListedVideo, suffix: str) -> Iterator[str]:
    stem = place.with_suffix("") if ends_as_video(place.name) else place
    part = ""
    if video.segment is not None:
        trimmed = trimmed_names(place.name, video.segment)
        part = trimmed[0].removeprefix(stem.name) if trimmed else f"_{video.segment}"
    yield f"{stem}{part}{suffix}"
    yield f"{place}{part}{suffix}"
    yield from (f"{place}{part}-{number}{suffix}" for number in count(2))
