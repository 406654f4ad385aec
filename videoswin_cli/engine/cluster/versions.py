"""Versions of what results depend on, which must be the same on all nodes of a cluster."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("videoswin", "torch", "numpy", "av", "decord", "pillow", "openvino", "torchcodec")


def library_versions() -> dict[str, str]:
    """Version of each package that is here, and Python's; a build for CUDA has that for CPUs."""
    found = {"Python": platform.python_version().rpartition(".")[0]}
    for package in _PACKAGES:
        try:
            found[package] = version(package).partition("+")[0]
        except PackageNotFoundError:
            found[package] = "none"
    return found


def find_difference(here: Mapping[str, str], there: Mapping[str, str]) -> str | None:
    """The versions of two nodes that differ, in words; None where they are equal."""
    named = [
        f"{name} {there.get(name, 'none')} there and {here[name]} here"
        for name in here
        if there.get(name) != here[name]
    ]
    return ", ".join(named) or None
