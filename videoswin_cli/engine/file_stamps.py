"""Size and time of files, by which results of a file that was replaced since are known."""

import os
import stat
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

from videoswin_cli.data.decoding.frame_names import is_picture_name
from videoswin_cli.io.tar_files import containing_file
from videoswin_cli.io.visible import counted
from videoswin_cli.records import ListedVideo

FileState = tuple[int, int]


def read_state(file: str | None) -> FileState | None:
    """Size in bytes of a file and time of its last change in ns; None for a URL or no file.

    Of a video in a tar file they are those of the tar file.
    Of a frame folder, whose own time says nothing of pictures that are written anew: the size of
    its pictures, and a hash of their names, sizes and times.
    """
    try:
        if not file:
            return None
        found = Path(containing_file(file)).stat()
        return _sum_up(file) if stat.S_ISDIR(found.st_mode) else (found.st_size, found.st_mtime_ns)
    except (OSError, ValueError):
        return None


def _sum_up(folder: str) -> FileState:
    with os.scandir(folder) as entries:
        pictures = sorted(
            (entry.name, found.st_size, found.st_mtime_ns)
            for entry in entries
            if is_picture_name(entry.name)
            for found in [entry.stat()]
        )
    digest = blake2b(repr(pictures).encode(errors="surrogateescape"), digest_size=7).digest()
    return sum(size for _, size, _ in pictures), int.from_bytes(digest, "big")


def read_stamp(file: str | None) -> str:
    """`BYTES-NANOSECONDS` as `read_state` has them; empty for a URL and for a missing file."""
    found = read_state(file)
    return "" if found is None else f"{found[0]}-{found[1]}"


class FileStamps:
    """Stamps of listed videos, each read once."""

    def __init__(self, listed: Sequence[ListedVideo]) -> None:
        self._files = {video.path: video.file for video in listed}
        self._read: dict[str, str] = {}

    def __getitem__(self, path: str) -> str:
        if path not in self._read:
            self._read[path] = read_stamp(self._files.get(path))
        return self._read[path]

    def is_current(self, path: str, stamp: str) -> bool:
        """Whether what was computed of a file with `stamp` still holds, as far as can be known."""
        return not stamp or not self[path] or stamp == self[path]

    def describe(self, done: Mapping[str, str]) -> list[str]:
        """Sentences on the videos of `done`, path -> stamp, that are not as they were."""
        changed = sum(not self.is_current(path, stamp) for path, stamp in done.items())
        unknown = sum(not stamp and bool(self[path]) for path, stamp in done.items())
        texts = []
        if changed:
            texts.append(f"{counted(changed, 'file')} changed since: computed again")
        if unknown:
            texts.append(
                f"{unknown} results have no size and time of their files, as an older version "
                "wrote them: taken as they are"
            )
        return texts
