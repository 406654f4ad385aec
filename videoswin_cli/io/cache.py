"""Contents of the cache folder: checkpoints, videos behind URLs, compiled graphs, crash reports."""

from collections.abc import Iterator
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


@dataclass(frozen=True, kw_only=True)
class Cleared:
    """Files of one kind that were removed, and those that could not be, with the reason."""

    removed: CachePart
    stayed: tuple[tuple[Path, str], ...]


def list_cache() -> list[CachePart]:
    """Contents of the cache by kind; locks and unfinished downloads count as files of it."""
    return [_measure(kind) for kind in KINDS]


def clear_cache(kind: str) -> Cleared:
    """Remove all files of a kind, but for those that the system does not let go."""
    folder, removed, stayed = cache_dir() / kind, [], []
    for file in _files(folder):
        try:
            size = file.stat().st_size
            file.unlink()
            removed.append(size)
        except FileNotFoundError:  # somebody else removed it
            pass
        except OSError as error:
            stayed.append((file, error.strerror or str(error)))
    part = CachePart(kind=kind, folder=folder, files=len(removed), bytes=sum(removed))
    return Cleared(removed=part, stayed=tuple(stayed))


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
