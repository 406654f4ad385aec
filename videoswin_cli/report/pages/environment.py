"""Versions of what makes a page."""

import platform
from importlib.metadata import PackageNotFoundError, version

from videoswin_cli.report.pages.contents import Facts
from videoswin_cli.version import __version__

_PACKAGES = ("torch", "numpy", "av", "pillow")


def describe_environment() -> Facts:
    """Name and version of each; packages that are not installed are left out."""
    rows = [("videoswin", __version__), ("Python", platform.python_version())]
    for name in _PACKAGES:
        try:
            rows.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return [*rows, ("system", platform.platform())]
