"""Segments of a video as a file of ELAN, which pympi writes."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from videoswin_cli.io.visible import visible
from videoswin_cli.records import ActionSegment, Timeline

_TIER = "actions"


def to_elan(timeline: Timeline, folder: Path) -> str:
    """An annotation document.

    Annotations of one tier must not overlap: what would is in tiers of its own.

    Args:
        timeline: of the video.
        folder: of the file, from which the video is found again where both were moved.
    """
    from pympi.Elan import Eaf, to_eaf

    document = Eaf(author=f"videoswin {_clean(timeline.model)}")
    document.remove_tier("default")
    address, relative = _name_media(timeline.video, folder)
    document.add_linked_file(address, relpath=relative, mimetype="video/*")
    for number, tier in enumerate(_lay_out(timeline.segments), start=1):
        name = _TIER if number == 1 else f"{_TIER} {number}"
        document.add_tier(name)
        for segment in tier:
            start, end = _ms(segment.start), _ms(segment.end)
            document.add_annotation(name, start, end, _clean(segment.label))
    with TemporaryDirectory() as made:
        file = Path(made, "timeline.eaf")
        to_eaf(str(file), document)
        return file.read_text(encoding="utf-8")


def _clean(text: str) -> str:
    """Text that XML can hold."""
    return visible(text).encode("utf-8", "backslashreplace").decode("utf-8")


def _name_media(video: str, folder: Path) -> tuple[str, str | None]:
    """Address of the video, and its path from the folder where it has one."""
    if "://" in video:
        return _clean(video), None
    path = Path(video).absolute()
    if path.anchor != folder.absolute().anchor:
        return path.as_uri(), None
    relative = os.path.relpath(path, folder.absolute()).replace(os.sep, "/")
    return path.as_uri(), f"./{quote(os.fsencode(relative))}"


def _lay_out(segments: tuple[ActionSegment, ...]) -> list[list[ActionSegment]]:
    """Segments in tiers without overlap, as few as can be; at least one."""
    tiers: list[list[ActionSegment]] = [[]]
    for segment in segments:
        free = (tier for tier in tiers if not tier or _ms(tier[-1].end) <= _ms(segment.start))
        tier = next(free, None)
        if tier is None:
            tiers.append([segment])
        else:
            tier.append(segment)
    return tiers


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
