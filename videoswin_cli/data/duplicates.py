"""Files that are one under several names, and files that are equal byte by byte.

A frame folder is as its pictures are, one after the other, whatever their names.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from videoswin_cli.data.decoding.frame_names import list_names
from videoswin_cli.errors import VideoSwinError
from videoswin_cli.io.addresses import is_bucket, is_url
from videoswin_cli.io.remote import local_copy, look_up_again
from videoswin_cli.io.tar_files import open_member, split_member

_END_BYTES = 1 << 16  # of a file's start and of its end that are compared first
_THREADS = 8  # they wait for the disk, or for a file server

_Look = Callable[[str], Hashable | None]  # None: nothing to compare


def find_same(files: Iterable[str]) -> list[list[str]]:
    """Names that lead to one file, through links or hard links or in several spellings."""
    return _divide([list(dict.fromkeys(files))], _place)


def find_equal(files: Iterable[str]) -> list[list[str]]:
    """Files of equal bytes. Whole files are read only where sizes and both ends are equal."""
    sets = [list(dict.fromkeys(files))]
    for look in (_size, _hash_ends, _hash_whole):
        sets = _divide(sets, look)
    return sets


def _divide(sets: Sequence[Sequence[str]], look: _Look) -> list[list[str]]:
    """The files of each set that look alike, where there are two or more."""
    files = [file for alike in sets for file in alike]
    with ThreadPoolExecutor(_THREADS) as pool:
        seen = dict(zip(files, pool.map(look, files), strict=True))
    divided: list[list[str]] = []
    for alike in sets:
        parts: dict[Hashable, list[str]] = defaultdict(list)
        for file in alike:
            if seen[file] is not None:
                parts[seen[file]].append(file)
        divided += [part for part in parts.values() if len(part) > 1]
    return divided


def _place(file: str) -> Hashable | None:
    archive, member = split_member(file) or (file, "")
    try:
        status = os.stat(archive)  # noqa: PTH116 - a hundred thousand of them
    except (OSError, ValueError):
        return None
    if not status.st_ino:  # a file system without numbers for its files
        return os.path.realpath(archive), member
    # Size and time, too: some network file systems give a number twice.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, member


def _list_pieces(file: str) -> list[str]:
    """The file itself, or the pictures of a frame folder in their order."""
    path = Path(file)
    if is_url(file) or not path.is_dir():
        return [file]
    pictures = [path / name for name in list_names(path)]
    return [str(each) for each in sorted(pictures, key=lambda p: (len(p.name), p.name))]


@contextmanager
def _open(piece: str) -> Iterator[BinaryIO]:
    """The bytes of a file, also of one behind an address, which a run fetches anyway."""
    if is_url(piece):
        with local_copy(piece) as path, path.open("rb") as opened:
            yield opened
    else:
        with open_member(piece) as member:
            yield member


def _count_bytes(piece: str) -> int:
    if is_bucket(piece):
        return look_up_again(piece).size
    with _open(piece) as opened:
        return opened.seek(0, os.SEEK_END)


def _size(file: str) -> Hashable | None:
    try:
        pieces = _list_pieces(file)
        size = sum(map(_count_bytes, pieces))
    except (OSError, ValueError, VideoSwinError):
        return None
    return (len(pieces), size) if size else None


def _hash_ends(file: str) -> bytes | None:
    digest = hashlib.blake2b()
    try:
        pieces = _list_pieces(file)
        for piece in (pieces[0], pieces[-1]):
            with _open(piece) as opened:
                digest.update(opened.read(_END_BYTES))
                end = opened.seek(0, os.SEEK_END)
                opened.seek(max(end - _END_BYTES, 0))
                digest.update(opened.read(_END_BYTES))
    except (OSError, VideoSwinError):
        return None
    return digest.digest()


def _hash_whole(file: str) -> bytes | None:
    digest = hashlib.blake2b()
    try:
        for piece in _list_pieces(file):
            digest.update(_count_bytes(piece).to_bytes(8, "big"))
            with _open(piece) as opened:
                while block := opened.read(1 << 20):
                    digest.update(block)
    except (OSError, VideoSwinError):
        return None
    return digest.digest()
