"""Segments of a video as a file of ELAN, written with Python's own XML."""

import os
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from videoswin_cli.io.visible import visible
from videoswin_cli.records import ActionSegment, Timeline

_TIER = "actions"
_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"


def to_elan(timeline: Timeline, folder: Path) -> str:
    """An annotation document.

    Annotations of one tier must not overlap: what would is in tiers of its own.

    Args:
        timeline: of the video.
        folder: of the file, from which the video is found again where both were moved.
    """
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": f"videoswin {visible(timeline.model)}",
            "DATE": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    head = ElementTree.SubElement(root, "HEADER", {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"})
    ElementTree.SubElement(head, "MEDIA_DESCRIPTOR", _describe_media(timeline.video, folder))
    order = ElementTree.SubElement(root, "TIME_ORDER")
    for number, tier in enumerate(_lay_out(timeline.segments), start=1):
        name = _TIER if number == 1 else f"{_TIER} {number}"
        about = {"TIER_ID": name, "LINGUISTIC_TYPE_REF": "default-lt"}
        _add_tier(ElementTree.SubElement(root, "TIER", about), order, tier)
    kind = {"LINGUISTIC_TYPE_ID": "default-lt", "TIME_ALIGNABLE": "true"}
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", kind | {"GRAPHIC_REFERENCES": "false"})
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _describe_media(video: str, folder: Path) -> dict[str, str]:
    if "://" in video:
        return {"MEDIA_URL": visible(video), "MIME_TYPE": "video/*"}
    path = Path(video).absolute()
    found = {"MEDIA_URL": path.as_uri(), "MIME_TYPE": "video/*"}
    if path.anchor == folder.absolute().anchor:
        relative = os.path.relpath(path, folder.absolute()).replace(os.sep, "/")
        found["RELATIVE_MEDIA_URL"] = f"./{quote(os.fsencode(relative))}"
    return found


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


def _add_tier(
    tier: ElementTree.Element, order: ElementTree.Element, segments: list[ActionSegment]
) -> None:
    """Annotations of a tier, and their times, which each have a slot."""
    for segment in segments:
        slots = []
        for seconds in (segment.start, segment.end):
            slots.append(f"ts{len(order) + 1}")
            slot = {"TIME_SLOT_ID": slots[-1], "TIME_VALUE": str(_ms(seconds))}
            ElementTree.SubElement(order, "TIME_SLOT", slot)
        about = {
            "ANNOTATION_ID": f"a{len(order) // 2}",
            "TIME_SLOT_REF1": slots[0],
            "TIME_SLOT_REF2": slots[1],
        }
        annotation = ElementTree.SubElement(tier, "ANNOTATION")
        aligned = ElementTree.SubElement(annotation, "ALIGNABLE_ANNOTATION", about)
        ElementTree.SubElement(aligned, "ANNOTATION_VALUE").text = visible(segment.label)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
