"""Versions, and the extras that are installed or missing."""

import platform
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from videoswin_cli.errors import install_extra
from videoswin_cli.model.openvino.package import import_openvino
from videoswin_cli.records import HealthRow
from videoswin_cli.version import __version__

_PACKAGES = ("torch", "numpy", "av", "decord", "torchcodec", "pillow", "typer")
_OPTIONAL = ("decord", "torchcodec")
_NOT_FOR_USERS = ("dev", "docs", "all")
_EXTRA = re.compile(r"""^([A-Za-z0-9._-]+).*;.*\bextra\s*==\s*['"]([\w-]+)['"]""")


def list_versions() -> Iterator[HealthRow]:
    """Versions of videoswin, Python and the packages that decide how it runs."""
    yield HealthRow(part="versions", name="videoswin", value=__version__)
    yield HealthRow(
        part="versions",
        name="Python",
        value=f"{platform.python_version()} at {Path(sys.executable)}",
    )
    yield HealthRow(part="versions", name="system", value=platform.platform())
    for name in _PACKAGES:
        try:
            yield HealthRow(part="versions", name=name, value=version(name))
        except PackageNotFoundError:
            if name in _OPTIONAL:
                yield HealthRow(part="versions", name=name, value="not installed")
            else:
                yield HealthRow(
                    part="versions",
                    name=name,
                    value="not installed",
                    state="problem",
                    advice=f"pip install {name}",
                )
    yield from _ffmpeg()


def _ffmpeg() -> Iterator[HealthRow]:
    from videoswin_cli.data.encoding.codec_samples import ffmpeg_version

    with suppress(ImportError, OSError):  # the decoders say so
        yield HealthRow(part="versions", name="FFmpeg of av", value=ffmpeg_version())


def requirement_of(package: str) -> str:
    """A package with the versions of it that videoswin takes, as pip reads it."""
    lines: list[str] = []
    with suppress(PackageNotFoundError):
        lines = requires("videoswin") or []
    found = (line.partition(";")[0].strip() for line in lines)
    return next((line for line in found if re.match(rf"{package}\b", line)), package)


def list_extras() -> Iterator[HealthRow]:
    """Extras of this package; what the package's metadata names is what can be installed."""
    try:
        lines = requires("videoswin") or []
    except PackageNotFoundError:
        yield HealthRow(
            part="extras",
            name="videoswin",
            value="not known: it runs from a folder and is not installed",
            state="note",
            advice="pip install -e . in the clone",
        )
        return
    extras: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if found := _EXTRA.match(line):
            extras[found[2]].append(found[1])
    for extra, packages in extras.items():
        if extra not in _NOT_FOR_USERS:
            yield _check_extra(extra, packages)


def _check_extra(extra: str, packages: list[str]) -> HealthRow:
    missing = []
    for package in packages:
        try:
            version(package)
        except PackageNotFoundError:
            missing.append(package)
    row = HealthRow(part="extras", name=extra, value="installed")
    if missing:
        return replace(row, value=f"missing {', '.join(missing)}: {install_extra(extra)}")
    return _try_openvino(row) if extra == "openvino" else row


def _try_openvino(row: HealthRow) -> HealthRow:
    """The row, or that of a package which is installed but whose libraries do not load."""
    try:
        import_openvino()
    except Exception as error:  # noqa: BLE001 - of whatever is broken in it
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        advice = f'pip install --force-reinstall --no-deps "{requirement_of("openvino")}"'
        value = f"openvino cannot be imported: {reason}"
        return replace(row, value=value, state="note", advice=advice)
    return row
