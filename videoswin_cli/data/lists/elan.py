"""Annotations of a video as ELAN writes them (.eaf, an XML file)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

from videoswin_cli.data.lists.columns import Entry
from videoswin_cli.data.lists.json_tables import KEY
from videoswin_cli.errors import DatasetError
from videoswin_cli.io.visible import name_some

_ROOT = "ANNOTATION_DOCUMENT"
_HEAD = re.compile(rf"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<{_ROOT}[\s>]", re.DOTALL)
_LOOKED_AT = 10_000  # characters


def is_elan(text: str) -> bool:
    return _HEAD.match(text[:_LOOKED_AT]) is not None


def read_elan(text: str, path: Path, notices: list[str]) -> Iterator[Entry]:
    """Entries of the annotations that have times of their own, of all tiers.

    Args:
        text: of the file.
        path: of the file, for messages.
        notices: what is left out is added.

    Raises:
        DatasetError: not XML of ELAN, without a video, or with an annotation without a time.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # which ELAN does not write
        raise DatasetError(
            f"{path}: expected a file of ELAN, found XML with definitions of its own"
        )
    try:
        root = ElementTree.fromstring(text.encode("utf-8"), _utf8_parser())
    except ElementTree.ParseError as error:
        raise DatasetError(f"{path}: not a readable file of ELAN: {error}") from error
    if root.tag != _ROOT:
        raise DatasetError(f"{path}: expected XML of {_ROOT}, found {root.tag}")
    name = _read_media(root, path)
    times = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    empty = number = 0
    for number, each in enumerate(root.iter("ALIGNABLE_ANNOTATION"), start=1):
        label = (each.findtext("ANNOTATION_VALUE") or "").strip()
        if not label:
            empty += 1
            continue
        start, end = (
            _read_seconds(times, each.get(key), f"{path}:{number}")
            for key in ("TIME_SLOT_REF1", "TIME_SLOT_REF2")
        )
        values = {KEY: name, "start": start, "end": end, "label": label}
        yield Entry(line=number, values=values)
    if empty:
        notices.append(f"{path}: {empty} of {number} annotations have no text: left out")
    tiers = [tier.get("TIER_ID", "") for tier in root.iter("TIER") if len(tier)]
    if len(tiers) > 1:
        notices.append(f"{path}: the annotations of all tiers are taken: {name_some(tiers)}")


def _utf8_parser() -> ElementTree.XMLParser:
    """Of text that was decoded already, whatever encoding its first line names."""
    return ElementTree.XMLParser(encoding="utf-8")


def _read_media(root: ElementTree.Element, path: Path) -> str:
    """The video: the first one of the media, as an absolute path, or else the relative one."""
    for media in root.iter("MEDIA_DESCRIPTOR"):
        for key in ("MEDIA_URL", "RELATIVE_MEDIA_URL"):
            if url := media.get(key, ""):
                if "://" in url and not url.startswith("file://"):
                    return url
                name = unquote(url.removeprefix("file://"))
                return name[1:] if re.match(r"/[A-Za-z]:", name) else name
    raise DatasetError(f"{path}: no video is linked", hint="link it in ELAN (Edit, Linked Files)")


def _read_seconds(times: Mapping[str | None, str | None], slot: str | None, where: str) -> float:
    value = times.get(slot)
    if value is None or re.fullmatch(r"[0-9]{1,12}", value) is None:
        raise DatasetError(
            f"{where}: an annotation without a start or an end in milliseconds",
            hint="align it in ELAN, or remove it",
        )
    return int(value) / 1000
