"""The choice of a font that has the characters of a text."""

from pathlib import Path

import pytest

from videoswin_cli.report import fonts

OWN = fonts._folder()
PLAIN, SYMBOLS = str(OWN / "DejaVuSans.ttf"), str(OWN / "STIXGeneral.ttf")
ANGLE = "\u29a8"  # measured angle: in STIX and not in DejaVu Sans


def test_the_first_font_that_has_every_character_is_taken() -> None:
    assert fonts.choose_font("größer Ж λ", [PLAIN, SYMBOLS]) == PLAIN
    assert fonts.choose_font(f"turn {ANGLE}", [PLAIN, SYMBOLS]) == SYMBOLS


def test_a_text_that_no_font_has_is_drawn_with_the_first() -> None:
    assert fonts.choose_font("\U0010fffd", [PLAIN, SYMBOLS]) == PLAIN


def test_a_file_that_is_no_font_has_no_characters(tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_text("no font")
    assert fonts.choose_font("größer", [str(tmp_path / "broken.ttf"), PLAIN]) == PLAIN


def test_the_font_of_boxes_for_everything_is_never_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", list)
    files = list(fonts._find_fonts())
    assert files[0] == PLAIN
    assert SYMBOLS in files
    assert not [file for file in files if "LastResort" in file]
