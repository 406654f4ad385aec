"""The choice of a font that has the characters of a text."""

from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.ft2font import FT2Font

from videoswin_cli.report import fonts

OTHERS = Path(mpl.get_data_path(), "fonts", "ttf")
PLAIN, SYMBOLS = fonts.PLAIN, str(OTHERS / "STIXGeneral.ttf")
ANGLE = "\u29a8"  # measured angle: in STIX and not in DejaVu Sans


def test_the_first_font_that_has_every_character_is_taken() -> None:
    assert fonts.choose_font("größer Ж λ", [PLAIN, SYMBOLS]) == PLAIN
    assert fonts.choose_font(f"turn {ANGLE}", [PLAIN, SYMBOLS]) == SYMBOLS


def test_a_text_that_no_font_has_is_drawn_with_the_first() -> None:
    assert fonts.choose_font("\U0010fffd", [PLAIN, SYMBOLS]) == PLAIN


def test_a_file_that_is_no_font_has_no_characters(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_text("no font")
    assert fonts.choose_font("größer", [str(tmp_path / "broken.ttf"), PLAIN]) == PLAIN


def test_fonts_of_the_system_come_behind_the_plain_one_and_not_that_of_boxes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "fonts" / "more").mkdir(parents=True)
    for name in ("LastResort.otf", "Symbols.ttf", "more/Sans.ttc", "notes.txt"):
        (tmp_path / "fonts" / name).touch()
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    fonts._list_fonts.cache_clear()
    found = [file for file in fonts._list_fonts() if file.startswith((PLAIN, str(tmp_path)))]
    fonts._list_fonts.cache_clear()
    folder = tmp_path / "fonts"
    assert found == [PLAIN, str(folder / "more" / "Sans.ttc"), str(folder / "Symbols.ttf")]


def test_coverage_is_that_of_the_character_map() -> None:
    characters = {chr(code) for code in range(0x21, 0x2FFF) if chr(code).isprintable()}
    for font in (PLAIN, SYMBOLS):
        lacking = {ord(char) for char in characters} - set(FT2Font(font).get_charmap())
        assert fonts._count_lacking(font, characters) == len(lacking)
