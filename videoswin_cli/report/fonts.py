"""Fonts for text on pictures: one of those here that has the characters of a text."""

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

# Latin, Greek, Cyrillic, Arabic and many signs.
PLAIN = str(Path(__file__).with_name("DejaVuSans.ttf"))
_LAST = "LastResort"  # has a box for every character there is
_UNDRAWN = {"\u200b", "\u200c", "\u200d", "\ufe0f"}  # joiners and the like
_NO_CHARACTER = "\uffff"  # drawn as all those that a font lacks


@lru_cache(maxsize=256)
def find_font(text: str, size: int) -> "FreeTypeFont":
    """The font for a text, `size` px high.

    DejaVu Sans where it has all characters, else the font of the system that has most of them. A
    character that the font lacks is shown as a box.
    """
    from PIL import ImageFont

    file = PLAIN if text.isascii() else choose_font(text, _list_fonts())
    return ImageFont.truetype(file, size)


def choose_font(text: str, fonts: Sequence[str]) -> str:
    """The first of the files in `fonts` that lacks fewest characters of a text."""
    wanted = {char for char in text if not char.isspace() and char not in _UNDRAWN}
    best, fewest = fonts[0], len(wanted) + 1
    for font in fonts:
        lacking = _count_lacking(font, wanted)
        if lacking < fewest:
            best, fewest = font, lacking
        if not fewest:
            break
    return best


@lru_cache(maxsize=1)
def _list_fonts() -> tuple[str, ...]:
    """Files, the plain one first, sans serif before others."""
    found = {
        str(file)
        for folder in _find_folders()
        for kind in ("ttf", "otf", "ttc")
        for file in folder.rglob(f"*.{kind}")
        if _LAST not in file.name
    }
    # Sorted: the system gives them in any order, and pictures shall be the same each time.
    return PLAIN, *sorted(found, key=lambda file: ("Sans" not in Path(file).name, file))


def _find_folders() -> Iterator[Path]:
    """Folders of fonts, of Linux, macOS and Windows."""
    home = Path.home()
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    yield from (Path(folder) / "fonts" for folder in shared.split(":") if folder)
    yield from (home / ".local/share/fonts", home / ".fonts")
    yield from (Path("/Library/Fonts"), Path("/System/Library/Fonts"), home / "Library/Fonts")
    if windows := os.environ.get("WINDIR"):
        yield Path(windows) / "Fonts"


def _count_lacking(font: str, characters: set[str]) -> int:
    """How many of the characters a font lacks; all where it cannot be read or drawn with."""
    from PIL import ImageFont

    try:
        # Not so of pictures of one size, as of emoji.
        opened = ImageFont.truetype(font, 16, layout_engine=ImageFont.Layout.BASIC)
        box = bytes(opened.getmask(_NO_CHARACTER))
        return sum(bytes(opened.getmask(char)) == box for char in characters)
    except (OSError, ValueError):
        return len(characters)
