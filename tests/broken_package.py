"""A package that is found and does not load."""

import sys
from pathlib import Path

import pytest


def break_package(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package before the one that is installed, if it is; importing it fails."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text('raise OSError("libgone.so: cannot open")')
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
