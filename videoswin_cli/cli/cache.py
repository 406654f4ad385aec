"""`videoswin cache`: what was downloaded, and room made for more."""

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from videoswin_cli.cli.console import notice, result
from videoswin_cli.cli.options import SummaryFormatOption
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.atomic import to_json
from videoswin_cli.io.cache import Cleared, clear_cache, list_cache, trim_videos
from videoswin_cli.io.paths import cache_dir
from videoswin_cli.io.visible import counted
from videoswin_cli.options.parsers import parse_size

_SHOWN = 5  # files in a message


def cache(
    clear: Annotated[
        Literal["checkpoints", "videos", "graphs", "staged", "crashes"] | None,
        typer.Option("--clear", help="Remove all files of this kind."),
    ] = None,
    trim: Annotated[
        str | None,
        typer.Option(
            "--trim",
            metavar="SIZE",
            help="Remove videos, those not read for the longest time first, until SIZE is left.",
        ),
    ] = None,
    format: SummaryFormatOption = "table",
) -> None:
    """Show, clear or trim the cache folder.

    It holds checkpoints, videos behind URLs, graphs for OpenVINO, and reports of crashes.
    VIDEOSWIN_HOME moves it.

    videoswin cache --trim 5GB
    """
    if trim is not None:
        removed = trim_videos(parse_size("--trim", trim))
        notice(f"{counted(removed.files, 'video')} removed, {removed.bytes / 2**20:.1f} MiB")
    cleared = None
    if clear is not None:
        cleared = clear_cache(clear)
        removed = cleared.removed
        notice(f"{counted(removed.files, 'file')} removed, {removed.bytes / 2**20:.1f} MiB")
    _show(cleared, as_json=format == "json")
    if cleared is not None and cleared.stayed:
        raise VideoSwinError(_tell_stayed(cleared), hint="check who may write to the folder")


def _show(cleared: Cleared | None, *, as_json: bool) -> None:
    """The contents of the cache, in JSON with what clearing it came to."""
    parts = list_cache()
    if not as_json:
        result(cache_dir())
        for part in parts:
            result(f"  {part.kind:<11}  {part.files:4} files  {part.bytes / 2**20:10.1f} MiB")
        return
    rows = [asdict(part) | {"folder": str(part.folder)} for part in parts]
    for row in rows:
        if cleared is not None and row["kind"] == cleared.removed.kind:
            row["removed"] = {"files": cleared.removed.files, "bytes": cleared.removed.bytes}
            stayed = cleared.stayed
            row["stayed"] = [{"path": str(path), "reason": reason} for path, reason in stayed]
    result(to_json(rows, indent=2))


def _tell_stayed(cleared: Cleared) -> str:
    told = [f"{path}: {reason}" for path, reason in cleared.stayed[:_SHOWN]]
    if len(cleared.stayed) > _SHOWN:
        told.append(f"and {len(cleared.stayed) - _SHOWN} more (--format json names all)")
    files = counted(len(cleared.stayed), "file")
    return f"{files} could not be removed: {'; '.join(told)}"
