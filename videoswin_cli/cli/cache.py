"""`videoswin cache`: what was downloaded, and room made for more."""

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from videoswin_cli.cli.console import notice, result
from videoswin_cli.cli.options import SummaryFormatOption
from videoswin_cli.io.atomic import to_json
from videoswin_cli.io.cache import clear_cache, list_cache, trim_videos
from videoswin_cli.io.paths import cache_dir
from videoswin_cli.io.visible import counted
from videoswin_cli.options.parsers import parse_size


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
    if clear is not None:
        removed = clear_cache(clear)
        notice(f"{counted(removed.files, 'file')} removed, {removed.bytes / 2**20:.1f} MiB")
    parts = list_cache()
    if format == "json":
        rows = [asdict(part) | {"folder": str(part.folder)} for part in parts]
        result(to_json(rows, indent=2))
        return
    result(cache_dir())
    for part in parts:
        result(f"  {part.kind:<11}  {part.files:4} files  {part.bytes / 2**20:10.1f} MiB")
