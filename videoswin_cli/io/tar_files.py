"""Members of tar files by name: an index of each file, made once, and bytes from where they lie.

A member is named as if the archive were a folder: `shards/000000.tar/KEY.mp4`. Nothing is ever
unpacked by the names in an archive, which may be hostile, and no link in it is followed.
"""

import io
import os
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from videoswin_cli.errors import FetchError, VideoError
from videoswin_cli.io.addresses import is_url
from videoswin_cli.io.remote import is_object, local_copy

if TYPE_CHECKING:
    from typing_extensions import Buffer

SUFFIX = ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")

_INSIDE = re.compile(rf"\.tar[{re.escape(os.sep)}/]", re.IGNORECASE)
_BLOCK = 512  # bytes
_MOST_AFTER = 1 << 20  # bytes behind the end mark that are looked at; tar pads to 10 KiB
_MOST_FILES = 4096  # whose indices are kept
_PACKERS = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}


@dataclass(frozen=True, kw_only=True)
class TarIndex:
    """Regular files of an archive."""

    members: Mapping[str, tuple[int, int]]  # offset and size in bytes by name, as they lie
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)  # names by reason
    damage: str | None = None  # where it ends too early; the members before that are there


def is_tar(ref: str) -> bool:
    """Whether a path or an address is that of an archive itself, by its name, and there."""
    return ref.lower().endswith(SUFFIX) and _is_there(ref)


def _is_there(file: str) -> bool:
    return is_object(file) if is_url(file) else os.path.isfile(file)  # noqa: PTH113 - hostile names


@contextmanager
def _here(file: str) -> Iterator[str]:
    """The archive on this machine; one behind an address is fetched at first use."""
    if not is_url(file):
        yield file
        return
    with local_copy(file) as copy:
        yield str(copy)


def split_member(ref: str) -> tuple[str, str] | None:
    """Path of an archive and the name of a member of it; None of any other path."""
    for match in _INSIDE.finditer(ref):
        file = ref[: match.end() - 1]
        if _is_there(file):
            return file, ref[match.end() :].replace(os.sep, "/")
    return None


def containing_file(ref: str) -> str:
    """File on disk that holds a video: the archive of a member, else the path itself."""
    inside = split_member(ref)
    return ref if inside is None else inside[0]


def index_tar(file: str) -> TarIndex:
    """The index of an archive, read once for as long as the file is unchanged.

    Of several members of one name the last counts, as for tar.

    Raises:
        OSError: it cannot be read.
        FetchError: it cannot be fetched.
    """
    with _here(file) as here:
        status = Path(here).stat()
        return _read_index(here, status.st_size, (status.st_mtime_ns, status.st_ino))


def has_member(ref: str) -> bool:
    """Whether a path is that of a member that is there."""
    inside = split_member(ref)
    try:
        return inside is not None and inside[1] in index_tar(inside[0]).members
    except (OSError, FetchError):
        return False


def open_member(ref: str) -> BinaryIO:
    """A member of an archive as a file that can be read; any other path is opened as it is.

    Raises:
        OSError: the file cannot be read.
        VideoError: the archive has no such member.
    """
    inside = split_member(ref)
    if inside is None:
        return Path(ref).open("rb")
    file, name = inside
    index = index_tar(file)
    if name not in index.members:
        raise VideoError(
            f"{ref}: no such file in {file}, which has {len(index.members)}"
            + (f" and is damaged: {index.damage}" if index.damage else "")
        )
    with _here(file) as here:  # a file that is open stays readable when it leaves the cache
        return io.BufferedReader(_Slice(here, *index.members[name]))


class _Slice(io.RawIOBase):
    """Bytes of a file from an offset on, as a file."""

    def __init__(self, file: str, start: int, size: int) -> None:
        self._file = Path(file).open("rb", buffering=0)  # noqa: SIM115 - closed with this
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        wanted = memoryview(buffer).cast("B")[: max(self._size - self._at, 0)]
        self._file.seek(self._start + self._at)
        count = self._file.readinto(wanted) or 0
        self._at += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._file.close()
        super().close()


@lru_cache(maxsize=_MOST_FILES)
def _read_index(file: str, size: int, state: tuple[int, int]) -> TarIndex:
    members: dict[str, tuple[int, int]] = {}
    left_out: dict[str, list[str]] = defaultdict(list)
    with Path(file).open("rb") as stream:
        walk = _Walk(stream, size)
        for member in walk:
            name = _plain_name(member.name)
            if (reason := _find_reason(member)) is not None:
                left_out[reason].append(member.name)
            elif member.isdir():
                continue
            elif name is None:
                left_out["names that lead out of the archive"].append(member.name)
            else:
                if members.pop(name, None) is not None:  # the order is that of what counts
                    left_out["names that come again, of which the last counts"].append(name)
                members[name] = (member.offset_data, member.size)
    return TarIndex(members=members, left_out=dict(left_out), damage=walk.damage)


class _Walk:
    """Members of an archive, one after the other, and what ends them too early."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self.damage: str | None = None
        self._stream = stream
        self._size = size
        self._at = 0  # where the next header is expected

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        try:
            yield from self._read()
        except OSError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a damaged header makes of it
            self.damage = f"no tar header at byte {self._at:,} of {self._size:,} ({error})"
            if self._at == 0:
                self.damage = _describe_start(self._stream) or self.damage

    def _read(self) -> Iterator[tarfile.TarInfo]:
        with tarfile.open(fileobj=self._stream, mode="r:", encoding="utf-8") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined] # it would keep them all
                end = member.offset_data + member.size
                if member.size < 0 or end > self._size or tar.offset <= self._at:
                    self.damage = f"{member.name} is cut off at byte {self._size:,} of {end:,}"
                    return
                self._at = tar.offset
                yield member
            self.damage = _check_end(self._stream, tar.offset, self._size)


def _describe_start(stream: BinaryIO) -> str | None:
    """What a file is that does not begin as an archive does, where that is known."""
    stream.seek(0)
    start = stream.read(_BLOCK)
    if not start:
        return "the file is empty"
    packer = _PACKERS.get(start[:2])
    return packer and f"compressed by {packer}, so nothing can be read by name: decompress it"


def _check_end(stream: BinaryIO, at: int, size: int) -> str | None:
    """What is wrong where no further header was found, at a byte."""
    stream.seek(at)
    mark = stream.read(_BLOCK)
    if not mark:
        return f"cut off behind a member, at byte {size:,}: it has no end mark"
    if mark.strip(b"\0"):
        return f"no tar header at byte {at:,} of {size:,}: damaged there, or no tar file"
    if stream.read(_MOST_AFTER).strip(b"\0"):
        return f"it goes on behind its end mark at byte {at:,}, and that is not read: join with -A"
    return None


def _find_reason(member: tarfile.TarInfo) -> str | None:
    """Why a member is neither a regular file nor a folder."""
    if member.issym() or member.islnk():
        return "links, which are not followed"
    if member.issparse():
        return "sparse files"
    return None if member.isreg() or member.isdir() else "devices and pipes"


def _plain_name(name: str) -> str | None:
    """A name without what does not count in it; None where it leads out of the archive."""
    parts = [part for part in name.replace(os.sep, "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in name:
        return None
    return "/".join(parts)
