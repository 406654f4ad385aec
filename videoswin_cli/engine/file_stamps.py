"""Size and time of files, by which results of a file that was replaced since are known."""

import os
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b

from videoswin_cli.data.decoding.frame_names import is_picture_name
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.addresses import is_bucket, is_url, is_web
from videoswin_cli.io.remote import look_up_again, look_up_folders
from videoswin_cli.io.tar_files import containing_file
from videoswin_cli.io.visible import counted
from videoswin_cli.records import ListedVideo

FileState = tuple[int, int]
_THREADS = 16
_AT_ONCE = 256  # files of one thread: a task for each would take more memory than the stamps
_QUICK_SECONDS = 1e-4  # for a file of this machine, ten times what it takes


def read_state(file: str | None) -> FileState | None:
    """Size in bytes of a file and time of its last change in ns; None for no file.

    Of a video in a tar file they are those of the tar file. Of a frame folder, whose own time says
    nothing of pictures that are written anew, they are the size of its pictures and a hash of their
    names, sizes and times; of an object of a storage service its size and a hash of its version. A
    web server says nothing that can be relied on.
    """
    try:
        file = containing_file(file or "")
        if not file:
            return None
        if is_url(file):
            return None if is_web(file) else _sum_up_object(file)
        found = os.stat(file)  # noqa: PTH116 - a Path takes longer than the question
        return _sum_up(file) if stat.S_ISDIR(found.st_mode) else (found.st_size, found.st_mtime_ns)
    except (OSError, ValueError, VideoSwinError):
        return None


def _sum_up_object(address: str) -> FileState:
    stored = look_up_again(address)
    return stored.size, _hash(stored.version)


def _hash(text: str) -> int:
    digest = blake2b(text.encode(errors="surrogateescape"), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def _sum_up(folder: str) -> FileState:
    with os.scandir(folder) as entries:
        pictures = sorted(
            (entry.name, found.st_size, found.st_mtime_ns)
            for entry in entries
            if is_picture_name(entry.name)
            for found in [entry.stat()]
        )
    return sum(size for _, size, _ in pictures), _hash(repr(pictures))


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

    def read(self, paths: Iterable[str]) -> None:
        """Read the stamps of many videos, several at a time."""
        left = [path for path in paths if path not in self._read]
        files = (self._files.get(path) for path in left)
        look_up_folders([file for file in files if file is not None and is_bucket(file)])
        batches = [left[first : first + _AT_ONCE] for first in range(0, len(left), _AT_ONCE)]
        slow = self._read_quick(batches)
        with ThreadPoolExecutor(_THREADS) as pool:  # a file of a network takes its time to answer
            for _ in pool.map(self._read_batch, batches[slow:]):
                pass

    def _read_quick(self, batches: Sequence[Sequence[str]]) -> int:
        """Read batches while files answer at once, which threads would only disturb.

        Returns:
            The number of the first batch that is left.
        """
        for number, batch in enumerate(batches):
            begun = time.perf_counter()
            self._read_batch(batch)
            if time.perf_counter() - begun > _QUICK_SECONDS * len(batch):
                return number + 1
        return len(batches)

    def _read_batch(self, paths: Sequence[str]) -> None:
        for path in paths:
            self[path]

    def is_current(self, path: str, stamp: str) -> bool:
        """Whether what was computed of a file with `stamp` still holds, as far as can be known."""
        return not stamp or not self[path] or stamp == self[path]

    def are_current(self, done: Mapping[str, str]) -> bool:
        """Whether all that was computed of videos, path -> stamp, still holds."""
        self.read(done)
        return all(self.is_current(path, stamp) for path, stamp in done.items())

    def describe(self, done: Mapping[str, str]) -> list[str]:
        """Sentences on the videos of `done`, path -> stamp, that are not as they were."""
        self.read(done)
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
