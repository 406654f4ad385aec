"""Contents of the cache folder: checkpoints, videos behind URLs, compiled graphs, crash reports."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from videoswin_cli.io.paths import cache_dir
from videoswin_cli.io.video_cache import make_room

KINDS = ("checkpoints", "videos", "graphs", "staged", "crashes")


@dataclass(frozen=True, kw_only=True)
class CachePart:
    """Files of one kind."""

    kind: str
    folder: Path
    files: int
    bytes: int


def list_cache() -> list[CachePart]:
    """Contents of the cache by kind; locks and unfinished downloads count as files of it."""
    return [_measure(kind) for kind in KINDS]


def clear_cache(kind: str) -> CachePart:
    """Remove all files of a kind. Returns what they were.

    A file that cannot be removed, or that is in use on Windows, stays.
    """
    part = _measure(kind)
    for file in _files(part.folder):
        with suppress(OSError):
            file.unlink()
    return part


def trim_videos(limit: int) -> CachePart:
    """Remove videos until the others have no more than `limit` bytes. Returns what they were.

    The least recently used go first; those that a process reads stay.
    """
    before = _measure("videos")
    make_room(limit)
    after = _measure("videos")
    return CachePart(
        kind="videos",
        folder=before.folder,
        files=max(before.files - after.files, 0),
        bytes=max(before.bytes - after.bytes, 0),
    )


def _measure(kind: str) -> CachePart:
    folder = cache_dir() / kind
    sizes = [file.stat().st_size for file in _files(folder)]
    return CachePart(kind=kind, folder=folder, files=len(sizes), bytes=sum(sizes))


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())
