"""The list of tests that `nox -s quick` leaves out."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LISTED = [
    line
    for line in (TESTS / "thorough.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


def test_the_list_is_sorted_and_names_each_test_once() -> None:
    assert sorted(set(LISTED)) == LISTED


@pytest.mark.parametrize("file", sorted({line.partition("::")[0] for line in LISTED}))
def test_each_listed_test_exists(file: str) -> None:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    listed = {line.partition("::")[2] for line in LISTED if line.startswith(f"{file}::")}
    assert listed <= functions
