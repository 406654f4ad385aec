"""Cache folder, its sizes, and the free disk where it and temporary files lie."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from videoswin_cli.errors import UsageError
from videoswin_cli.io.cache import CachePart, list_cache
from videoswin_cli.io.paths import cache_dir
from videoswin_cli.io.video_cache import default_cache_size
from videoswin_cli.io.visible import counted
from videoswin_cli.model.catalog import list_specs
from videoswin_cli.model.weights import find_damage
from videoswin_cli.records import HealthRow

_LOW, _FULL = 2 << 30, 100 << 20  # bytes: of the largest checkpoint and a few videos; of nothing


def look_at_storage() -> Iterator[HealthRow]:
    """Rows of the cache and of the disks."""
    cache, temporary = cache_dir(), Path(tempfile.gettempdir())
    yield _place("cache folder", cache, "set VIDEOSWIN_HOME to a folder that can be written to")
    for part in list_cache():
        yield _look_at_part(part)
    for spec in list_specs():
        if spec.publication.file is not None and (damage := find_damage(spec)) is not None:
            yield HealthRow(
                part="storage",
                name="damaged",
                value=damage,
                state="problem",
                advice=f"videoswin download {spec.name} --force",
            )
    try:
        limit = f"{default_cache_size() / 1e9:.1f} GB"
        yield HealthRow(part="storage", name="limit of videos", value=limit)
    except UsageError as error:
        yield HealthRow(
            part="storage",
            name="limit of videos",
            value=error.message,
            state="problem",
            advice="set VIDEOSWIN_CACHE_SIZE to a size such as 20GB, or unset it",
        )
    yield _place("temporary files", temporary, "set TMPDIR to a folder that can be written to")


def _look_at_part(part: CachePart) -> HealthRow:
    if part.folder.is_symlink() and not part.folder.exists():
        value, advice = f"{part.folder}: a link to nothing", f"remove {part.folder}"
        return HealthRow(
            part="storage", name=part.kind, value=value, state="problem", advice=advice
        )
    size = f"{counted(part.files, 'file')}, {part.bytes / 2**20:.1f} MiB"
    return HealthRow(part="storage", name=part.kind, value=size)


def _place(name: str, folder: Path, advice: str) -> HealthRow:
    """Free disk of a folder, which need not exist yet."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        value = f"{folder}: cannot be written to"
        return HealthRow(part="storage", name=name, value=value, state="problem", advice=advice)
    free = shutil.disk_usage(existing).free
    value = f"{folder}, {free / 2**30:.1f} GiB free"
    if free >= _LOW:
        return HealthRow(part="storage", name=name, value=value)
    return HealthRow(
        part="storage",
        name=name,
        value=value,
        state="problem" if free < _FULL else "note",
        advice=f"make room on the disk of {folder} (videoswin cache --clear videos), or {advice}",
    )
