"""Size and time of files, by which results of a file that was replaced since are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from videoswin_cli.io.tar_files import containing_file
from videoswin_cli.records import ListedVideo


def read_stamp(file: str | None) -> str:
    """`BYTES-NANOSECONDS` of its last change; empty for a URL and for a file that is missing.

    Of a video in a tar file they are those of the tar file.
    """
    try:
        found = Path(containing_file(file or "")).stat()
    except (OSError, ValueError):
        return ""
    return f"{found.st_size}-{found.st_mtime_ns}" if file else ""


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
            texts.append(f"{changed} files were changed since: computed again")
        if unknown:
            texts.append(
                f"{unknown} results have no size and time of their files, as an older version "
                "wrote them: taken as they are"
            )
        return texts
