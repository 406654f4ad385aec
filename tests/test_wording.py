"""Docstrings that name their subject, and one set of words, read from the sources."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import videoswin_cli

PACKAGE = Path(videoswin_cli.__file__).parent
ROOT = Path(__file__).parents[1]
SOURCES = sorted(PACKAGE.rglob("*.py"))
TEXTS = [
    *SOURCES,
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "configs").rglob("*.yaml")),
    ROOT / "CONTRIBUTING.md",
    ROOT / "README.md",
]
QUESTION = re.compile(r"(What|Where|How|Who|Whoever|When|Why|Which|Whatever|Whose)\b")
YES_OR_NO = re.compile(r"Whether\b")  # of a function, which returns it
DIALECT = re.compile(
    r"\b(goes on with|go on with|gone on with|(is|are) told(?! apart)|mend|mends|mended|"
    r"what came out|by us|"
    r"of our own|our own making|of ours|is there already|are there already|made clips|"
    r"made weights|"
    r"(frames?|bytes|times) a second|(one|name|path|row|object|line) a (line|video)|"
    r"(clips?|videos|one) a class|(views?|videos?) a forward pass|clips a step)\b"
)


def docstrings(path: Path) -> Iterator[tuple[str, ast.AST, str]]:
    """Name, node and docstring of a module, its classes and its public functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            name, text = getattr(node, "name", path.stem), ast.get_docstring(node)
            private = name.startswith("_") and isinstance(node, ast.FunctionDef)
            if text and not private:
                yield name, node, text


def name_of(path: Path) -> str:
    """Of a source below the package, which may be installed elsewhere."""
    home = PACKAGE.parent if path.is_relative_to(PACKAGE) else ROOT
    return path.relative_to(home).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_docstring_begins_with_the_name_of_its_subject(path: Path) -> None:
    found = [
        f"{name}: {text.partition(chr(10))[0]}"
        for name, node, text in docstrings(path)
        if QUESTION.match(text) or (YES_OR_NO.match(text) and not isinstance(node, ast.FunctionDef))
    ]
    assert found == []


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_no_text_is_in_dialect(path: Path) -> None:
    text = " ".join(path.read_text(encoding="utf-8").split())  # phrases go over line ends
    assert [text[m.start() - 20 : m.end() + 20] for m in DIALECT.finditer(text)] == []
