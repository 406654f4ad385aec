"""Names of the pictures in a folder: those that are the frames of a video, and their order."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from videoswin_cli.errors import VideoError
from videoswin_cli.io.visible import name_some
from videoswin_cli.options.parsers import Template, split_template

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

_NUMBERED = re.compile(r"(.*?)([0-9]{1,18})(\.(?:jpe?g|png|webp))", re.IGNORECASE | re.DOTALL)
# Beside RGB frames; `x_` and `y_`, or `u_` and `v_`, where there are both.
_FLOW = re.compile(r"(?:optical[-_. ]?)?flow(?:[-_. ]?[xyuv])?[-_. ]?", re.IGNORECASE)
_FLOW_PAIRS = (("x", "y"), ("u", "v"))
_FLOW_FOLDERS = frozenset({"flow", "flowx", "flowy", "opticalflow", "x", "y", "u", "v"})

_Groups = Mapping[tuple[str, str], Sequence[str]]  # digits by what is before and behind them


@dataclass(frozen=True, kw_only=True)
class FrameNames:
    """Names of the frames of a folder, numbered without a gap."""

    template: Template
    first: int  # number of the first picture
    count: int
    notes: tuple[str, ...] = ()  # what was left out

    def name(self, frame: int) -> str:
        """File name of a frame, counted from 0."""
        return self.template.name(self.first + frame)


def list_names(folder: str | Path) -> list[str]:
    """Names in a folder that are pictures by their suffix; hidden ones are left out.

    Raises:
        OSError: it cannot be read.
    """
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if is_picture_name(entry.name)]


def is_picture_name(name: str) -> bool:
    """Whether a name has the suffix of a picture, and is not hidden."""
    return name[0] != "." and os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES  # noqa: PTH122


def holds_frames(names: Iterable[str]) -> bool:
    """Whether pictures of these names are numbered as frames are: two or more, no optical flow."""
    rgb, _ = _split_flow(_group(names))
    return sum(map(len, rgb.values())) > 1


def is_flow_folder(name: str) -> bool:
    """Whether a folder beside or below frames is called as one of optical flow."""
    return re.sub(r"[-_. ]", "", name.lower()) in _FLOW_FOLDERS


def find_frames(folder: str, names: Sequence[str], template: str | None) -> FrameNames:
    """The frames among the pictures of a folder.

    Args:
        folder: what errors call it.
        names: of its pictures.
        template: such as `img_{:05}.jpg`; by default the only one that fits.

    Raises:
        VideoError: there are none, several numberings, or a number is missing.
    """
    if not names:
        raise VideoError(
            f"{folder}: this is a folder without pictures",
            hint="Name the video files in it, or a folder of numbered .jpg, .png or .webp files.",
        )
    notes: tuple[str, ...] = ()
    if template is None:
        found, digits, notes = _guess(folder, names)
    else:
        found = split_template(template)
        digits = _matching(folder, names, found)
    numbers = sorted(map(int, digits))
    for before, after in pairwise(numbers):
        if after > before + 1:
            raise VideoError(
                f"{folder}: {found.name(before + 1)} is missing: {len(numbers)} pictures are "
                f"there from {found.name(numbers[0])} to {found.name(numbers[-1])}",
                hint="Frames are numbered without a gap: write the missing ones, or renumber.",
            )
    return FrameNames(template=found, first=numbers[0], count=len(numbers), notes=notes)


def _guess(folder: str, names: Sequence[str]) -> tuple[Template, Sequence[str], tuple[str, ...]]:
    """The template of the frames, their digits, and notes on the pictures left out."""
    every = _group(names)
    rgb, flow = _split_flow(every)
    if not rgb:
        what = "of optical flow only" if flow else "without a number at the end of their names"
        raise VideoError(
            f"{folder}: {len(names)} pictures {what}, such as {min(names)}",
            hint="Which of them are the frames? Say it, such as --frame-template img_{:05}.jpg.",
        )
    if len(rgb) > 1:
        kinds = [
            f"{prefix}{min(digits)}{suffix} ({len(digits)})"
            for (prefix, suffix), digits in sorted(rgb.items(), key=lambda item: -len(item[1]))
        ]
        raise VideoError(
            # In the message, as a row of results shows no hint.
            f"{folder}: pictures of {len(rgb)} numberings: {name_some(kinds)}; choose one, such as "
            "--frame-template img_{:05}.jpg",
        )
    (((prefix, suffix), digits),) = rgb.items()
    width = min(map(len, digits))
    template = Template(prefix=prefix, width=width, suffix=suffix)
    odd = [text for text in digits if f"{int(text):0{width}d}" != text]
    if odd:
        regular = next(text for text in digits if len(text) == width)
        raise VideoError(
            f"{folder}: numbers are padded in two ways: {prefix}{regular}{suffix} and "
            f"{prefix}{min(odd)}{suffix}",
            hint=f"Choose one, such as --frame-template '{template}'.",
        )
    notes = []
    if flow:
        notes.append(f"{sum(map(len, flow.values()))} pictures of optical flow are left out")
    if others := len(names) - sum(map(len, every.values())):
        noun = "picture is" if others == 1 else "pictures are"
        notes.append(f"{others} {noun} without a number at the end of the name: left out")
    return template, digits, tuple(notes)


def _matching(folder: str, names: Sequence[str], template: Template) -> list[str]:
    """Digits of the names that a template makes."""
    start, end = len(template.prefix), len(template.suffix)
    digits = [
        text
        for name in names
        if name.startswith(template.prefix) and name.endswith(template.suffix)
        if (text := name[start : len(name) - end]).isascii()
        and text.isdigit()
        and template.name(int(text)) == name
    ]
    if not digits:
        raise VideoError(
            f"{folder}: no picture is called as --frame-template {template} says; there are "
            f"{len(names)}, such as {min(names)}"
        )
    return digits


def _group(names: Iterable[str]) -> _Groups:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            groups[match[1], match[3]].append(match[2])
    return groups


def _split_flow(groups: _Groups) -> tuple[_Groups, _Groups]:
    """Groups of frames, and those of optical flow."""
    bare = Counter(prefix.lower().strip("-_. ") for prefix, _ in groups)
    paired = {name for pair in _FLOW_PAIRS if all(bare[one] for one in pair) for name in pair}
    flow = {
        key: digits
        for key, digits in groups.items()
        if _FLOW.fullmatch(key[0]) or key[0].lower().strip("-_. ") in paired
    }
    return {key: digits for key, digits in groups.items() if key not in flow}, flow
