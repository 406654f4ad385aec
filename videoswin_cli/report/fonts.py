"""Fonts for text on pictures: one of those here that has the characters of a text."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_PLAIN = "DejaVuSans.ttf"  # of matplotlib: Latin, Greek, Cyrillic, Arabic and many signs
_LAST = "LastResort"  # has a box for every character there is
_UNDRAWN = {"\u200b", "\u200c", "\u200d", "\ufe0f"}  # joiners and the like


@lru_cache(maxsize=256)
def find_font(text: str, size: int) -> "FreeTypeFont":
    """The font for a text, `size` px high.

    matplotlib's DejaVu Sans where it has all characters, else the font of matplotlib or of the
    system that has most of them. A character that the font lacks is shown as a box.
    """
    from PIL import ImageFont

    plain = text.isascii()
    file = str(_folder() / _PLAIN) if plain else choose_font(text, _list_fonts())
    return ImageFont.truetype(file, size)


def choose_font(text: str, fonts: Sequence[str]) -> str:
    """The first of the files in `fonts` that lacks fewest characters of a text."""
    wanted = {ord(char) for char in text if not char.isspace() and char not in _UNDRAWN}
    best, fewest = fonts[0], len(wanted) + 1
    for font in fonts:
        lacking = len(wanted - _characters(font))
        if lacking < fewest:
            best, fewest = font, lacking
        if not fewest:
            break
    return best


@lru_cache(maxsize=1)
def _list_fonts() -> tuple[str, ...]:
    """Files, the plain one first, sans serif before others."""
    return tuple(dict.fromkeys(_find_fonts()))


def _find_fonts() -> Iterator[str]:
    yield str(_folder() / _PLAIN)
    from matplotlib.font_manager import findSystemFonts

    # Sorted: the system gives them in any order, and pictures shall be the same each time.
    others = sorted(findSystemFonts(), key=lambda file: ("Sans" not in Path(file).name, file))
    yield from others
    yield from (str(file) for file in sorted(_folder().glob("*.ttf")) if _LAST not in file.name)


def _folder() -> Path:
    """Fonts of matplotlib, whose import would take half a second."""
    found = find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "mpl-data" / "fonts" / "ttf"


@lru_cache(maxsize=1024)
def _characters(font: str) -> frozenset[int]:
    """Code points that a font has; none where it cannot be read or drawn with."""
    from matplotlib.ft2font import FT2Font
    from PIL import ImageFont

    try:
        ImageFont.truetype(font, 16)  # not so of pictures of one size, as of emoji
        return frozenset(FT2Font(font).get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()
